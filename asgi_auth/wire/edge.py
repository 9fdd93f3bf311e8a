"""The edge: what stands between our outermost layer and the server, for one request.

Frameworks catch exceptions before an outer layer can: a refusal raised in a handler became a 500, a
websocket's a bare close. So ``check`` notes its refusal here, and the edge puts the answer right:

(a) a refusal that escapes is rendered;
(b) a 5xx is held until the application ends and replaced by the refusal, unless another exception
    escaped, for then the 5xx stands; an application that ends only when its client is gone (Quart) is told
    so as soon as its answer is complete; a close or a denial before accept is replaced at once;
(c) a close after accept becomes 4401 or 4403;
(d) a missing challenge is added where the status is the refusal's.

Every other answer is the application's and passes. While no refusal is noted, messages pass through
one plain function that adds no task switch.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from ..errors import Refusal
from ..principal import Auth
from .asgi import ASGIApp, Message, Receive, Scope, Send
from .challenges import for_denial
from .responses import close_code, refuse

__all__ = ["EDGE", "Edge", "HTTPEdge", "Noted", "WebSocketEdge", "edge_of", "pass_on"]

EDGE = "asgi_auth"
"""The scope's key for the edge."""

_DISCONNECT: Message = {"type": "http.disconnect"}


@dataclass(frozen=True, slots=True)
class Noted:
    """A refusal that ``check`` has raised inside the application, and the challenges that go with it."""

    refusal: Refusal
    challenges: tuple[str, ...]


class HTTPEdge:
    """The edge of one http request."""

    # In the class, since almost no request changes one of them.
    noted: Noted | None = None
    _started = False
    _held: tuple[Message, ...] = ()
    _is_over = False
    _receiver: asyncio.Task[Any] | None = None

    def __init__(self, receive: Receive, send: Send, realm: str | None) -> None:
        self._receive = receive
        self._send = send
        self.realm = realm

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the application's message on; after a refusal, put it right."""
        if self.noted is not None:
            return self._answer(message, self.noted)
        if message["type"] == "http.response.start":
            self._started = True
        return self._send(message)

    async def receive(self) -> Message:
        """The server's next message, or a disconnect when the answer that is held is complete: servers do the same."""
        if self._is_over:
            return _DISCONNECT
        self._receiver = receiver = asyncio.current_task()
        try:
            return await self._receive()
        except asyncio.CancelledError:
            # Ours alone ends here; somebody else's cancellation goes on.
            if receiver is None or not self._is_over or receiver.uncancel():
                raise
            return _DISCONNECT
        finally:
            self._receiver = None

    async def _answer(self, message: Message, noted: Noted) -> None:
        if self._held:
            self._held += (message,)
            if not message.get("more_body"):
                self._end_receiving()
        elif self._started or message["type"] != "http.response.start":
            await self._send(message)
        elif message["status"] >= 500:
            self._held = (message,)
        else:
            self._started = True
            same = message["status"] == noted.refusal.status_code
            await self._send(_challenged(message, noted.challenges) if same else message)

    def _end_receiving(self) -> None:
        self._is_over = True
        if self._receiver is not None:
            self._receiver.cancel()

    async def ended(self, scope: Scope, receive: Receive) -> None:
        """The application has returned: answer where it gave a 5xx, or nothing, after a refusal."""
        if self.noted is not None and not self._started:
            await refuse(scope, receive, self._send, self.noted.refusal, challenges=self.noted.challenges)

    async def escaped(self, scope: Scope, receive: Receive, refusal: Refusal) -> None:
        """A refusal has come out of the application: answer, or raise it where an answer has begun."""
        if self._started:
            raise refusal
        await refuse(scope, receive, self._send, refusal, challenges=_challenges(self, scope, refusal))

    async def failed(self) -> None:
        """Another exception has come out: the 5xx that was held stands."""
        for message in self._held:
            await self._send(message)


class WebSocketEdge:
    """The edge of one websocket. It keeps the scope it was given, never one that holds the edge."""

    __slots__ = ("_accepted", "_ended", "_receive", "_scope", "_send", "noted", "realm")

    def __init__(self, scope: Scope, receive: Receive, send: Send, realm: str | None) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._accepted = False
        self._ended = False
        self.realm = realm
        self.noted: Noted | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the application's message on; after a refusal, put its close or denial right."""
        kind = message["type"]
        if kind == "websocket.accept":
            self._accepted = True
        elif kind == "websocket.send":
            self.noted = None  # the application has dealt with the refusal and goes on
        elif self.noted is not None:
            return self._answer(message, self.noted)
        elif kind == "websocket.close" or kind == "websocket.http.response.start":
            self._ended = True
        return self._send(message)

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
            await self._send({"type": "websocket.close", "code": close_code(refusal), "reason": refusal.code})
        else:
            await refuse(self._scope, self._receive, self._send, refusal, challenges=challenges)

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
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, auth: Auth, realm: str | None = None
) -> Awaitable[None]:
    """Call ``app`` with a copy of the scope that holds ``auth``; the outermost layer adds the edge."""
    edge = scope.get(EDGE)
    if not isinstance(edge, _EDGES):
        return _behind_edge(app, scope, receive, send, auth, realm)
    edge.realm = realm or edge.realm
    return app({**scope, "auth": auth, "user": auth}, receive, send)


async def _behind_edge(app: ASGIApp, scope: Scope, receive: Receive, send: Send, auth: Auth, realm: str | None) -> None:
    edge: Edge
    inner_receive = receive
    if scope["type"] == "http":
        edge = HTTPEdge(receive, send, realm)
        inner_receive = edge.receive
    else:
        edge = WebSocketEdge(scope, receive, send, realm)
    inner = {**scope, "auth": auth, "user": auth, EDGE: edge}
    try:
        await app(inner, inner_receive, edge.send)
    except Refusal as refusal:
        await edge.escaped(inner, receive, refusal)
    except Exception:
        await edge.failed()
        raise
    else:
        if edge.noted is not None:
            await edge.ended(inner, receive)


def _challenges(edge: Edge, scope: Scope, refusal: Refusal) -> tuple[str, ...]:
    if edge.noted is not None and edge.noted.refusal is refusal:
        return edge.noted.challenges
    return for_denial(refusal, scope.get("auth"), edge.realm)


def _challenged(message: Message, challenges: tuple[str, ...]) -> Message:
    headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
    if any(name.lower() == b"www-authenticate" for name, _ in headers):
        return message
    added = [(b"www-authenticate", challenge.encode("latin-1")) for challenge in challenges]
    return {**message, "headers": [*headers, *added]}
