"""Raw ASGI, driven by hand: one http request or one websocket, and what came of it."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.principal import Principal
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

REALM = "https://api.example"
USER = Principal(subject="u", scheme="bearer", scopes=frozenset({"read:articles"}), roles=frozenset({"user"}))
ADMIN = Principal(subject="a", scheme="bearer", scopes=frozenset({"*"}), roles=frozenset({"admin"}))


class Tokens:
    """What BearerMiddleware needs of AccessTokens, for two known tokens."""

    realm = REALM

    def __init__(self) -> None:
        self.known = {b"user": USER, b"admin": ADMIN}
        self.watched: dict[Principal, Callable[[], None]] = {}
        self.warm: dict[bytes, Principal] = {}

    def cached(self, token: bytes, /) -> Principal | None:
        return self.warm.get(token)

    async def verify(self, token: bytes, /) -> Principal:
        if token == b"expired":
            raise InvalidToken(Reason.TOKEN_EXPIRED)
        if token not in self.known:
            raise InvalidToken(Reason.TOKEN_MALFORMED)
        self.warm[token] = self.known[token]
        return self.known[token]

    def watch(self, principal: Principal, end: Callable[[], None], /) -> Callable[[], None]:
        self.watched[principal] = end
        return lambda: self.watched.__delitem__(principal)


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode())]


@dataclass
class Answer:
    sent: list[Message] = field(default_factory=list)

    def _first(self, *kinds: str) -> Message:
        return next((message for message in self.sent if message["type"] in kinds), {})

    @property
    def status(self) -> int | None:
        status: int | None = self._first("http.response.start", "websocket.http.response.start").get("status")
        return status

    @property
    def headers(self) -> list[tuple[str, str]]:
        start = self._first("http.response.start", "websocket.http.response.start")
        return [(name.decode().lower(), value.decode("latin-1")) for name, value in start.get("headers", ())]

    def header(self, wanted: str) -> list[str]:
        return [value for name, value in self.headers if name == wanted]

    @property
    def challenges(self) -> list[str]:
        return self.header("www-authenticate")

    @property
    def body(self) -> bytes:
        kinds = ("http.response.body", "websocket.http.response.body")
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] in kinds)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.header("content-type") == ["application/problem+json"]
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def accepted(self) -> bool:
        return bool(self._first("websocket.accept"))

    @property
    def close(self) -> int | None:
        code: int | None = self._first("websocket.close").get("code")
        return code

    @property
    def text(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]


def http_scope(path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"api.example")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    } | more


def websocket_scope(path: str = "/", *, denial: bool = True, **more: Any) -> dict[str, Any]:
    extensions: dict[str, Any] | None = {"websocket.http.response": {}} if denial else None
    given: dict[str, Any] = {"type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": extensions}
    scope = http_scope(path, **(given | more))
    del scope["method"]
    return scope


async def drive(app: ASGIApp, scope: Scope, incoming: Iterable[Message] = ()) -> Answer:
    """Call the app with this scope; after the incoming messages comes a disconnect, when the answer is complete."""
    opening = {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request", "body": b""}
    waiting = iter([opening, *incoming])
    answer = Answer()
    complete = asyncio.Event()

    async def receive() -> Message:
        message: Message | None = next(waiting, None)
        if message is None:
            await complete.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message: Message) -> None:
        answer.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            complete.set()

    await app(scope, receive, send)
    return answer


async def http(app: ASGIApp, path: str = "/", *, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> Answer:
    lines = [(b"host", b"api.example"), *headers]
    return await drive(app, http_scope(path, headers=lines, **more))


async def websocket(
    app: ASGIApp, path: str = "/", *, denial: bool = True, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any
) -> Answer:
    lines = [(b"host", b"api.example"), *headers]
    gone = {"type": "websocket.disconnect", "code": 1005}
    return await drive(app, websocket_scope(path, denial=denial, headers=lines, **more), [gone])


class Recorder:
    """An application that says yes, and remembers with which scopes it was called."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"served"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
