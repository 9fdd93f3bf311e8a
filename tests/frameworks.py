"""The same small application in Starlette, FastAPI, Litestar and Quart, with its secrets counted.

``/admin/…`` and ``/sub/…`` belong to administrators. ``/check`` and the sockets below it ask in the handler.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import fastapi
import litestar
import quart
from litestar.handlers import asgi as litestar_asgi
from litestar.handlers import websocket as litestar_websocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_auth.authorization import Policy, has_role, has_scope, public
from asgi_auth.middleware.authorization import Require, check
from asgi_auth.wire.asgi import ASGIApp, Receive, Scope, Send

SECRET = "the administrator's report"
WRITE = has_scope("write:articles")


def policy() -> Policy:
    return Policy(
        {
            "/": public,
            "/admin/": has_role("admin"),
            "/sub/": has_role("admin"),
            "/articles/{id}": public,
            "POST /articles/{id}": has_role("admin"),
        }
    )


@dataclass
class Example:
    """An application, and the secrets it has served."""

    app: ASGIApp
    secrets: list[str] = field(default_factory=list)


class Mounted:
    """A raw ASGI application that gives its secret away on every path and method."""

    def __init__(self, secrets: list[str]) -> None:
        self.secrets = secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self.secrets.append("mounted socket")
            await send({"type": "websocket.close", "code": 1000})
        else:
            self.secrets.append("mounted")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": SECRET.encode()})


def starlette(**options: Any) -> Example:
    secrets: list[str] = []

    def report(request: Request) -> PlainTextResponse:
        secrets.append(f"{request.method} {request.url.path}")
        return PlainTextResponse(SECRET)

    def article(request: Request) -> PlainTextResponse:
        if request.method == "POST":
            secrets.append("posted")
        return PlainTextResponse("article")

    def checked(request: Request) -> PlainTextResponse:
        return PlainTextResponse(check(request, WRITE).subject)

    async def live(websocket: WebSocket) -> None:
        secrets.append("live")
        await websocket.accept()
        await websocket.close()

    async def handshake(websocket: WebSocket) -> None:
        check(websocket, WRITE)
        await websocket.accept()
        await websocket.close()

    async def accepted(websocket: WebSocket) -> None:
        await websocket.accept()
        check(websocket, WRITE)
        await websocket.close()

    routes = [
        Route("/admin/report", report, methods=["GET", "POST"]),
        Route("/articles/{id}", article, methods=["GET", "POST"]),
        Route("/check", checked),
        WebSocketRoute("/admin/live", live),
        WebSocketRoute("/check/handshake", handshake),
        WebSocketRoute("/check/accepted", accepted),
        Mount("/sub", Mounted(secrets)),
    ]
    return Example(Starlette(routes=routes, **options), secrets)


def with_fastapi(**options: Any) -> Example:
    secrets: list[str] = []
    app = fastapi.FastAPI(openapi_url=None, **options)

    @app.api_route("/admin/report", methods=["GET", "POST"])
    def report() -> str:
        secrets.append("report")
        return SECRET

    @app.get("/articles/{id}")
    def article(id: str) -> str:
        return "article"

    @app.post("/articles/{id}")
    def post_article(id: str) -> str:
        secrets.append("posted")
        return SECRET

    @app.get("/check")
    def checked(request: fastapi.Request) -> str:
        return check(request, WRITE).subject

    @app.websocket("/admin/live")
    async def live(websocket: fastapi.WebSocket) -> None:
        secrets.append("live")
        await websocket.accept()
        await websocket.close()

    @app.websocket("/check/handshake")
    async def handshake(websocket: fastapi.WebSocket) -> None:
        check(websocket, WRITE)
        await websocket.accept()
        await websocket.close()

    @app.websocket("/check/accepted")
    async def accepted(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        check(websocket, WRITE)
        await websocket.close()

    app.mount("/sub", Mounted(secrets))
    return Example(app, secrets)


def with_litestar(**options: Any) -> Example:
    secrets: list[str] = []

    @litestar.route("/admin/report", http_method=["GET", "POST"], status_code=200, sync_to_thread=False)
    def report() -> str:
        secrets.append("report")
        return SECRET

    @litestar.get("/articles/{id:str}", sync_to_thread=False)
    def article() -> str:
        return "article"

    @litestar.post("/articles/{id:str}", sync_to_thread=False)
    def post_article() -> str:
        secrets.append("posted")
        return SECRET

    @litestar.get("/check", sync_to_thread=False)
    def checked(request: litestar.Request[Any, Any, Any]) -> str:
        return check(request, WRITE).subject

    @litestar_websocket("/admin/live")
    async def live(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        secrets.append("live")
        await socket.accept()
        await socket.close()

    @litestar_websocket("/check/handshake")
    async def handshake(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        check(socket, WRITE)
        await socket.accept()
        await socket.close()

    @litestar_websocket("/check/accepted")
    async def accepted(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        check(socket, WRITE)
        await socket.close()

    # Litestar sends every path that begins with the mount's letters to it, `/subway` too: a perimeter of
    # segments cannot know that, so the requirement stands around the mounted application.
    sub = litestar_asgi("/sub", is_mount=True, copy_scope=True)(Require(Mounted(secrets), has_role("admin")).__call__)
    handlers = [report, article, post_article, checked, live, handshake, accepted, sub]
    return Example(litestar.Litestar(handlers, openapi_config=None, logging_config=None, **options), secrets)


def with_quart(**options: Any) -> Example:
    secrets: list[str] = []
    app = quart.Quart(__name__, **options)

    @app.route("/admin/report", methods=["GET", "POST"])
    async def report() -> str:
        secrets.append("report")
        return SECRET

    @app.route("/sub/<path:rest>", methods=["GET", "POST"])
    async def sub(rest: str) -> str:
        secrets.append("sub")
        return SECRET

    @app.get("/articles/<id>")
    async def article(id: str) -> str:
        return "article"

    @app.post("/articles/<id>")
    async def post_article(id: str) -> str:
        secrets.append("posted")
        return SECRET

    @app.get("/check")
    async def checked() -> str:
        return check(quart.request, WRITE).subject

    @app.websocket("/admin/live")
    async def live() -> None:
        secrets.append("live")
        await quart.websocket.accept()

    @app.websocket("/check/handshake")
    async def handshake() -> None:
        check(quart.websocket, WRITE)
        await quart.websocket.accept()

    @app.websocket("/check/accepted")
    async def accepted() -> None:
        await quart.websocket.accept()
        check(quart.websocket, WRITE)

    return Example(app, secrets)


FRAMEWORKS: dict[str, Callable[..., Example]] = {
    "starlette": starlette,
    "fastapi": with_fastapi,
    "litestar": with_litestar,
    "quart": with_quart,
}
