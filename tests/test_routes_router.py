"""The router of our own routes: what is ours, what is not, and what every answer carries."""

from collections.abc import AsyncIterator

import httpx
import pytest
from harness import Answer, Recorder, bearer, drive, http, http_scope, websocket
from hypothesis import given
from hypothesis import strategies as st
from sites import EMAIL, PASSWORD, Site, api, services, site, visiting

from asgi_auth.errors import ConfigurationError
from asgi_auth.routes.router import OwnRoutes
from asgi_auth.routes.table import own_routes
from asgi_auth.routes.visitors import Visitors
from asgi_auth.stack import AuthStack, mount
from asgi_auth.wire.asgi import Message

JWKS = "/.well-known/jwks.json"
INVENTORY = {
    ("POST", "/auth/register", False),
    ("POST", "/auth/login", False),
    ("POST", "/auth/refresh", False),
    ("POST", "/auth/logout", False),
    ("POST", "/auth/password", True),
    ("GET", "/auth/me", True),
    ("GET", "/auth/api-keys", True),
    ("POST", "/auth/api-keys", True),
    ("POST", "/auth/api-keys/{key_id}/rotate", True),
    ("DELETE", "/auth/api-keys/{key_id}", True),
    ("GET", "/auth/sessions", True),
    ("DELETE", "/auth/sessions", True),
    ("DELETE", "/auth/sessions/{session_id}", True),
    ("GET", JWKS, False),
}


@pytest.fixture
async def visit() -> AsyncIterator[Site]:
    async with site() as opened:
        yield opened


def test_these_are_all_the_routes_there_are() -> None:
    """CVE-2022-24857: a way in that nobody counted has no lock. A new route belongs into this list."""
    assert {(route.method, route.path, route.owned) for route in own_routes("/auth", Visitors())} == INVENTORY
    assert len(own_routes("/auth", Visitors(), registration=False)) == len(INVENTORY) - 1


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, owned in INVENTORY if owned])
async def test_every_owned_route_demands_a_caller_even_where_only_mount_stands(method: str, path: str) -> None:
    auth = services()
    async with visiting(mount(api(), auth), auth) as visit:
        answer = await visit.client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


OPEN_POSTS = sorted(path for method, path, owned in INVENTORY if method == "POST" and not owned)


@pytest.mark.parametrize("path", OPEN_POSTS)
async def test_no_open_route_is_blocked_by_an_authorization_header_that_is_not_valid(visit: Site, path: str) -> None:
    answer = await visit.client.post(path, headers={"Authorization": "Bearer expired"}, json={})

    assert answer.status_code in {204, 422}


def is_uncached(answer: httpx.Response) -> bool:
    return (answer.headers.get_list("cache-control"), answer.headers.get_list("vary")) == (["no-store"], ["Cookie"])


@pytest.mark.requirement("R-45", "holds")
async def test_every_answer_with_tokens_is_no_store_and_varies_by_cookie(visit: Site) -> None:
    register = await visit.post("register", {"email": EMAIL, "password": PASSWORD})
    login = await visit.post("login", {"email": EMAIL, "password": PASSWORD})
    refresh = await visit.post("refresh", {"refresh_token": login.json()["refresh_token"]})
    token = refresh.json()["access_token"]
    me = await visit.get("/auth/me", token)
    change = {"current_password": PASSWORD, "new_password": "another walk in the woods"}
    password = await visit.post("password", change, token=token)
    logout = await visit.post("logout", token=password.json()["access_token"])

    answers = (register, login, refresh, me, password, logout)
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 204]
    assert all(is_uncached(answer) for answer in answers)


@pytest.mark.requirement("R-45", "refuses")
async def test_no_refusal_may_be_cached_either(visit: Site) -> None:
    post = visit.client.post
    answers = [
        await post("/auth/login", content=b"{"),
        await post("/auth/login", content=b"{", headers={"Content-Type": "application/json"}),
        await post("/auth/login", content=b"x" * 70_000, headers={"Content-Type": "application/json"}),
        await post("/auth/login", json={"email": EMAIL, "password": PASSWORD}),
        await post("/auth/login", json={}),
        await post("/auth/me"),
        await visit.get("/auth/nothing"),
        await visit.get("/auth/me"),
        await visit.get("/auth/me", "junk"),
        await visit.client.request("DELETE", JWKS),
    ]

    assert [answer.status_code for answer in answers] == [415, 400, 413, 401, 422, 405, 404, 401, 401, 405]
    assert all(is_uncached(answer) for answer in answers)
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in answers)


@pytest.mark.requirement("R-45", "holds")
async def test_answers_of_the_application_are_left_as_they_are(visit: Site) -> None:
    answer = await visit.get("/private", (await visit.sign_up())["access_token"])

    assert "cache-control" not in answer.headers
    assert "vary" not in answer.headers


@pytest.mark.requirement("R-99", "refuses")
@pytest.mark.parametrize("path", ["/auth", "/auth/", "/auth/nothing", "/auth/login/", "/auth/login/x", "/auth/LOGIN"])
async def test_an_unknown_path_under_the_prefix_is_our_404(path: str) -> None:
    app = Recorder()

    answer = await http(OwnRoutes(app, services(), prefix="/auth"), path, method="POST")

    assert (answer.status, answer.problem["code"]) == (404, "not_found")
    assert app.scopes == []


@pytest.mark.parametrize("path", ["//auth/me", "/auth//me", "//auth//nothing", f"/{JWKS}", "/.well-known//jwks.json"])
async def test_doubled_slashes_do_not_lead_around_the_prefix(path: str) -> None:
    """A router inside that merges slashes would serve its own /auth there, which no rule of a policy can name."""
    app = Recorder()

    answer = await http(OwnRoutes(app, services(), prefix="/auth"), path)

    assert (answer.status, app.scopes) == (404, [])


@pytest.mark.parametrize(
    "path",
    ["/", "/authority", "/x/auth/login", "/Auth/login", "/.well-known/", "/auth/../x", "/auth\\login", "/auth/me\n"],
)
async def test_every_other_path_is_the_applications(path: str) -> None:
    app = Recorder()

    answer = await http(OwnRoutes(app, services(), prefix="/auth"), path)

    assert (answer.body, len(app.scopes)) == (b"served", 1)


@pytest.mark.requirement("R-99", "refuses")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", "BREW", "WS"])
async def test_another_method_is_405_and_the_right_one_is_named(visit: Site, method: str) -> None:
    answer = await visit.client.request(method, "/auth/login") if method != "post" else None
    raw = await http(visit.app, "/auth/login", method=method)

    assert (raw.status, raw.header("allow")) == (405, ["POST"])
    assert answer is None or answer.status_code == 405


async def test_get_routes_allow_head(visit: Site) -> None:
    assert (await visit.client.post("/auth/me")).headers["allow"] == "GET, HEAD"


@pytest.mark.requirement("R-99", "holds")
@pytest.mark.parametrize("path", ["/auth/sessions", "/auth/api-keys"])
async def test_a_path_with_several_methods_names_them_all(visit: Site, path: str) -> None:
    answer = await visit.client.put(path)

    others = "DELETE, GET, HEAD" if path == "/auth/sessions" else "GET, HEAD, POST"
    assert (answer.status_code, answer.headers["allow"]) == (405, others)


@pytest.mark.requirement("R-97", "holds")
@pytest.mark.parametrize(("path", "allowed"), [("/auth/login", "POST"), ("/auth/me", "GET, HEAD")])
async def test_a_preflight_needs_no_credential_and_is_allowed_nothing_by_us(
    visit: Site, path: str, allowed: str
) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": allowed[:4].strip(",")}

    answer = await visit.client.options(path, headers=headers)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.requirement("R-97", "refuses")
async def test_options_is_no_way_around_the_credential(visit: Site) -> None:
    answer = await visit.client.options("/auth/me")

    assert answer.status_code == 405
    assert "email" not in answer.text


@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.parametrize("path", ["/auth/me", "/auth/login", "/auth/nothing", JWKS])
async def test_a_websocket_under_the_prefix_is_refused_and_never_reaches_the_application(path: str) -> None:
    app = Recorder()

    answer = await websocket(OwnRoutes(app, services(), prefix="/auth"), path)

    assert (answer.status, answer.accepted, app.scopes) == (404, False, [])


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "auth",
        "/auth/",
        "//auth",
        "/a//b",
        "/{name}",
        "/a/{name}",
        "/a/../b",
        "/a%20b",
        "/a?b",
        "GET /auth",
        "/a b\n",
    ],
)
def test_a_prefix_is_one_or_more_literal_segments(prefix: str) -> None:
    with pytest.raises(ConfigurationError):
        OwnRoutes(Recorder(), services(), prefix=prefix)


async def test_the_prefix_may_have_several_segments() -> None:
    auth = services()
    async with visiting(mount(api(), auth, prefix="/api/v1/auth"), auth) as visit:
        answer = await visit.post("register", {"email": EMAIL, "password": PASSWORD}, prefix="/api/v1/auth")
        elsewhere = await visit.post("register", {"email": EMAIL, "password": PASSWORD})

    assert (answer.status_code, elsewhere.status_code) == (201, 404)


@pytest.mark.requirement("R-84", "holds")
@pytest.mark.parametrize(("server", "given"), [("/root", ""), ("", "/root"), ("/root", "/other"), ("/root/", "")])
async def test_paths_are_taken_below_the_root_path(server: str, given: str) -> None:
    app = Recorder()
    routes = OwnRoutes(app, services(), prefix="/auth", root_path=given)

    below = await http(routes, "/root/auth/me", root_path=server)
    beside = await http(routes, "/rooted/auth/me", root_path=server)

    assert (below.status, beside.body) == (401, b"served")
    assert app.scopes[0]["path"] == "/rooted/auth/me"
    assert app.scopes[0]["root_path"] == server


@pytest.mark.requirement("R-84", "refuses")
async def test_the_host_header_decides_nothing() -> None:
    app = Recorder()
    hosts = [(b"host", b"evil.example/auth/me"), (b"x-forwarded-prefix", b"/auth"), (b"x-original-url", b"/auth/me")]

    answer = await drive(OwnRoutes(app, services(), prefix="/auth"), http_scope("/elsewhere", headers=hosts))

    assert answer.body == b"served"


async def test_a_client_that_disconnects_is_no_error(visit: Site, caplog: pytest.LogCaptureFixture) -> None:
    scope = http_scope("/auth/login", method="POST", headers=[(b"content-type", b"application/json")])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError

    await visit.app(scope, receive, send)

    assert caplog.records == []


@pytest.mark.parametrize("path", ["/auth/me", JWKS])
async def test_a_client_that_is_gone_before_the_answer_is_no_error(visit: Site, path: str) -> None:
    subject_gone = visit.auth.access_tokens.issue(
        subject="nobody", client_id="first-party", scopes=frozenset(), roles=frozenset(), epoch=0, auth_time=None
    )

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise OSError

    await visit.app(http_scope(path, headers=bearer(subject_gone.value)), receive, send)


async def test_the_scope_of_the_server_is_not_changed(visit: Site) -> None:
    scope = http_scope("/auth/me")
    before = dict(scope)

    await drive(visit.app, scope)

    assert scope == before


async def test_own_routes_open_the_services_at_need() -> None:
    auth = services()

    answer = await http(mount(Recorder(), auth), JWKS)

    assert answer.status == 200
    await auth.close()


CANARY = "canary5e1d"
segments = st.lists(st.sampled_from(["", "auth", "login", "me", ".", "..", CANARY, "%2f", "\\", "\n", "é", "\ud800"]))


@pytest.mark.requirement("R-17", "holds")
@pytest.mark.requirement("R-99", "holds")
@given(
    path=segments.map("/".join).map(lambda path: "/auth/" + path),
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", CANARY]),
    body=st.binary(max_size=60) | st.just(b'{"email": "canary5e1d", "password": "canary5e1d", "canary5e1d": 1}'),
    token=st.binary(max_size=40) | st.just(CANARY.encode()),
)
async def test_whatever_is_sent_the_answer_is_a_documented_4xx_without_any_of_it(
    path: str, method: str, body: bytes, token: bytes
) -> None:
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + token)]
    answer = Answer()

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        answer.sent.append(message)

    async with services() as auth:
        await AuthStack(Recorder(), auth)(http_scope(path, method=method, headers=headers), receive, send)

    assert answer.status in {204, 400, 401, 404, 405, 413, 415, 422}
    assert CANARY.encode() not in answer.body
    assert CANARY not in str(answer.headers)
