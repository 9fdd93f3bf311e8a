"""The edge: what stands between our outermost layer and the server, for one request.

Frameworks catch exceptions before an outer layer can: a refusal raised in a handler became a 500, a
websocket's a bare close. So ``check`` notes its refusal here, and the edge puts the answer right:

(a) a refusal that escapes is rendered;
(b) a 5xx is held until the application ends and replaced by the refusal, unless another exception
    escaped, for then the 5xx stands; an application that ends only when its client is gone (Quart) is told
    so as soon as its answer is complete; a close or a denial before accept is replaced at once;
(c) a close after accept becomes 4401 or 4403;
(d) a missing challenge is added where the status is the refusal's.

A response whose end is open, and a socket that is accepted, end when the credential of their caller does (``ending``).
Every other answer is the application's and passes. While no refusal is noted, messages pass through
one plain function that adds no task switch.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from ..errors import Refusal
from ..principal import Auth, Principal
from .asgi import ASGIApp, Message, Receive, Scope, Send
from .challenges import for_denial
from .ending import Ending, Watch
from .receiving import Receiving
from .responses import close_code, refuse

__all__ = ["EDGE", "Edge", "HTTPEdge", "Noted", "WebSocketEdge", "edge_of", "pass_on"]

EDGE = "asgi_auth"
"""The scope's key for the edge."""

_HTTP_DISCONNECT: Message = {"type": "http.disconnect"}
_LAST_CHUNK: Message = {"type": "http.response.body", "body": b"", "more_body": False}
_WEBSOCKET_DISCONNECT: Message = {"type": "websocket.disconnect", "code": 4401, "reason": "invalid_token"}
_CLOSE: Message = {"type": "websocket.close", "code": 4401, "reason": "invalid_token"}
_NOTHING: Scope = {}
_KEPT = (b"set-cookie", b"cache-control", b"vary")


@dataclass(frozen=True, slots=True)
class Noted:
    """A refusal that ``check`` has raised inside the application, and the challenges that go with it."""

    refusal: Refusal
    challenges: tuple[str, ...]


class HTTPEdge:
    """The edge of one http request."""

    __slots__ = ("_held", "_receive", "_receiving", "_send", "_start", "auth", "ending", "noted", "realm", "watch")

    def __init__(self, receive: Receive, send: Send, realm: str | None, watch: Watch | None, auth: Auth) -> None:
        self.realm = realm
        self.watch = watch
        self.auth = auth
        self.noted: Noted | None = None
        self.ending: Ending | None = None
        self._receive = receive
        self._send = send
        self._receiving: Receiving | None = None
        self._start: Message | None = None
        self._held: tuple[Message, ...] = ()

    def receive(self) -> Awaitable[Message]:
        """The server's next message, until the answer is over."""
        return self._received().message()

    def _received(self) -> Receiving:
        if self._receiving is None:
            self._receiving = Receiving(self._receive, _HTTP_DISCONNECT)
        return self._receiving

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the application's message on; after a refusal, put its answer right."""
        if self.noted is not None and self._start is None:
            return self._answer(message, self.noted)
        if message["type"] == "http.response.start":
            self._start = message
        elif self.watch is not None and (message.get("more_body") or self.ending is not None):
            return self._stream(message)
        return self._send(message)

    async def _answer(self, message: Message, noted: Noted) -> None:
        if self._held:
            self._held += (message,)
            if not message.get("more_body"):
                self._received().end()
        elif message["type"] != "http.response.start":
            await self._send(message)
        elif message["status"] >= 500:
            self._held = (message,)
        else:
            self._start = message
            same = message["status"] == noted.refusal.status_code
            await self._send(_challenged(message, noted.challenges) if same else message)

    async def _stream(self, message: Message) -> None:
        """A part of a response whose end is open: it is live, unless its length was announced."""
        if self.ending is None:
            self._begin_to_live()
        if self.ending is None:
            await self._send(message)
        else:
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            await self.ending.send(message, is_last=is_last)

    def _begin_to_live(self) -> None:
        task = asyncio.current_task()
        watch, self.watch = self.watch, None
        if watch is None or task is None or not isinstance(self.auth, Principal) or _has_length(self._start):
            return
        self.watch = watch
        self.ending = Ending(
            watch, self.auth, task=task, receiving=self._received(), send=self._send, last_word=_LAST_CHUNK
        )

    async def ended(self, scope: Scope, receive: Receive) -> None:
        """The application has returned: answer where it gave a 5xx, or nothing, after a refusal."""
        if self.noted is not None and self._start is None:
            await refuse(scope, receive, self._send_instead, self.noted.refusal, challenges=self.noted.challenges)

    async def _send_instead(self, message: Message) -> None:
        # What layers of ours have said by the answer that is replaced, a session's new cookie above all, still holds.
        if self._held and "headers" in message:
            kept = (line for line in self._held[0].get("headers") or () if line[0].lower() in _KEPT)
            message = {**message, "headers": [*message["headers"], *kept]}
        await self._send(message)

    async def escaped(self, scope: Scope, receive: Receive, refusal: Refusal) -> None:
        """A refusal has come out of the application: answer, or raise it where an answer has begun."""
        if self._start is not None:
            raise refusal
        await refuse(scope, receive, self._send, refusal, challenges=_challenges(self, scope, refusal))

    async def failed(self) -> None:
        """Another exception has come out: the 5xx that was held stands."""
        for message in self._held:
            await self._send(message)


class WebSocketEdge:
    """The edge of one websocket. It keeps the scope it was given, never one that holds the edge."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, realm: str | None, watch: Watch | None, auth: Auth
    ) -> None:
        self.realm = realm
        self.watch = watch
        self.auth = auth
        self.noted: Noted | None = None
        self.ending: Ending | None = None
        self._receiving = Receiving(receive, _WEBSOCKET_DISCONNECT)
        self._scope = scope
        self._send = send
        self._task = asyncio.current_task()
        self._accepted = False
        self._ended = False

    def receive(self) -> Awaitable[Message]:
        """The server's next message, until the socket is over."""
        return self._receiving.message()

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the application's message on; after a refusal, put its close or denial right."""
        kind = message["type"]
        if kind == "websocket.accept":
            return self._accept(message)
        if kind == "websocket.send":
            self.noted = None  # the application has dealt with the refusal and goes on
        elif self.noted is not None:
            return self._answer(message, self.noted)
        elif kind == "websocket.close" or kind == "websocket.http.response.start":
            self._ended = True
        return self._pass(message)

    async def _accept(self, message: Message) -> None:
        self._accepted = True
        await self._send(message)
        if self.watch is not None and isinstance(self.auth, Principal) and self._task is not None:
            self.ending = Ending(
                self.watch, self.auth, task=self._task, receiving=self._receiving, send=self._send, last_word=_CLOSE
            )

    def _pass(self, message: Message) -> Awaitable[None]:
        if self.ending is None:
            return self._send(message)
        return self.ending.send(message, is_last=message["type"] == "websocket.close")

    async def _answer(self, message: Message, noted: Noted) -> None:
        if self._ended:
            return  # the rest of an answer that ours has replaced
        status = message.get("status", 500)
        if not self._accepted and status < 500 and status != noted.refusal.status_code:
            self.noted = None  # a denial of the application's own choice
            await self.send(message)
        else:
            await self._refuse(noted.refusal, noted.challenges)

    async def _refuse(self, refusal: Refusal, challenges: tuple[str, ...]) -> None:
        self._ended = True
        if self._accepted:
            await self._pass({"type": "websocket.close", "code": close_code(refusal), "reason": refusal.code})
        else:
            await refuse(self._scope, self.receive, self._send, refusal, challenges=challenges)

    async def ended(self, scope: Scope, receive: Receive) -> None:
        """The application has returned: close where it left the socket open after a refusal."""
        if self.noted is not None and not self._ended:
            await self._refuse(self.noted.refusal, self.noted.challenges)

    async def escaped(self, scope: Scope, receive: Receive, refusal: Refusal) -> None:
        """A refusal has come out of the application: answer, unless the socket is closed already."""
        if not self._ended:
            await self._refuse(refusal, _challenges(self, scope, refusal))

    async def failed(self) -> None:
        """Another exception has come out: the server closes the socket as it always does."""


Edge = HTTPEdge | WebSocketEdge
_EDGES = (HTTPEdge, WebSocketEdge)


def edge_of(scope: Scope) -> Edge | None:
    """The edge that a layer of ours has installed, or None."""
    edge = scope.get(EDGE)
    return edge if isinstance(edge, _EDGES) else None


def pass_on(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    auth: Auth,
    realm: str | None = None,
    watch: Watch | None = None,
    more: Scope = _NOTHING,
) -> Awaitable[None]:
    """Call ``app`` with a copy of the scope that holds ``auth``; the outermost layer adds the edge.

    ``watch`` comes from the layer that has authenticated ``auth``: a response or a socket that lives on ends with it.
    ``more`` joins the scope.
    """
    edge = scope.get(EDGE)
    if "auth" in scope and auth is scope["auth"]:
        watch = None  # somebody else has authenticated the caller
    if edge is None or not isinstance(edge, _EDGES):
        return _behind_edge(app, {**scope, **more} if more else scope, receive, send, auth, realm, watch)
    edge.realm = realm or edge.realm
    if watch is not None:
        edge.watch, edge.auth = watch, auth
    return app({**scope, "auth": auth, "user": auth, **more}, receive, send)


async def _behind_edge(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, auth: Auth, realm: str | None, watch: Watch | None
) -> None:
    edge: Edge
    if scope["type"] == "http":
        edge = HTTPEdge(receive, send, realm, watch, auth)
    else:
        edge = WebSocketEdge(scope, receive, send, realm, watch, auth)
    inner = {**scope, "auth": auth, "user": auth, EDGE: edge}
    try:
        await app(inner, edge.receive, edge.send)
    except BaseException as error:
        await _raised(edge, inner, receive, error)
    else:
        if edge.ending is not None or edge.noted is not None:
            await _returned(edge, inner, receive)


async def _returned(edge: Edge, scope: Scope, receive: Receive) -> None:
    if edge.ending is None or not await edge.ending.left(None):
        await edge.ended(scope, receive)


async def _raised(edge: Edge, scope: Scope, receive: Receive, error: BaseException) -> None:
    if edge.ending is not None and await edge.ending.left(error):
        return
    if isinstance(error, Refusal):
        await edge.escaped(scope, receive, error)
        return
    if isinstance(error, Exception):
        await edge.failed()
    raise error


def _challenges(edge: Edge, scope: Scope, refusal: Refusal) -> tuple[str, ...]:
    if edge.noted is not None and edge.noted.refusal is refusal:
        return edge.noted.challenges
    return for_denial(refusal, scope.get("auth"), edge.realm)


def _has_length(start: Message | None) -> bool:
    return start is None or any(name.lower() == b"content-length" for name, _ in start.get("headers") or ())


def _challenged(message: Message, challenges: tuple[str, ...]) -> Message:
    headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
    if any(name.lower() == b"www-authenticate" for name, _ in headers):
        return message
    added = [(b"www-authenticate", challenge.encode("latin-1")) for challenge in challenges]
    return {**message, "headers": [*headers, *added]}
