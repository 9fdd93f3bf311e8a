"""The session in Starlette, FastAPI, Litestar and Quart: read and written where each of them keeps it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import fastapi
import httpx
import litestar
import pytest
import quart
from session_tools import ANNA, World, opened
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.stack import AuthStack
from asgi_auth.stores import MemoryStores
from asgi_auth.wire.asgi import ASGIApp

ISSUER = "https://api.example"
OURS = {"Origin": ISSUER}


def visit(session: Any) -> list[int]:
    """Count the visits in a list that grows, whatever the framework calls the mapping."""
    visits: list[int] = session.setdefault("visits", [])
    visits.append(len(visits))
    return visits


def starlette() -> ASGIApp:
    def count(request: Request) -> JSONResponse:
        return JSONResponse(visit(request.session))

    async def enter(request: Request) -> JSONResponse:
        principal = await get_session(request).login(ANNA)
        return JSONResponse(principal.subject)

    async def leave(request: Request) -> JSONResponse:
        await get_session(request).logout()
        return JSONResponse(dict(request.session))

    def spoil(request: Request) -> JSONResponse:
        request.session["visits"] = object()
        return JSONResponse(None)

    routes = [
        Route("/count", count, methods=["GET", "POST"]),
        Route("/enter", enter, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
        Route("/spoil", spoil),
    ]
    return Starlette(routes=routes)


def fastapi_app() -> ASGIApp:
    app = fastapi.FastAPI()

    def count(request: fastapi.Request) -> list[int]:
        return visit(request.session)

    async def enter(request: fastapi.Request) -> str:
        return (await get_session(request).login(ANNA)).subject

    async def leave(request: fastapi.Request) -> dict[str, Any]:
        await get_session(request).logout()
        return dict(request.session)

    app.add_api_route("/count", count, methods=["GET", "POST"])
    app.add_api_route("/enter", enter, methods=["POST"])
    app.add_api_route("/leave", leave, methods=["POST"])
    return app


def litestar_app() -> ASGIApp:
    @litestar.route("/count", http_method=["GET", "POST"], status_code=200)
    async def count(request: litestar.Request[Any, Any, Any]) -> list[int]:
        return visit(request.session)

    @litestar.post("/enter", status_code=200)
    async def enter(request: litestar.Request[Any, Any, Any]) -> str:
        return (await get_session(request).login(ANNA)).subject

    @litestar.post("/leave", status_code=200)
    async def leave(request: litestar.Request[Any, Any, Any]) -> dict[str, Any]:
        await get_session(request).logout()
        return dict(request.session)

    return litestar.Litestar([count, enter, leave])


def quart_app() -> ASGIApp:
    app = quart.Quart("app")

    async def count() -> Any:
        return quart.jsonify(visit(get_session(quart.request.scope)))

    async def enter() -> Any:
        return quart.jsonify((await get_session(quart.request.scope).login(ANNA)).subject)

    async def leave() -> Any:
        session = get_session(quart.request.scope)
        await session.logout()
        return quart.jsonify(dict(session))

    app.add_url_rule("/count", view_func=count, methods=["GET", "POST"])
    app.add_url_rule("/enter", view_func=enter, methods=["POST"])
    app.add_url_rule("/leave", view_func=leave, methods=["POST"])
    return app


APPLICATIONS: dict[str, Callable[[], ASGIApp]] = {
    "starlette": starlette,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


def client(app: ASGIApp, *, fails: bool = True) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=fails), base_url=ISSUER)


@pytest.mark.parametrize("framework", APPLICATIONS)
async def test_a_handler_reads_and_writes_the_session(world: World, framework: str) -> None:
    app = SessionMiddleware(APPLICATIONS[framework](), sessions=world.sessions)
    async with client(app) as browser, client(app) as other:
        counts = [(await browser.get("/count")).json() for _ in range(3)]
        foreign = await browser.post("/count", headers={"Origin": "https://evil.example"})
        others = (await other.get("/count")).json()

    assert counts == [[0], [0, 1], [0, 1, 2]]
    assert (foreign.status_code, others) == (403, [0])


@pytest.mark.parametrize("framework", APPLICATIONS)
async def test_a_handler_signs_in_and_out(world: World, framework: str) -> None:
    app = AuthStack(APPLICATIONS[framework](), world.auth, policy=None)
    signing_in = SessionMiddleware(APPLICATIONS[framework](), sessions=world.sessions)
    async with client(signing_in) as browser:
        await browser.get("/count")
        assert ANNA in (await browser.post("/enter", headers=OURS)).text
        cookies = browser.cookies
        async with client(app) as signed_in:
            signed_in.cookies = cookies
            inside = await signed_in.get("/count")
            left = await signed_in.post("/leave", headers=OURS)
            outside = await signed_in.get("/count")

    assert (inside.status_code, inside.json(), left.json(), outside.status_code) == (200, [0, 1], {}, 401)
    assert inside.headers.get_list("cache-control") == ["no-store"]


async def test_data_that_is_no_json_is_the_handlers_own_error(world: World) -> None:
    app = SessionMiddleware(starlette(), sessions=world.sessions)
    async with client(app, fails=False) as browser:
        answer = await browser.get("/spoil")

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert world.journal.entries == []
