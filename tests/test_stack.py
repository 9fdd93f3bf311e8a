"""The whole stack, and composing it by hand."""

from typing import Any

import pytest
from harness import Recorder, bearer, drive, http, websocket
from sites import CHALLENGES, EMAIL, PASSWORD, api, services, site, visiting
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from asgi_auth.authorization import Policy, authenticated, has_role, public
from asgi_auth.errors import ConfigurationError
from asgi_auth.middleware.authorization import AuthorizationMiddleware, Require
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous
from asgi_auth.stack import AuthStack, chain, mount
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send


@pytest.mark.requirement("R-83", "refuses")
async def test_what_no_rule_names_needs_an_authenticated_caller() -> None:
    async with site() as visit:
        for path in ("/private", "/nowhere"):
            answer = await visit.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
            assert answer.headers["www-authenticate"] == CHALLENGES


@pytest.mark.requirement("R-83", "holds")
async def test_the_policy_decides_who_may_do_what() -> None:
    async with site() as visit:
        user = (await visit.sign_up())["access_token"]
        await visit.auth.accounts.register("root@example.com", PASSWORD, roles={"admin"})
        admin = (await visit.login("root@example.com"))["access_token"]
        statuses = {
            (path, name): (await visit.get(path, token)).status_code
            for path in ("/public", "/private", "/admin/report", "/nowhere")
            for name, token in (("", ""), ("user", user), ("admin", admin))
        }

    assert statuses == {
        ("/public", ""): 200,
        ("/public", "user"): 200,
        ("/public", "admin"): 200,
        ("/private", ""): 401,
        ("/private", "user"): 200,
        ("/private", "admin"): 200,
        ("/admin/report", ""): 401,
        ("/admin/report", "user"): 403,
        ("/admin/report", "admin"): 200,
        ("/nowhere", ""): 401,
        ("/nowhere", "user"): 404,
        ("/nowhere", "admin"): 404,
    }


async def test_a_token_that_is_not_valid_is_refused_on_public_paths_too() -> None:
    async with site() as visit:
        answer = await visit.get("/public", "junk")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    "pattern", ["/auth", "/auth/", "/auth/me", "POST /auth/login", "/auth/{x}", "/.well-known/jwks.json"]
)
def test_a_rule_for_our_own_routes_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="our own routes"):
        AuthStack(api(), services(), policy=Policy({pattern: public}))


@pytest.mark.parametrize("pattern", ["/", "/authority", "/.well-known/", "/{x}/me", "/x/auth/"])
def test_rules_around_our_own_routes_are_taken(pattern: str) -> None:
    AuthStack(api(), services(), policy=Policy({pattern: public}))


def test_with_another_prefix_rules_under_auth_are_the_applications() -> None:
    AuthStack(api(), services(), policy=Policy({"/auth/": public}), prefix="/accounts")
    AuthStack(api(), services(), policy=Policy({"/auth/": public}), prefix=None)


@pytest.mark.requirement("R-85", "holds")
async def test_public_rules_do_not_open_our_owned_routes() -> None:
    auth = services()
    async with visiting(AuthStack(api(), auth, policy=Policy({"/": public})), auth) as visit:
        assert (await visit.get("/auth/me")).status_code == 401
        assert (await visit.get("/public")).status_code == 200


async def test_without_a_prefix_there_are_no_routes_of_ours() -> None:
    auth = services()
    app = Recorder()
    async with visiting(AuthStack(app, auth, prefix=None, policy=Policy({"/": public})), auth) as visit:
        for path in ("/auth/login", "/.well-known/jwks.json"):
            assert (await visit.get(path)).text == "served"


@pytest.mark.requirement("R-85", "refuses")
async def test_another_kind_of_scope_is_refused_before_anything_is_called() -> None:
    app = Recorder()
    for outermost in (AuthStack(app, services()), mount(app, services())):
        with pytest.raises(ConfigurationError):
            await drive(outermost, {"type": "webtransport", "path": "/auth/me", "headers": []})

    assert app.scopes == []


@pytest.mark.requirement("R-85", "holds")
async def test_a_websocket_takes_the_same_way() -> None:
    app = Recorder()
    async with site() as visit:
        token = (await visit.sign_up())["access_token"]
        stack = AuthStack(app, visit.auth)

        refused = await websocket(stack, "/live")
        accepted = await websocket(stack, "/live", headers=bearer(token))

    assert (refused.status, refused.accepted) == (401, False)
    assert (accepted.accepted, len(app.scopes)) == (True, 1)


async def test_without_a_lifespan_the_first_request_opens_the_services() -> None:
    auth = services()
    stack = AuthStack(api(), auth, policy=Policy({"/": public}))

    assert (await http(stack, "/public")).status == 200
    assert (await websocket(AuthStack(Recorder(), auth), "/live")).status == 401
    await auth.close()


async def test_the_root_path_may_be_given() -> None:
    auth = services()
    stack = AuthStack(Recorder(), auth, policy=Policy({"/public": public}), root_path="/api")
    async with auth:
        assert (await http(stack, "/api/public")).body == b"served"
        assert (await http(stack, "/api/auth/me")).status == 401
        assert (await http(stack, "/api/auth/nothing")).status == 404


def test_an_application_with_another_root_path_of_its_own_is_refused() -> None:
    class Rooted(Recorder):
        root_path = "/v1"

    AuthStack(Rooted(), services(), root_path="/v1")
    with pytest.raises(ConfigurationError):
        AuthStack(Rooted(), services())


class Layer:
    """Notes its name on the way in."""

    def __init__(self, app: ASGIApp, *, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "way": [*scope.get("way", ()), self.name]}, receive, send)


async def test_a_chain_is_named_in_the_order_in_which_a_request_travels() -> None:
    app = Recorder()

    await http(chain(app, Middleware(Layer, name="first"), Middleware(Layer, name="second")))

    assert app.scopes[0]["way"] == ["first", "second"]
    assert chain(app) is app


@pytest.mark.requirement("R-85", "holds")
async def test_the_parts_composed_by_hand_do_the_same() -> None:
    auth = services()
    sub_application = Require(api(), has_role("admin"))
    app = mount(
        chain(
            sub_application,
            Middleware(BearerMiddleware, access_tokens=auth.access_tokens),
            Middleware(AuthorizationMiddleware, policy=Policy({"/": authenticated})),
        ),
        auth,
    )
    async with visiting(app, auth) as visit:
        token = (await visit.sign_up())["access_token"]

        assert (await visit.get("/private")).status_code == 401
        assert (await visit.get("/private", token)).status_code == 403


async def test_mount_is_complete_inside_layers_of_the_applications_own() -> None:
    """Whoever stands around it: a foreign scope["auth"] opens no owned route."""
    auth = services()

    class Foreign:
        is_authenticated = True
        scopes = frozenset({"*"})

    inner = mount(api(), auth)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "auth": Foreign(), "user": Foreign()}, receive, send)

    async with visiting(outer, auth) as visit:
        assert (await visit.get("/auth/me")).status_code == 401
        assert (await visit.get("/auth/me", (await visit.sign_up())["access_token"])).status_code == 200


@pytest.mark.requirement("R-97", "holds")
async def test_cors_middleware_outside_puts_its_headers_on_refusals_too() -> None:
    auth = services()
    app = CORSMiddleware(AuthStack(api(), auth), allow_origins=["https://app.example"])
    async with visiting(app, auth) as visit:
        refused = await visit.client.get("/private", headers={"Origin": "https://app.example"})

    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.requirement("R-97", "refuses")
async def test_the_stack_passes_preflights_and_nothing_else_of_options() -> None:
    auth = services()
    app = Recorder()
    async with visiting(AuthStack(app, auth), auth) as visit:
        origin = {"Origin": "https://app.example"}
        preflight = origin | {"Access-Control-Request-Method": "GET"}
        passed = await visit.client.options("/private", headers=preflight)
        plain = await visit.client.options("/private", headers=origin)

    assert (passed.status_code, plain.status_code) == (200, 401)
    assert len(app.scopes) == 1
    assert isinstance(app.scopes[0]["auth"], Anonymous)


async def test_the_lifespan_opens_the_services_around_the_applications_own() -> None:
    auth = services()
    seen: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for phase in ("startup", "shutdown"):
            await receive()
            seen.append(await auth.accounts.get_by_email(EMAIL) is None)
            await send({"type": f"lifespan.{phase}.complete"})

    answer = await drive_lifespan(AuthStack(app, auth))

    assert answer == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen == [True, True]


async def test_mount_passes_the_lifespan_on_and_opens_nothing() -> None:
    auth = services()
    started: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.append(scope)

    scope: Scope = {"type": "lifespan"}
    await drive(mount(app, auth), scope)

    assert started == [scope]


async def drive_lifespan(app: ASGIApp) -> list[str]:
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(events)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    return sent
