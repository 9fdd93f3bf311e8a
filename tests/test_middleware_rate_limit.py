"""Rate limits as a client and an application meet them."""

import asyncio
from typing import Any

import pytest
from harness import USER, Recorder, Tokens, bearer, drive, http, http_scope, websocket
from limits.aio.storage import MemoryStorage
from sites import api, services, visiting
from starlette.middleware import Middleware
from test_rate_limit import STRATEGIES, Broken

from asgi_auth.authorization import Policy, public
from asgi_auth.errors import ConfigurationError
from asgi_auth.middleware.api_key import APIKeyMiddleware
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.middleware.rate_limit import RateLimitMiddleware
from asgi_auth.middleware.rate_limit_keys import ByAPIKey, ByRoute, BySubject
from asgi_auth.middleware.session import SessionMiddleware
from asgi_auth.principal import Anonymous, Auth, Principal
from asgi_auth.rate_limit import Strategy
from asgi_auth.rate_limit_storage import InProcessStorage
from asgi_auth.stack import AuthStack, chain, mount
from asgi_auth.testing.clock import FakeClock
from asgi_auth.wire.asgi import ASGIApp, Receive, Scope, Send
from asgi_auth.wire.client_address import ClientAddress

KEY = Principal(subject="u", scheme="api_key", credential_id="k1")
FORWARDED_FOR = b"x-forwarded-for"


def limited(clock: FakeClock, limit: str | None = "2/minute", **options: Any) -> RateLimitMiddleware:
    return RateLimitMiddleware(Recorder(), limit=limit, clock=clock, **options)


async def statuses(app: ASGIApp, times: int, path: str = "/", **more: Any) -> list[int | None]:
    return [(await http(app, path, **more)).status for _ in range(times)]


@pytest.mark.requirement("R-89", "holds")
async def test_what_is_beyond_the_limit_is_429_with_retry_after(clock: FakeClock) -> None:
    app = Recorder()
    guarded = RateLimitMiddleware(app, limit="2/minute", clock=clock)
    assert await statuses(guarded, 2) == [200, 200]
    clock.advance(17.5)
    refused = await http(guarded)

    assert (refused.status, refused.problem["code"]) == (429, "too_many_requests")
    assert refused.header("retry-after") == ["43"]
    assert refused.header("ratelimit") == ['"default";r=0;t=43']
    assert refused.header("ratelimit-policy") == ['"default";q=2;w=60']
    assert len(app.scopes) == 2
    clock.advance(42.5)
    assert await statuses(guarded, 3) == [200, 200, 429]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("storage", [None, MemoryStorage], ids=["in process", "of limits"])
@pytest.mark.requirement("R-89", "refuses")
async def test_of_two_hundred_requests_at_once_five_are_served(storage: Any, strategy: Strategy) -> None:
    app = Recorder()
    guarded = RateLimitMiddleware(app, limit="5/minute", strategy=strategy, storage=storage and storage())

    answers = await asyncio.gather(*[http(guarded) for _ in range(200)])

    assert sorted(answer.status or 0 for answer in answers) == [200] * 5 + [429] * 195
    assert len(app.scopes) == 5


async def test_every_answer_tells_what_is_left(clock: FakeClock) -> None:
    app = limited(clock, "2/minute; 10/hour")
    first, second = await http(app), await http(app)

    policy = '"default-minute";q=2;w=60, "default-hour";q=10;w=3600'
    assert first.header("ratelimit") == ['"default-minute";r=1;t=60, "default-hour";r=9;t=3600']
    assert second.header("ratelimit") == ['"default-minute";r=0;t=60, "default-hour";r=8;t=3600']
    assert first.header("ratelimit-policy") == second.header("ratelimit-policy") == [policy]


async def test_the_fields_can_be_left_out_and_retry_after_stays(clock: FakeClock) -> None:
    app = limited(clock, "1/minute", headers=False)
    served, refused = await http(app), await http(app)

    assert served.headers == []
    assert not refused.header("ratelimit") + refused.header("ratelimit-policy")
    assert refused.header("retry-after") == ["60"]


async def test_an_answer_without_headers_gets_some(clock: FakeClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    answer = await http(RateLimitMiddleware(app, limit="2/minute", clock=clock))

    assert [name for name, _ in answer.headers] == ["ratelimit-policy", "ratelimit"]


@pytest.mark.requirement("R-89", "refuses")
@pytest.mark.parametrize("denial", [True, False])
async def test_a_websocket_is_refused_in_its_handshake(denial: bool, clock: FakeClock) -> None:
    app = limited(clock, "1/minute")

    assert (await websocket(app, denial=denial)).accepted
    refused = await websocket(app, denial=denial)
    assert (refused.accepted, refused.status, refused.close) == (False, *((429, None) if denial else (None, 4429)))
    assert refused.header("retry-after") == (["60"] if denial else [])


async def test_the_lifespan_passes_and_other_kinds_do_not(clock: FakeClock) -> None:
    app = Recorder()
    guarded = RateLimitMiddleware(app, limit="1/minute", clock=clock)
    for _ in range(3):
        await drive(guarded, {"type": "lifespan"})
    with pytest.raises(ConfigurationError):
        await drive(guarded, {"type": "webtransport"})

    assert app.scopes == [{"type": "lifespan"}] * 3


@pytest.mark.requirement("R-87", "refuses")
async def test_a_thousand_spoofed_addresses_have_one_limit_between_them(clock: FakeClock) -> None:
    direct = limited(clock, "5/minute")
    behind = limited(clock, "5/minute", key=ClientAddress(["127.0.0.0/8"]))
    served = {"direct": 0, "behind": 0}
    for n in range(1000):
        spoofed = b"203.0.%d.%d" % (n // 250, n % 250)
        served["direct"] += (await http(direct, headers=[(FORWARDED_FOR, spoofed)])).status == 200
        appended = [(FORWARDED_FOR, spoofed), (FORWARDED_FOR, b"192.0.2.1")]
        served["behind"] += (await http(behind, headers=appended)).status == 200

    assert served == {"direct": 5, "behind": 5}


@pytest.mark.requirement("R-87", "holds")
async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(clock: FakeClock) -> None:
    app = limited(clock, "1/minute", key=ClientAddress(["127.0.0.1"]))

    for client in (b"192.0.2.1", b"192.0.2.2"):
        assert await statuses(app, 2, headers=[(FORWARDED_FOR, client)]) == [200, 429]


@pytest.mark.requirement("R-88", "refuses")
async def test_all_without_an_address_share_one_limit(clock: FakeClock) -> None:
    app = limited(clock, "2/minute")

    clients: list[Any] = [None, ("testclient", 1), ("", 2)]
    assert [(await http(app, client=client)).status for client in clients] == [200, 200, 429]


async def test_patterns_have_limits_and_counters_of_their_own(clock: FakeClock) -> None:
    app = limited(clock, "3/minute", patterns={"POST /login": "1/minute", "/files/": "2/minute", "WS /live": "1/hour"})

    assert await statuses(app, 2, "/login", method="POST") == [200, 429]
    assert await statuses(app, 2, "//login/", method="post") == [429, 429]
    assert await statuses(app, 3, "/files/a") == [200, 200, 429]
    assert await statuses(app, 1, "/files/b") == [429]
    assert await statuses(app, 4, "/login") == [200, 200, 200, 429]
    assert await statuses(app, 1, "/other") == [429]
    assert [(await websocket(app, "/live")).accepted for _ in range(2)] == [True, False]
    refused = await http(app, "/login", method="POST")
    assert refused.header("ratelimit-policy") == ['"default POST /login";q=1;w=60']


async def test_without_a_limit_only_patterns_are_limited(clock: FakeClock) -> None:
    app = limited(clock, None, patterns={"/login": "1/minute"})

    assert await statuses(app, 5, "/") == [200] * 5
    assert await statuses(app, 2, "/login") == [200, 429]
    assert (await http(app, "/")).headers == []


@pytest.mark.requirement("R-89", "refuses")
async def test_no_way_to_write_a_path_evades_its_limit(clock: FakeClock) -> None:
    app = limited(clock, None, patterns={"/login": "1/minute", "/api/login": "1/minute"})
    assert await statuses(app, 1, "/login") == [200]

    for path in ("/login/", "//login", "/x/login"):
        root_path = "/x" if path.startswith("/x") else ""
        assert await statuses(app, 1, path, root_path=root_path) == [429]
    for path in ("/./login", "/a/../login", "/login\\", "/login\x00", "http://host/login"):
        assert await statuses(app, 1, path) == [400]


async def test_a_path_that_routers_read_in_two_ways_has_the_limits_of_both(clock: FakeClock) -> None:
    """Litestar cuts a root path at its first occurrence, others at the front."""
    app = limited(clock, None, patterns={"/files/": "5/minute", "/login": "1/minute"})

    both = await http(app, "/files/v1/login", root_path="/v1")
    assert both.header("ratelimit") == ['"default /files/";r=4;t=60, "default /login";r=0;t=60']
    assert (await http(app, "/files/v1/login", root_path="/v1")).status == 429
    assert (await http(app, "/v1/login", root_path="/v1")).status == 429
    assert (await http(app, "/files/v1/other", root_path="/v1")).status == 200


async def test_a_request_may_cost_more_than_one_hit(clock: FakeClock) -> None:
    def by_method(scope: Scope) -> int:
        return {"GET": 1, "HEAD": 0}.get(scope["method"], 3)

    app = limited(clock, "4/minute", cost=by_method)

    assert await statuses(app, 5, method="HEAD") == [200] * 5
    assert await statuses(app, 1, method="POST") == [200]
    assert await statuses(app, 2) == [200, 429]


@pytest.mark.parametrize("cost", [-1, 1.0, "1", None, True], ids=repr)
async def test_a_cost_that_is_no_number_of_hits_lets_nothing_through(cost: Any, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="cost"):
        await http(limited(clock, cost=lambda scope: cost))


@pytest.mark.requirement("R-91", "refuses")
async def test_while_the_storage_is_out_everything_is_refused() -> None:
    app = Recorder()
    guarded = RateLimitMiddleware(app, limit="5/minute", storage=Broken(ConnectionError()))
    answer, socket = await http(guarded), await websocket(guarded)

    assert (answer.status, answer.header("retry-after"), socket.status) == (503, ["1"], 503)
    assert app.scopes == []


@pytest.mark.requirement("R-91", "holds")
async def test_only_who_says_open_lets_requests_pass_uncounted() -> None:
    storage = Broken(ConnectionError())
    guarded = RateLimitMiddleware(Recorder(), limit="1/minute", storage=storage, on_outage="open")
    unlimited = await statuses(guarded, 3)
    storage.error = None

    assert unlimited == [200, 200, 200]
    assert (await http(guarded)).header("ratelimit") == ['"default";r=0;t=0']


def as_caller(app: ASGIApp, auth: object) -> ASGIApp:
    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "auth": auth}, receive, send)

    return layer


@pytest.mark.parametrize("key", [BySubject(), ByAPIKey()], ids=["subject", "api key"])
async def test_each_subject_has_its_own_limit_and_anonymous_counts_by_address(key: Any, clock: FakeClock) -> None:
    app = limited(clock, "1/minute", key=key)
    other = Principal(subject="other", scheme="session")

    assert [await statuses(as_caller(app, auth), 2) for auth in (USER, other)] == [[200, 429]] * 2
    assert [(await http(as_caller(app, Anonymous()), client=(f"192.0.2.{n}", 1))).status for n in (1, 2, 1)] == [
        200,
        200,
        429,
    ]


def test_what_a_caller_is_called_is_nobody_s_address_or_key() -> None:
    def keys(auth: Auth) -> tuple[str, str]:
        scope = http_scope("/", auth=auth)
        return BySubject()(scope), ByAPIKey()(scope)

    assert keys(KEY) == ("subject:u", "api_key:k1")
    assert keys(USER) == ("subject:u", "subject:u")
    assert keys(Anonymous()) == ("127.0.0.1", "127.0.0.1")
    forwarded = http_scope("/", auth=Anonymous(), headers=[(FORWARDED_FOR, b"192.0.2.1")])
    assert BySubject(ClientAddress(["127.0.0.1"]))(forwarded) == "192.0.2.1"


async def test_by_route_each_path_has_its_own_limit(clock: FakeClock) -> None:
    app = limited(clock, "1/minute", key=ByRoute())

    assert await statuses(app, 2, "/a") == [200, 429]
    assert await statuses(app, 1, "//a/") == [429]
    assert await statuses(app, 2, "/b") == [200, 429]
    assert await statuses(app, 1, "/a", method="POST") == [200]
    assert (await websocket(app, "/a")).accepted


@pytest.mark.requirement("R-89", "refuses")
@pytest.mark.parametrize("key", [BySubject(), ByAPIKey()], ids=["subject", "api key"])
def test_a_limit_by_subject_around_the_layers_that_authenticate_is_refused_at_once(key: Any) -> None:
    auth = services()
    inner: list[ASGIApp] = [
        BearerMiddleware(Recorder(), access_tokens=Tokens()),
        APIKeyMiddleware(Recorder(), api_keys=auth.api_keys),
        SessionMiddleware(Recorder(), sessions=auth.sessions),
        AuthStack(api(), auth),
        mount(BearerMiddleware(Recorder(), access_tokens=Tokens()), auth),
    ]
    for app in inner:
        with pytest.raises(ConfigurationError, match="around them"):
            RateLimitMiddleware(app, limit="5/minute", key=key)
        RateLimitMiddleware(app, limit="5/minute")


@pytest.mark.parametrize("auth", [None, object()])
async def test_a_limit_by_subject_where_nobody_authenticates_lets_nothing_through(
    auth: object, clock: FakeClock
) -> None:
    app = Recorder()
    guarded = RateLimitMiddleware(app, limit="5/minute", key=BySubject(), clock=clock)
    with pytest.raises(ConfigurationError, match="stands inside the layers"):
        await http(as_caller(guarded, auth))

    assert app.scopes == []


async def test_inside_authentication_it_counts_by_subject(clock: FakeClock) -> None:
    app = chain(
        Recorder(),
        Middleware(BearerMiddleware, access_tokens=Tokens()),
        Middleware(RateLimitMiddleware, limit="1/minute", key=BySubject(), clock=clock),
    )

    for token in ("user", "admin"):
        assert await statuses(app, 2, headers=bearer(token)) == [200, 429]


async def test_instances_with_names_share_a_storage_and_no_counters(clock: FakeClock) -> None:
    storage = InProcessStorage(clock=clock)
    first, same, other = (limited(clock, storage=storage, name=name) for name in ("a", "a", "b"))

    assert [await statuses(app, 2) for app in (first, same, other)] == [[200, 200], [429, 429], [200, 200]]
    assert (await http(other)).header("ratelimit") == ['"b";r=0;t=60']


@pytest.mark.parametrize(
    "options",
    [
        {"limit": None},
        {"limit": None, "patterns": {}},
        {"limit": "often"},
        {"limit": "5/minute", "patterns": {"login": "1/minute"}},
        {"limit": "5/minute", "patterns": {"/login": "seldom"}},
        {"limit": "5/minute", "on_outage": "ajar"},
        {"limit": "5/minute", "strategy": "leaky-bucket"},
    ],
    ids=repr,
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RateLimitMiddleware(Recorder(), **options)


@pytest.mark.requirement("R-89", "holds")
async def test_the_stack_limits_an_address_before_anything_else_is_done() -> None:
    auth = services()
    policy = Policy({"/public": public})
    async with visiting(AuthStack(api(), auth, policy=policy, rate_limit="3/minute"), auth) as visit:
        answers = [await visit.get("/public"), await visit.get("/private", "junk"), await visit.post("login", {})]
        refused = [await visit.get("/public"), await visit.post("login", {})]

    assert [answer.status_code for answer in answers] == [200, 401, 422]
    assert [answer.headers["ratelimit"][:13] for answer in answers] == [f'"default";r={left}' for left in (2, 1, 0)]
    assert [answer.status_code for answer in refused] == [429, 429]


async def test_the_stack_takes_another_way_to_tell_addresses() -> None:
    auth = services()
    trusting = ClientAddress(["127.0.0.0/8"])
    app = AuthStack(Recorder(), auth, policy=Policy({"/": public}), rate_limit="1/minute", client_address=trusting)
    async with auth:
        for client in (b"192.0.2.1", b"192.0.2.2"):
            assert await statuses(app, 2, headers=[(FORWARDED_FOR, client)]) == [200, 429]


async def test_a_stack_without_a_limit_has_none() -> None:
    auth = services()
    async with visiting(AuthStack(api(), auth, policy=Policy({"/public": public})), auth) as visit:
        answers = [await visit.get("/public") for _ in range(200)]

    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers
