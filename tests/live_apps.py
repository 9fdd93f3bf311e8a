"""Streams and sockets that live on, the same in Starlette, FastAPI, Litestar and Quart, and who has left them.

Under ``/idle``, ``/steady`` and ``/flood`` is a stream, and under ``/ws/receive``, ``/ws/push``, ``/ws/sleep`` and
``/ws/flood`` a socket; ``/length`` is a response that announces its length.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import fastapi
import litestar
import quart
from litestar.handlers import websocket as litestar_websocket
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_auth.wire.asgi import ASGIApp

LENGTH = 3 * 1024
CHUNK = "x" * 65_536


@dataclass
class Live:
    """An application, and what has become of its streams and sockets."""

    app: ASGIApp = field(init=False)
    sent: int = 0
    """Messages that the application has sent."""
    left: int = 0
    """How many have come to their ``finally``."""
    after_the_end: list[str] = field(default_factory=list)
    """What a socket raised that was sent to in its ``finally``."""

    async def stream(self, kind: str) -> AsyncIterator[str]:
        try:
            while True:
                self.sent += 1
                yield CHUNK if kind == "flood" else "data: x\n\n"
                if kind == "idle":
                    await asyncio.Event().wait()
                await asyncio.sleep(0 if kind == "flood" else 0.005)
        finally:
            self.left += 1

    async def length(self) -> AsyncIterator[str]:
        for _ in range(3):
            yield "x" * (LENGTH // 3)
            await asyncio.sleep(0.001)

    async def socket(
        self, kind: str, receive: Callable[[], Awaitable[Any]], send: Callable[[str], Awaitable[Any]]
    ) -> None:
        try:
            await send("open")
            while True:
                self.sent += 1
                if kind == "receive":
                    await receive()
                elif kind == "sleep":
                    await asyncio.Event().wait()
                else:
                    await send(CHUNK if kind == "flood" else "x")
                    await asyncio.sleep(0 if kind == "flood" else 0.005)
        finally:
            self.left += 1
            await self._still_sends(send)

    async def _still_sends(self, send: Callable[[str], Awaitable[Any]]) -> None:
        try:
            await send("after the end")
        except Exception as error:
            self.after_the_end.append(type(error).__name__)
        else:
            self.after_the_end.append("sent")


def starlette(*middleware: Middleware) -> Live:
    live = Live()

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(live.stream(request.path_params["kind"]), media_type="text/event-stream")

    async def length(request: Request) -> StreamingResponse:
        return StreamingResponse(live.length(), headers={"Content-Length": str(LENGTH)})

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await live.socket(websocket.path_params["kind"], websocket.receive_text, websocket.send_text)

    routes = [
        Route("/length", length),
        Route("/{kind}", stream),
        WebSocketRoute("/ws/{kind}", socket),
    ]
    live.app = Starlette(routes=routes, middleware=middleware)
    return live


def starlette_behind_a_base_http_middleware() -> Live:
    async def passes(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    return starlette(Middleware(BaseHTTPMiddleware, dispatch=passes))


def with_fastapi() -> Live:
    live = Live()
    app = live.app = fastapi.FastAPI(openapi_url=None)

    @app.get("/length")
    async def length() -> StreamingResponse:
        return StreamingResponse(live.length(), headers={"Content-Length": str(LENGTH)})

    @app.get("/{kind}")
    async def stream(kind: str) -> StreamingResponse:
        return StreamingResponse(live.stream(kind), media_type="text/event-stream")

    @app.websocket("/ws/{kind}")
    async def socket(websocket: fastapi.WebSocket, kind: str) -> None:
        await websocket.accept()
        await live.socket(kind, websocket.receive_text, websocket.send_text)

    return live


def with_litestar() -> Live:
    live = Live()

    @litestar.get("/length")
    async def length() -> Stream:
        return Stream(live.length(), headers={"Content-Length": str(LENGTH)})

    @litestar.get("/{kind:str}")
    async def stream(request: litestar.Request[Any, Any, Any]) -> Stream:
        return Stream(live.stream(request.path_params["kind"]), media_type="text/event-stream")

    @litestar_websocket("/ws/{kind:str}")
    async def socket(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await live.socket(socket.path_params["kind"], socket.receive_text, socket.send_text)

    live.app = litestar.Litestar([length, stream, socket], openapi_config=None, logging_config=None)
    return live


def with_quart() -> Live:
    live = Live()
    app = live.app = quart.Quart(__name__)

    @app.get("/length")
    async def length() -> quart.Response:
        return quart.Response(live.length(), headers={"Content-Length": str(LENGTH)})

    @app.get("/<kind>")
    async def stream(kind: str) -> quart.Response:
        response = quart.Response(live.stream(kind), content_type="text/event-stream")
        response.timeout = None
        return response

    @app.websocket("/ws/<kind>")
    async def socket(kind: str) -> None:
        await quart.websocket.accept()
        await live.socket(kind, quart.websocket.receive, quart.websocket.send)

    return live


LIVE: dict[str, Callable[[], Live]] = {
    "starlette": starlette,
    "fastapi": with_fastapi,
    "litestar": with_litestar,
    "quart": with_quart,
    "starlette behind a BaseHTTPMiddleware": starlette_behind_a_base_http_middleware,
}
