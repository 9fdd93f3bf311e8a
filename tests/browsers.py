"""A browser without a network: it keeps one cookie, and says where its pages come from."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness import Answer, http
from session_tools import World, value

from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.wire.asgi import ASGIApp, Receive, Scope, Send

ISSUER = "https://api.example"
NAME = b"__Host-session"
Handler = Callable[[RequestSession], Awaitable[Any]]
Lines = Iterable[tuple[bytes, bytes]]


async def idle(session: RequestSession) -> None:
    """Do nothing with it."""


class Site:
    """An application that gives its session to a handler and then says 200."""

    def __init__(self, handler: Handler = idle, headers: Lines = ()) -> None:
        self.handler = handler
        self.headers = list(headers)
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await self.handler(get_session(scope))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": self.headers})
            await send({"type": "http.response.body", "body": b"served"})


@dataclass
class Browser:
    """Sends its cookie, keeps the one that comes back, and forgets it where it is cleared."""

    world: World
    cookie: bytes | None = None

    async def visit(
        self, handler: Handler = idle, *, headers: Lines = (), app: ASGIApp | None = None, **more: Any
    ) -> Answer:
        app = Site(handler) if app is None else app
        layer = SessionMiddleware(app, sessions=self.world.sessions)
        return await self.ask(layer, headers=headers, **more)

    async def ask(self, app: ASGIApp, *, headers: Lines = (), **more: Any) -> Answer:
        answer = await http(app, headers=[*self.lines(), *headers], **more)
        for line in answer.header("set-cookie"):
            value = line.split(";")[0].partition("=")[2]
            self.cookie = value.encode() or None
        return answer

    def lines(self) -> list[tuple[bytes, bytes]]:
        return [] if self.cookie is None else [(b"cookie", NAME + b"=" + self.cookie)]

    def twin(self) -> "Browser":
        """Another one with the same cookie."""
        return Browser(self.world, self.cookie)


def is_uncached(answer: Answer) -> bool:
    return (answer.header("cache-control"), answer.header("vary")) == (["no-store"], ["Cookie"])


def subject_of(site: Site) -> str:
    identity: str = site.scopes[-1]["auth"].identity
    return identity


async def signed_in(world: World) -> Browser:
    return Browser(world, value(await world.sign_in()))


async def data(browser: Browser) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def note(session: RequestSession) -> None:
        found.append(dict(session))

    await browser.twin().visit(note)
    return found[0]


def setting(**values: Any) -> Callable[[RequestSession], Awaitable[None]]:
    async def change(session: RequestSession) -> None:
        session.update(values)

    return change
