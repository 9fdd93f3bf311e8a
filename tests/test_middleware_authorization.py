from typing import Any

import pytest
from harness import ADMIN, REALM, USER, Answer, Recorder, Tokens, bearer, drive, http, http_scope, websocket
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.authorization import Policy, authenticated, has_role, has_scope, public
from asgi_auth.errors import ConfigurationError, Denied, InsufficientScope, NotAuthenticated, StoreUnavailable
from asgi_auth.middleware.authorization import AuthorizationMiddleware, Require, allows, check, get_auth
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous, Auth
from asgi_auth.wire.asgi import ASGIApp

POLICY = Policy({"/open": public, "/admin/": has_role("admin"), "GET /articles/": has_scope("read:articles")})
BARE = f'Bearer realm="{REALM}"'
PROTOCOLS = pytest.mark.parametrize("call", [http, websocket])


@pytest.fixture
def inner() -> Recorder:
    return Recorder()


@pytest.fixture
def app(inner: Recorder) -> ASGIApp:
    return BearerMiddleware(AuthorizationMiddleware(inner, policy=POLICY), access_tokens=Tokens())


@PROTOCOLS
@pytest.mark.requirement("R-85", "holds")
async def test_whom_the_policy_lets_through_reaches_the_application(call: Any, app: ASGIApp, inner: Recorder) -> None:
    await call(app, "/open")
    await call(app, "/admin/report", headers=bearer("admin"))

    assert [scope["auth"] for scope in inner.scopes] == [Anonymous((BARE,)), ADMIN]


@PROTOCOLS
@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.parametrize(
    ("path", "token", "status"),
    [("/admin", "", 401), ("/admin", "user", 403), ("/anything", "", 401), ("/articles/../open", "admin", 400)],
)
async def test_whom_it_refuses_does_not(
    call: Any, path: str, token: str, status: int, app: ASGIApp, inner: Recorder
) -> None:
    """PYSEC-2026-4047: a websocket passed beside the guard of http."""
    answer: Answer = await call(app, path, headers=bearer(token) if token else [])

    assert inner.scopes == []
    assert answer.status == status
    assert answer.problem["status"] == status
    assert answer.challenges == ([BARE] if status == 401 else [])


async def test_the_decision_is_the_same_when_it_is_remembered(inner: Recorder) -> None:
    app = AuthorizationMiddleware(inner, policy=POLICY)
    for number in range(3000):
        assert (await http(app, f"/admin/{number % 1500}", auth=USER)).status == 403
        assert (await http(app, "/admin/" + "x" * 300, auth=USER)).status == 403
    assert (await http(app, "/admin/1", auth=ADMIN)).status == 200
    assert (await http(app, "/admin/1", auth=USER)).status == 403
    assert (await http(app, "/articles", auth=USER)).status == 200
    assert (await http(app, "/articles", auth=USER, method="POST")).status == 403
    assert (await websocket(app, "/articles", auth=USER)).status == 403
    assert (await http(app, "/articles", auth=USER, method="WS")).status == 403
    assert (await http(app, "/articles/admin", auth=USER)).status == 200
    assert (await http(app, "/articles/admin", auth=USER, root_path="/articles")).status == 403


@pytest.mark.requirement("R-84", "refuses")
@given(st.text(), st.sampled_from(["", "/api", "/admin"]), st.text(max_size=8))
async def test_whatever_the_path_and_method_nobody_unknown_passes_and_nothing_breaks(
    tail: str, root_path: str, method: str
) -> None:
    app = AuthorizationMiddleware(Recorder(), policy=POLICY)
    scope = http_scope(f"/admin/{tail}", auth=Anonymous(), root_path=root_path, method=method)
    answer = await drive(app, scope)

    assert answer.status in (400, 401)


@pytest.mark.requirement("R-84", "refuses")
@pytest.mark.parametrize("method", ["get", "Get", "post", "ß"])
async def test_a_method_that_is_not_upper_case_is_refused(method: str, app: ASGIApp, inner: Recorder) -> None:
    """Quart upper-cases it, Starlette does not: a rule for POST would not be asked about ``post``."""
    answer = await http(app, "/open", method=method, headers=bearer("admin"))

    assert answer.status == 400
    assert inner.scopes == []


async def test_alone_it_installs_the_edge_and_passes_who_is_there(inner: Recorder) -> None:
    scope = http_scope("/open", auth=USER)
    before = dict(scope)

    await drive(AuthorizationMiddleware(inner, policy=POLICY), scope)

    assert scope == before
    assert inner.scopes[0]["auth"] is USER
    assert "asgi_auth" in inner.scopes[0]


@pytest.mark.requirement("R-84", "holds")
async def test_a_root_path_is_filled_in_for_the_application_too(inner: Recorder) -> None:
    app = AuthorizationMiddleware(inner, policy=POLICY, root_path="/api")

    await http(app, "/api/open", auth=USER)
    await http(app, "/pre/open", auth=USER, root_path="/pre")

    assert [scope["root_path"] for scope in inner.scopes] == ["/api", "/pre"]


class Own:
    def __init__(self, root_path: Any) -> None:
        self.root_path = root_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError


def test_an_application_with_a_root_path_of_its_own_must_agree() -> None:
    AuthorizationMiddleware(Own("/api/"), policy=POLICY, root_path="/api")
    AuthorizationMiddleware(Own(""), policy=POLICY, root_path="/api")
    AuthorizationMiddleware(Own(None), policy=POLICY)
    with pytest.raises(ConfigurationError, match="root_path"):
        AuthorizationMiddleware(Own("/api"), policy=POLICY)
    with pytest.raises(ConfigurationError, match="root_path"):
        AuthorizationMiddleware(Require(Own("/api"), public), policy=POLICY)


GUARDS = pytest.mark.parametrize(
    "guard", [lambda app: AuthorizationMiddleware(app, policy=POLICY), lambda app: Require(app, authenticated)]
)


@GUARDS
@PROTOCOLS
@pytest.mark.requirement("R-83", "refuses")
async def test_without_a_layer_before_a_guard_lets_nothing_through(guard: Any, call: Any, inner: Recorder) -> None:
    with pytest.raises(ConfigurationError, match="no layer of asgi_auth ran"):
        await call(guard(inner), "/open")
    assert inner.scopes == []


@GUARDS
@PROTOCOLS
@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize("foreign", [object(), True, {"scopes": ["*"]}, None, ConfigurationError("x")])
async def test_a_foreign_object_before_a_guard_lets_nothing_through(
    guard: Any, call: Any, foreign: object, inner: Recorder
) -> None:
    async def replacing(scope: Any, receive: Any, send: Any) -> None:
        await guard(inner)({**scope, "auth": foreign}, receive, send)

    with pytest.raises(ConfigurationError, match="replaced"):
        await call(BearerMiddleware(replacing, access_tokens=Tokens()), "/open", headers=bearer("admin"))
    assert inner.scopes == []


@GUARDS
@pytest.mark.requirement("R-97", "holds")
async def test_a_preflight_passes_without_a_credential(guard: Any, inner: Recorder) -> None:
    app = BearerMiddleware(guard(inner), access_tokens=Tokens())
    headers = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"PUT")]

    assert (await http(app, "/admin", method="OPTIONS", headers=headers)).status == 200


@GUARDS
@pytest.mark.requirement("R-97", "refuses")
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
async def test_nothing_else_passes_as_a_preflight(guard: Any, method: str, inner: Recorder) -> None:
    app = BearerMiddleware(guard(inner), access_tokens=Tokens())
    headers = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"PUT")]

    assert (await http(app, "/admin", method=method, headers=headers[: 1 if method == "OPTIONS" else 2])).status == 401
    assert (await websocket(app, "/admin", headers=headers)).status == 401


@GUARDS
@pytest.mark.requirement("R-85", "holds")
async def test_lifespan_passes_the_guards(guard: Any, inner: Recorder) -> None:
    await guard(inner)({"type": "lifespan"}, None, None)

    assert inner.scopes == [{"type": "lifespan"}]


@GUARDS
@pytest.mark.requirement("R-85", "refuses")
async def test_an_unknown_kind_of_connection_is_refused_by_the_guards(guard: Any, inner: Recorder) -> None:
    with pytest.raises(ConfigurationError, match="http and websocket"):
        await guard(inner)({"type": "webtransport", "auth": ADMIN, "path": "/open"}, None, None)
    assert inner.scopes == []


@PROTOCOLS
async def test_require_guards_a_sub_application_whatever_its_path(call: Any, inner: Recorder) -> None:
    app = BearerMiddleware(Require(inner, has_scope("write:articles")), access_tokens=Tokens())

    refused = await call(app, "/../x", headers=bearer("user"))
    await call(app, "/../x", headers=bearer("admin"))

    assert refused.status == 403
    assert refused.challenges == [
        f'{BARE}, error="insufficient_scope", '
        'error_description="The credential does not have the scopes this needs.", scope="write:articles"'
    ]
    assert len(inner.scopes) == 1


@pytest.mark.requirement("R-83", "refuses")
async def test_a_requirement_that_cannot_be_decided_is_a_503(inner: Recorder) -> None:
    def down(auth: Auth) -> Denied | None:
        raise StoreUnavailable

    answer = await http(BearerMiddleware(Require(inner, down), access_tokens=Tokens()))

    assert (answer.status, answer.header("retry-after")) == (503, ["1"])
    assert inner.scopes == []
    with pytest.raises(StoreUnavailable):
        check({"auth": USER}, down)


class Connection(dict[str, Any]):
    """Starlette's connections are mappings and have a scope."""

    def __init__(self, scope: dict[str, Any]) -> None:
        super().__init__()
        self.scope = scope


CONNECTIONS = pytest.mark.parametrize("wrap", [dict, Connection])


@CONNECTIONS
def test_check_gives_the_principal(wrap: Any) -> None:
    assert check(wrap({"auth": USER})) is USER
    assert check(wrap({"auth": USER}), has_scope("read:articles")) is USER


@CONNECTIONS
def test_check_raises_the_denial_with_its_challenges_on_one_line(wrap: Any) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        check(wrap({"auth": Anonymous(("A", "B"))}))
    assert caught.value.headers == {"WWW-Authenticate": "A, B"}

    with pytest.raises(InsufficientScope) as missing:
        check(wrap({"auth": USER}), has_scope("write:articles"))
    assert missing.value.status_code == 403


def test_check_never_returns_anonymous_even_where_everybody_passes() -> None:
    with pytest.raises(NotAuthenticated):
        check({"auth": Anonymous()}, public)


@CONNECTIONS
def test_allows_answers_without_an_exception(wrap: Any) -> None:
    assert allows(wrap({"auth": USER}), has_role("user"))
    assert not allows(wrap({"auth": USER}), has_role("admin"))
    assert not allows(wrap({"auth": Anonymous()}), authenticated)


@CONNECTIONS
def test_get_auth_gives_whoever_it_is(wrap: Any) -> None:
    assert get_auth(wrap({"auth": USER})) is USER
    assert get_auth(wrap({"auth": Anonymous()})) == Anonymous()


@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize("scope", [{}, {"auth": None}, {"auth": object(), "user": ADMIN}])
def test_questions_without_a_layer_before_are_a_configuration_error(scope: dict[str, Any]) -> None:
    for question in (check, get_auth, lambda asked: allows(asked, public)):
        with pytest.raises(ConfigurationError):
            question(scope)
