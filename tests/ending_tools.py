"""Hand-written applications behind a token that a test ends: what their clients get."""

import asyncio
from collections.abc import Callable

from harness import USER, Tokens, bearer, http_scope, websocket_scope
from test_revocations import until

from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import ASGIApp, Message, Scope, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
ACCEPT: Message = {"type": "websocket.accept"}
LAST_CHUNK: Message = {"type": "http.response.body", "body": b"", "more_body": False}
CLOSED: Message = {"type": "websocket.close", "code": 4401, "reason": "invalid_token"}


def part(body: bytes = b"x") -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def text(text: str = "x") -> Message:
    return {"type": "websocket.send", "text": text}


class Open:
    """One connection that is being served: what its client has got, and how its credential ends.

    ``blocked`` stands for a client who does not read: nothing is sent while it is set.
    """

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.tokens = Tokens()
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.waiting = 0
        self.failure: Exception | None = None
        self.interrupted: Callable[[], object] = bool
        stack = BearerMiddleware(app, access_tokens=self.tokens)
        self.task = asyncio.create_task(stack({**scope, "headers": bearer("user")}, self.incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.waiting += 1
        try:
            await self.reads.wait()
        except asyncio.CancelledError:
            self.interrupted()
            raise
        finally:
            self.waiting -= 1
        self.sent.append(message)

    async def is_live(self) -> None:
        await until(lambda: USER in self.tokens.watched)

    def end(self) -> None:
        self.tokens.watched[USER]()

    async def ended(self) -> list[Message]:
        """End it; what the client got, when the server's task is over."""
        await self.is_live()
        self.end()
        await asyncio.wait_for(self.task, 30)
        assert self.tokens.watched == {}
        return self.sent


def stream(app: ASGIApp) -> Open:
    return Open(app, http_scope())


def socket(app: ASGIApp) -> Open:
    return Open(app, websocket_scope())


Serve = Callable[[ASGIApp], Open]


async def sending(send: Send, message: Message) -> None:
    await send(message)


async def begin(scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        await send(START)
        await send(part())
    else:
        await send(ACCEPT)


def whole(scope_type: str) -> list[Message]:
    """What a client has got when an idle connection has ended."""
    return [START, part(), LAST_CHUNK] if scope_type == "http" else [ACCEPT, CLOSED]
