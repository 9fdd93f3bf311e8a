"""One request through each layer, with a session that exists and that nobody changes."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Awaitable

import itsdangerous
from requesting import application, requests
from rounds import Work
from signed_tokens import services
from starlette.middleware.sessions import SessionMiddleware as SignedCookie
from starsessions import InMemoryStore, SessionAutoloadMiddleware
from starsessions import SessionMiddleware as Starsessions

from asgi_auth import BearerMiddleware, SessionMiddleware
from asgi_auth.accounts import Account
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["warm_contenders"]

_SECRET = "a secret of this benchmark alone"
_MARKS = ((b"cache-control", b"no-store"), (b"vary", b"Cookie"))


class Floor:
    """The least a layer for sessions can do: a cookie, a digest, a store, a clock, two marks on the answer."""

    def __init__(self, app: ASGIApp, session_id: bytes, secret: bytes, principal: object) -> None:
        self.app = app
        self.store = {session_id: (hashlib.sha256(secret).digest(), principal, time.time() + 3600)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"cookie":
                for pair in value.split(b";"):
                    key, _, text = pair.strip().partition(b"=")
                    if key == b"session":
                        session_id, _, secret = text.partition(b".")
                        digest, principal, expires_at = await self.get(session_id)
                        same = hmac.compare_digest(digest, hashlib.sha256(secret).digest())
                        if same and time.time() < expires_at:
                            inner = {**scope, "auth": principal, "user": principal, "session": {}}
                            await self.app(inner, receive, marked(send))

    async def get(self, session_id: bytes) -> tuple[bytes, object, float]:
        return self.store[session_id]


def marked(send: Send) -> Send:
    def uncached(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_MARKS]}
        return send(message)

    return uncached


async def warm_contenders(calls: int) -> dict[str, Work]:
    """Requests of ``calls`` calls each; ours with every service open."""
    auth = services()
    await auth.open()
    await auth._stores.accounts.create(
        Account(subject="ada", email="ada@example.com", password_hash=None, roles=frozenset(), created_at=0)
    )
    cookie = await signed_in(SessionMiddleware(sign_in, sessions=auth.sessions))
    ours = SessionMiddleware(application, sessions=auth.sessions)
    floor = Floor(application, b"0123456789012345678901", b"x" * 43, object())

    def request(app: ASGIApp, value: bytes, times: int = calls) -> Work:
        return requests(app, (b"cookie", value), times)

    def behind_bearer(app: ASGIApp, value: bytes) -> Work:
        return request(BearerMiddleware(app, access_tokens=auth.access_tokens), value)

    floors_cookie = b"session=0123456789012345678901." + b"x" * 43
    return {
        "bare application": request(application, cookie),
        "floor": request(floor, floors_cookie),
        "asgi_auth": request(ours, cookie),
        "bearer alone": behind_bearer(application, cookie),
        "bearer, floor": behind_bearer(floor, floors_cookie),
        "bearer, asgi_auth": behind_bearer(ours, cookie),
        "no cookie": behind_bearer(ours, b"other=1"),
        "Starlette": request(SignedCookie(application, _SECRET), signed_cookie(), calls // 2),
        "starsessions": request(*await stored_elsewhere(), calls // 2),
    }


async def sign_in(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["session"].login("ada")
    await application(scope, receive, send)


async def signed_in(app: ASGIApp) -> bytes:
    """The cookie that an application gives when it signs somebody in, as a browser sends it back."""
    scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "query_string": b"", "headers": []}
    cookies: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        cookies.extend(value for name, value in message.get("headers", ()) if name == b"set-cookie")

    await app(scope, receive, send)
    return cookies[0].partition(b";")[0]


def signed_cookie() -> bytes:
    """Starlette's cookie: what it holds is signed, and read again with every request."""
    signer = itsdangerous.TimestampSigner(_SECRET)
    return b"session=" + signer.sign(b64encode(b'{"subject": "ada"}'))


async def stored_elsewhere() -> tuple[ASGIApp, bytes]:
    """starsessions with a session in memory, loaded with every request."""
    store = InMemoryStore()
    await store.write("0123456789", b'{"subject": "ada"}', lifetime=3600, ttl=3600)
    inner = SessionAutoloadMiddleware(application)
    app: ASGIApp = Starsessions(inner, store=store, lifetime=3600, rolling=False)
    return app, b"session=0123456789"
