"""The layer that reads API keys: absent, valid or refused, over http and websockets alike."""

import io
import logging
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from harness import REALM, USER, Answer, Recorder, Tokens, bearer, drive, http, http_scope, websocket
from hypothesis import example, given
from hypothesis import strategies as st
from key_tools import Keys

from asgi_auth.authorization import Policy, has_scope
from asgi_auth.errors import ConfigurationError, Forbidden, InvalidToken, Reason
from asgi_auth.middleware.api_key import APIKeyMiddleware
from asgi_auth.middleware.authorization import AuthorizationMiddleware
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous, Principal
from asgi_auth.tokens import encode, mint_id, mint_secret
from asgi_auth.wire.asgi import Receive, Scope, Send
from asgi_auth.wire.edge import edge_of

Call = Callable[..., Awaitable[Answer]]
Lines = list[tuple[bytes, bytes]]

BARE = f'ApiKey realm="{REALM}"'
CANARY = b"zq7canary7qz"
PROTOCOLS = pytest.mark.parametrize("call", [http, websocket])


@pytest.fixture
def inner() -> Recorder:
    return Recorder()


@pytest.fixture
def world() -> Keys:
    return Keys()


@pytest.fixture
def app(inner: Recorder, world: Keys) -> APIKeyMiddleware:
    return APIKeyMiddleware(inner, api_keys=world.keys)


def with_key(*values: bytes) -> Lines:
    return [(b"x-api-key", value) for value in values]


class Answering:
    """An application that answers with these header lines."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] | None) -> None:
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200}
        await send(start if self.headers is None else start | {"headers": self.headers})
        await send({"type": "http.response.body", "body": b"served"})


# Absent, valid, invalid.


@PROTOCOLS
@pytest.mark.requirement("R-37", "holds")
@pytest.mark.requirement("R-85", "holds")
async def test_a_living_key_is_a_principal_cold_and_warm(
    call: Call, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, key = await world.made()

    for _ in range(2):
        await call(app, headers=with_key(value))
        scope = inner.scopes.pop()
        assert scope["user"] is scope["auth"]
        assert (scope["auth"].subject, scope["auth"].scheme) == ("anna", "api_key")
        assert scope["auth"].credential_id == key.key_id
    await world.keys.close()
    assert world.journal.entries == ["get key", "get account", "record use"]


@PROTOCOLS
async def test_without_a_key_the_caller_is_anonymous_with_a_challenge(
    call: Call, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    await call(app)

    assert inner.scopes[0]["auth"] == Anonymous((BARE,))
    assert world.journal.entries == []


@PROTOCOLS
@pytest.mark.requirement("R-37", "refuses")
@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.parametrize("kind", ["junk", "empty", "unknown", "wrong secret", "two in one", "expired", "revoked"])
async def test_what_is_no_living_key_is_refused_with_one_answer_and_never_becomes_anonymous(
    call: Call, kind: str, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, key = await world.made(lifetime=10)
    if kind == "revoked":
        await world.keys.revoke(key.key_id, subject="anna")
    if kind == "expired":
        world.clock.advance(10)
    presented = {
        "junk": b"junk",
        "empty": b"",
        "unknown": encode("ak", mint_id(), mint_secret()).encode(),
        "wrong secret": encode("ak", key.key_id, mint_secret()).encode(),
        "two in one": value + b", " + value,
    }.get(kind, value)

    answer = await call(app, headers=with_key(presented))

    assert inner.scopes == []
    assert (answer.status, answer.challenges) == (401, [BARE])
    assert answer.problem["code"] == "invalid_token"
    assert answer.problem["detail"] == "The token is not valid."


@PROTOCOLS
@pytest.mark.requirement("R-37", "refuses")
async def test_two_header_lines_are_refused_before_any_io(
    call: Call, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, _ = await world.made()

    for lines in ((value, value), (value, b""), (b"", value)):
        answer = await call(app, headers=with_key(*lines))
        assert (answer.status, answer.challenges) == (400, [])
    assert inner.scopes == []
    assert world.journal.entries == []


@pytest.mark.requirement("R-37", "refuses")
@PROTOCOLS
async def test_a_key_in_the_query_or_a_cookie_or_authorization_is_not_read(
    call: Call, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, _ = await world.warm()
    headers = [(b"authorization", b"Bearer " + value), (b"cookie", b"x-api-key=" + value), (b"api-key", value)]

    await call(app, headers=headers, query_string=b"x-api-key=" + value + b"&api_key=" + value)

    assert inner.scopes[0]["auth"] == Anonymous((BARE,))
    assert world.journal.entries == []


@PROTOCOLS
@pytest.mark.requirement("R-83", "refuses")
async def test_while_it_cannot_be_known_nobody_passes(
    call: Call, app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, _ = await world.warm()
    world.feed.is_down = True
    world.clock.advance(2)

    answer = await call(app, headers=with_key(value))

    assert inner.scopes == []
    assert (answer.status, answer.header("retry-after"), answer.challenges) == (503, ["1"], [])


@pytest.mark.requirement("R-96", "holds")
async def test_a_websocket_is_refused_before_it_is_accepted(app: APIKeyMiddleware, inner: Recorder) -> None:
    answer = await websocket(app, headers=with_key(b"junk"), denial=False)

    assert inner.scopes == []
    assert not answer.accepted
    assert answer.close == 4401


# One header.


@pytest.mark.parametrize("header", ["X-API-Key", "api-token", "X_Key"])
async def test_the_header_s_name_is_an_argument(header: str, inner: Recorder, world: Keys) -> None:
    value, _ = await world.made()
    app = APIKeyMiddleware(inner, api_keys=world.keys, header=header)

    answer = await http(app, headers=[(header.lower().encode(), value)])
    await http(app, headers=[(b"x-other", value)])

    assert [scope["auth"].is_authenticated for scope in inner.scopes] == [True, False]
    assert answer.header("vary") == [header]


@pytest.mark.parametrize("header", ["", "X API Key", "X-API-Key:", "X-Kéy", "x\r\n", "Authorization", "COOKIE"])
def test_a_header_that_has_no_name_or_another_purpose_is_a_configuration_error(
    header: str, inner: Recorder, world: Keys
) -> None:
    with pytest.raises(ConfigurationError):
        APIKeyMiddleware(inner, api_keys=world.keys, header=header)


@pytest.mark.requirement("R-100", "refuses")
@pytest.mark.parametrize("length", [513, 50_000_000])
async def test_a_huge_header_is_refused_before_it_is_copied(length: int, app: APIKeyMiddleware, world: Keys) -> None:
    scope = http_scope(headers=with_key(b"a" * length))
    tracemalloc.start()
    try:
        answer = await drive(app, scope)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.status == 401
    assert peak < 1_000_000
    assert world.journal.entries == []


class Handed:
    """What the middleware asks for keys, and how much it hands over."""

    realm = REALM

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def cached(self, value: bytes, /) -> Principal | None:
        self.lengths.append(len(value))
        return None

    async def verify(self, value: bytes, /) -> Principal:
        self.lengths.append(len(value))
        raise InvalidToken(Reason.KEY_MALFORMED)

    def watch(self, principal: Principal, end: Callable[[], None], /) -> Callable[[], None]:
        raise NotImplementedError


@pytest.mark.requirement("R-100", "holds")
@PROTOCOLS
async def test_no_more_than_512_bytes_are_handed_over(call: Call, inner: Recorder) -> None:
    handed = Handed()
    app = APIKeyMiddleware(inner, api_keys=handed)

    answers = [await call(app, headers=with_key(b"a" * length)) for length in (512, 513, 5000)]

    assert [answer.status for answer in answers] == [401] * 3
    assert set(handed.lengths) == {512}


KEY = encode("ak", mint_id(), mint_secret()).encode()


@pytest.mark.requirement("R-34", "refuses")
@pytest.mark.requirement("R-37", "refuses")
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=90),
            st.binary(max_size=40).map(lambda junk: junk + CANARY),
            st.tuples(st.integers(0, len(KEY)), st.binary(max_size=3)).map(
                lambda cut: KEY[: cut[0]] + cut[1] + KEY[cut[0] + len(cut[1]) :]
            ),
        ),
        min_size=1,
        max_size=2,
    ),
    st.booleans(),
)
@example([KEY + b"\n"], True)
async def test_whatever_the_bytes_the_answer_is_documented_repeats_nothing_and_costs_no_io(
    values: list[bytes], over_http: bool
) -> None:
    world, inner, log = Keys(), Recorder(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        app = APIKeyMiddleware(inner, api_keys=world.keys)
        answer = await (http if over_http else websocket)(app, headers=with_key(*values))
    finally:
        logging.getLogger().removeHandler(handler)

    assert answer.status == (401 if len(values) == 1 else 400)
    assert inner.scopes == []
    assert log.getvalue() == ""
    assert CANARY not in repr(answer.sent).encode()
    assert world.journal.entries == (["get key"] if values == [KEY] else [])


# Among other layers.


async def test_the_scope_is_copied_and_never_changed(app: APIKeyMiddleware, inner: Recorder, world: Keys) -> None:
    value, _ = await world.made()
    scope = http_scope(headers=with_key(value))
    before = dict(scope)

    await drive(app, scope)

    assert scope == before
    assert inner.scopes[0].keys() - scope.keys() == {"auth", "user", "asgi_auth"}


async def test_a_foreign_object_in_the_scope_counts_as_absent(
    app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    value, _ = await world.made()

    await http(app, auth=object(), user=object())
    await http(app, auth=object(), user=object(), headers=with_key(value))

    assert inner.scopes[0]["auth"] == Anonymous((BARE,))
    assert inner.scopes[1]["auth"].scheme == "api_key"


@PROTOCOLS
@pytest.mark.requirement("R-98", "refuses")
@pytest.mark.parametrize("warm", [True, False])
async def test_a_bearer_token_and_a_key_in_one_request_are_refused(
    call: Call, warm: bool, inner: Recorder, world: Keys
) -> None:
    """RFC 6750 §2, whichever layer stands first, and whether or not the key is one."""
    value, _ = await (world.warm() if warm else world.made())
    for presented in (value, b"junk"):
        for app in (
            BearerMiddleware(APIKeyMiddleware(inner, api_keys=world.keys), access_tokens=Tokens()),
            APIKeyMiddleware(BearerMiddleware(inner, access_tokens=Tokens()), api_keys=world.keys),
        ):
            answer = await call(app, headers=[*bearer("user"), *with_key(presented)])
            assert answer.status == (401 if presented == b"junk" and isinstance(app, APIKeyMiddleware) else 400)
    assert inner.scopes == []


async def test_a_bearer_token_alone_passes_and_both_challenges_wait_for_a_caller_without_any(
    inner: Recorder, world: Keys
) -> None:
    app = BearerMiddleware(APIKeyMiddleware(inner, api_keys=world.keys), access_tokens=Tokens())

    await http(app, headers=bearer("user"))
    await http(app)

    assert inner.scopes[0]["auth"] is USER
    assert inner.scopes[1]["auth"] == Anonymous((f'Bearer realm="{REALM}"', BARE))


async def test_a_key_replaces_the_principal_of_a_session_and_of_the_same_layer(
    app: APIKeyMiddleware, inner: Recorder, world: Keys
) -> None:
    """What came by itself gives way to what was presented."""
    value, _ = await world.warm()
    before = Principal(subject="berta", scheme="session")

    await http(app, auth=before, headers=with_key(value))
    await http(APIKeyMiddleware(app, api_keys=world.keys), headers=with_key(value))

    assert [scope["auth"].subject for scope in inner.scopes] == ["anna", "anna"]


async def test_a_refusal_of_the_application_is_not_taken_for_one_of_the_layer(world: Keys) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        raise Forbidden(Reason.ROLE_MISSING)

    app = BearerMiddleware(APIKeyMiddleware(refusing, api_keys=world.keys), access_tokens=Tokens())

    answer = await http(app)

    assert (answer.status, answer.problem["code"]) == (403, "forbidden")


@pytest.mark.requirement("R-35", "holds")
@pytest.mark.requirement("R-35", "refuses")
async def test_a_policy_asks_what_the_key_may_do(inner: Recorder, world: Keys) -> None:
    value, _ = await world.made(scopes=["read:articles"])
    policy = Policy({"GET /": has_scope("read:articles"), "POST /": has_scope("write:articles")})
    app = APIKeyMiddleware(AuthorizationMiddleware(inner, policy=policy), api_keys=world.keys)

    answers = [await http(app, method=method, headers=with_key(value)) for method in ("GET", "POST")]

    assert [(answer.status, answer.challenges) for answer in answers] == [(200, []), (403, [])]


@PROTOCOLS
async def test_the_edge_is_given_the_watch_of_the_keys(call: Call, inner: Recorder, world: Keys) -> None:
    value, _ = await world.warm()
    app = APIKeyMiddleware(inner, api_keys=world.keys)

    await call(app, headers=with_key(value))

    edge = edge_of(inner.scopes[0])
    assert edge is not None
    assert edge.watch == world.keys.watch
    assert edge.auth is inner.scopes[0]["auth"]
    await world.revocations.close()


async def test_lifespan_passes_and_an_unknown_kind_of_connection_never_reaches_the_application(
    app: APIKeyMiddleware, inner: Recorder
) -> None:
    scope = {"type": "lifespan"}
    await app(scope, None, None)
    with pytest.raises(ConfigurationError):
        await app({"type": "webtransport", "headers": []}, None, None)

    assert inner.scopes == [scope]


# How the answer may be kept.


@pytest.mark.requirement("R-45", "holds")
@pytest.mark.parametrize(
    ("own", "caching", "vary"),
    [
        (None, ["private"], ["X-API-Key"]),
        ([], ["private"], ["X-API-Key"]),
        ([(b"vary", b"Accept")], ["private"], ["Accept", "X-API-Key"]),
        ([(b"cache-control", b"no-store")], ["no-store"], ["X-API-Key"]),
        ([(b"Cache-Control", b"public, max-age=60")], ["public, max-age=60"], ["X-API-Key"]),
    ],
)
async def test_an_answer_to_a_key_varies_by_it_and_is_private_unless_the_application_says_otherwise(
    own: Lines | None, caching: list[str], vary: list[str], world: Keys
) -> None:
    value, _ = await world.made()
    app = APIKeyMiddleware(Answering(own), api_keys=world.keys)

    answer = await http(app, headers=with_key(value))

    assert (answer.header("cache-control"), answer.header("vary"), answer.body) == (caching, vary, b"served")


@pytest.mark.requirement("R-45", "refuses")
async def test_an_answer_to_nobody_and_to_a_bearer_token_is_left_as_it_is(world: Keys) -> None:
    """RFC 9111 §3.5 covers the latter."""
    app = BearerMiddleware(APIKeyMiddleware(Answering([]), api_keys=world.keys), access_tokens=Tokens())

    answers = [await http(app), await http(app, headers=bearer("user"))]

    assert [answer.headers for answer in answers] == [[], []]
