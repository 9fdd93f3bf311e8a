"""The whole stack around Starlette, FastAPI, Quart and Litestar, on a real uvicorn: http, websocket, lifespan."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import httpx
import litestar
import pytest
import quart
from litestar.handlers import websocket as litestar_websocket
from sites import EMAIL, ISSUER, PASSWORD, services, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asgi_auth.authorization import Policy, has_role, has_scope, public
from asgi_auth.middleware.authorization import check
from asgi_auth.services import AuthServices
from asgi_auth.stack import AuthStack
from asgi_auth.wire.asgi import ASGIApp

ADMIN = has_role("admin")
POLICY = Policy({"/public": public, "/articles/": has_scope("read:articles"), "WS /open": public})
Framework = Callable[[AuthServices, list[str]], ASGIApp]


def counting(auth: AuthServices, events: list[str]) -> Callable[[object], Any]:
    """A lifespan of the application's own, during all of which the services are open."""

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        assert await auth.accounts.get_by_email("nobody@example.com") is None
        events.append("startup")
        yield
        assert await auth.accounts.get_by_email("nobody@example.com") is None
        events.append("shutdown")

    return lifespan


def with_starlette(auth: AuthServices, events: list[str]) -> ASGIApp:
    async def articles(request: Request) -> JSONResponse:
        return JSONResponse({"reader": check(request).subject})

    async def admin(request: Request) -> JSONResponse:
        return JSONResponse({"reader": check(request, ADMIN).subject})

    async def echo(websocket: WebSocket) -> None:
        caller = check(websocket)
        await websocket.accept()
        await websocket.send_text(f"{caller.subject}: {await websocket.receive_text()}")
        await websocket.close()

    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        check(websocket, ADMIN)

    return Starlette(
        routes=[
            Route("/articles/7", articles),
            Route("/admin", admin),
            Route("/public", articles),
            WebSocketRoute("/live", echo),
            WebSocketRoute("/open", echo),
            WebSocketRoute("/late", late),
        ],
        lifespan=counting(auth, events),
    )


def with_fastapi(auth: AuthServices, events: list[str]) -> ASGIApp:
    app = fastapi.FastAPI(lifespan=counting(auth, events))

    @app.get("/public")
    @app.get("/articles/7")
    async def articles(request: fastapi.Request) -> dict[str, str]:
        return {"reader": check(request).subject}

    @app.get("/admin")
    async def admin(request: fastapi.Request) -> dict[str, str]:
        return {"reader": check(request, ADMIN).subject}

    @app.websocket("/open")
    @app.websocket("/live")
    async def echo(websocket: fastapi.WebSocket) -> None:
        caller = check(websocket)
        await websocket.accept()
        await websocket.send_text(f"{caller.subject}: {await websocket.receive_text()}")
        await websocket.close()

    @app.websocket("/late")
    async def late(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        check(websocket, ADMIN)

    return app


def with_quart(auth: AuthServices, events: list[str]) -> ASGIApp:
    app = quart.Quart(__name__)
    around = counting(auth, events)(app)
    app.before_serving(around.__aenter__)

    @app.after_serving
    async def stop() -> None:
        await around.__aexit__(None, None, None)

    @app.get("/public")
    @app.get("/articles/7")
    async def articles() -> dict[str, str]:
        return {"reader": check(quart.request).subject}

    @app.get("/admin")
    async def admin() -> dict[str, str]:
        return {"reader": check(quart.request, ADMIN).subject}

    @app.websocket("/open")
    @app.websocket("/live")
    async def echo() -> None:
        caller = check(quart.websocket)
        message = await quart.websocket.receive()
        assert isinstance(message, str)
        await quart.websocket.send(f"{caller.subject}: {message}")

    @app.websocket("/late")
    async def late() -> None:
        await quart.websocket.accept()
        check(quart.websocket, ADMIN)

    return app


def with_litestar(auth: AuthServices, events: list[str]) -> ASGIApp:
    @litestar.get(["/articles/7", "/public"])
    async def articles(request: litestar.Request[Any, Any, Any]) -> dict[str, str]:
        return {"reader": check(request).subject}

    @litestar.get("/admin")
    async def admin(request: litestar.Request[Any, Any, Any]) -> dict[str, str]:
        return {"reader": check(request, ADMIN).subject}

    @litestar_websocket(["/live", "/open"])
    async def echo(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        caller = check(socket)
        await socket.accept()
        await socket.send_text(f"{caller.subject}: {await socket.receive_text()}")
        await socket.close()

    @litestar_websocket("/late")
    async def late(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        check(socket, ADMIN)

    handlers = [articles, admin, echo, late]
    return litestar.Litestar(handlers, lifespan=[counting(auth, events)], logging_config=None)


FRAMEWORKS: dict[str, Framework] = {
    "starlette": with_starlette,
    "fastapi": with_fastapi,
    "quart": with_quart,
    "litestar": with_litestar,
}


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> Framework:
    return FRAMEWORKS[request.param]


@asynccontextmanager
async def visiting(framework: Framework) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str], str]]:
    """A client, the header of a signed-in user, and the user's subject."""
    auth = services()
    app = AuthStack(framework(auth, []), auth, policy=POLICY)
    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        ada = {"email": EMAIL, "password": PASSWORD}
        subject = (await client.post("/auth/register", json=ada)).json()["subject"]
        token = (await client.post("/auth/login", json=ada)).json()["access_token"]
        yield client, {"Authorization": f"Bearer {token}"}, subject


BARE = f'Bearer realm="{ISSUER}"'
EVERY = f'{BARE}, ApiKey realm="{ISSUER}", Session realm="{ISSUER}"'


@pytest.mark.requirement("R-85", "holds")
async def test_login_bearer_and_check(framework: Framework) -> None:
    async with visiting(framework) as (client, signed_in, subject):
        articles = await client.get("/articles/7", headers=signed_in)
        me = await client.get("/auth/me", headers=signed_in)

    assert (articles.status_code, articles.json()) == (200, {"reader": subject})
    assert me.json()["subject"] == subject


@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.requirement("R-99", "refuses")
async def test_refusals_come_with_their_challenges(framework: Framework) -> None:
    async with visiting(framework) as (client, signed_in, _):
        by_policy = await client.get("/articles/7")
        by_check = await client.get("/public")
        unknown = await client.get("/nowhere")
        junk = await client.get("/articles/7", headers={"Authorization": "Bearer junk"})
        not_admin = await client.get("/admin", headers=signed_in)

    assert [answer.status_code for answer in (by_policy, by_check, unknown, junk, not_admin)] == [
        401,
        401,
        401,
        401,
        403,
    ]
    assert [answer.headers["www-authenticate"] for answer in (by_policy, by_check, unknown)] == [EVERY] * 3
    assert junk.headers["www-authenticate"].startswith(f'{BARE}, error="invalid_token"')
    assert by_policy.json()["code"] == "not_authenticated"


@pytest.mark.requirement("R-96", "holds")
async def test_a_websocket_of_a_signed_in_caller_is_served(framework: Framework) -> None:
    async with (
        visiting(framework) as (client, signed_in, subject),
        connect(f"ws://{client.base_url.netloc.decode()}/live", additional_headers=signed_in) as socket,
    ):
        await socket.send("hello")

        assert await socket.recv() == f"{subject}: hello"


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("path", ["/live", "/open", "/nowhere", "/auth/me"])
async def test_a_websocket_of_anybody_else_is_refused_in_the_handshake(framework: Framework, path: str) -> None:
    async with visiting(framework) as (client, _, _):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{client.base_url.netloc.decode()}{path}")

    assert refused.value.response.status_code == (404 if path == "/auth/me" else 401)


@pytest.mark.requirement("R-96", "refuses")
async def test_a_websocket_refused_after_it_was_accepted_is_closed_with_4403(framework: Framework) -> None:
    async with (
        visiting(framework) as (client, signed_in, _),
        connect(f"ws://{client.base_url.netloc.decode()}/late", additional_headers=signed_in) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert socket.close_code == 4403


async def test_the_services_are_open_during_all_of_the_applications_lifespan(framework: Framework) -> None:
    auth = services()
    events: list[str] = []

    async with serving(AuthStack(framework(auth, events), auth)) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/.well-known/jwks.json")

    assert answer.status_code == 200
    assert events == ["startup", "shutdown"]


@pytest.mark.requirement("R-84", "holds")
async def test_below_the_root_path_of_the_server_everything_is_the_same(framework: Framework) -> None:
    auth = services()
    app = AuthStack(framework(auth, []), auth, policy=POLICY)
    async with serving(app, root_path="/api") as port, httpx.AsyncClient() as client:
        site = f"http://127.0.0.1:{port}"
        ada = {"email": EMAIL, "password": PASSWORD}
        registered = await client.post(f"{site}/auth/register", json=ada)
        token = (await client.post(f"{site}/auth/login", json=ada)).json()["access_token"]
        articles = await client.get(f"{site}/articles/7", headers={"Authorization": f"Bearer {token}"})
        anonymous = await client.get(f"{site}/articles/7")

    assert [answer.status_code for answer in (registered, articles, anonymous)] == [201, 200, 401]
