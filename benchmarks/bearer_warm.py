"""One request through each middleware, with a token that was seen before."""

import hashlib
import time
from typing import Any

import jwt as pyjwt
from rounds import Work
from signed_tokens import AUDIENCE, ISSUER, SECRET, services, signed
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from asgi_auth import AuthorizationMiddleware, BearerMiddleware, Policy, has_scope
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["warm_contenders"]

_START: Message = {"type": "http.response.start", "status": 204, "headers": []}
_BODY: Message = {"type": "http.response.body", "body": b""}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send(_START)
    await send(_BODY)


class Floor:
    """The least a bearer layer can do: one header, one digest, one look-up, one clock."""

    def __init__(self, app: ASGIApp, token: bytes, principal: object) -> None:
        self.app = app
        self.cache = {hashlib.sha256(token).digest(): (principal, time.time() + 3600)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"authorization":
                principal, expires_at = self.cache[hashlib.sha256(value[7:]).digest()]
                if time.time() < expires_at:
                    await self.app({**scope, "auth": principal, "user": principal}, receive, send)


class PyJWTBackend(AuthenticationBackend):
    """A backend as one writes it after Starlette's documentation."""

    def __init__(self, key: Any, algorithm: str) -> None:
        self.key = key
        self.algorithm = algorithm

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        claims = pyjwt.decode(token, self.key, algorithms=[self.algorithm], audience=AUDIENCE, issuer=ISSUER)
        return AuthCredentials(claims["scope"].split()), SimpleUser(claims["sub"])


async def warm_contenders(calls: int) -> dict[str, Work]:
    """Requests of ``calls`` calls each; ours with every service open."""
    auth = services()
    await auth.open()
    token = auth.access_tokens.issue(
        subject="ada", client_id="first-party", scopes={"read:articles"}, roles={"user"}, epoch=0, auth_time=time.time()
    ).value.encode()
    principal = await auth.access_tokens.verify(token)
    ours = BearerMiddleware(application, access_tokens=auth.access_tokens)
    policy = Policy({"/articles": has_scope("read:articles")})
    both = BearerMiddleware(AuthorizationMiddleware(application, policy=policy), access_tokens=auth.access_tokens)
    hs256, rs256 = signed("HS256"), signed("RS256")
    return {
        "bare application": requests(application, token, calls),
        "floor warm": requests(Floor(application, token, principal), token, calls),
        "asgi_auth warm": requests(ours, token, calls),
        "asgi_auth + authorization": requests(both, token, calls),
        "Starlette + PyJWT HS256": requests(
            AuthenticationMiddleware(application, PyJWTBackend(SECRET, "HS256")), hs256.token, calls // 10
        ),
        "Starlette + PyJWT RS256": requests(
            AuthenticationMiddleware(application, PyJWTBackend(rs256.public_key, "RS256")), rs256.token, calls // 10
        ),
    }


def requests(app: ASGIApp, token: bytes, calls: int) -> Work:
    """``calls`` requests with the headers of an ordinary client; every one is answered by the application."""
    headers = [
        (b"host", b"api.example"),
        (b"user-agent", b"python-httpx/0.28.1"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"authorization", b"Bearer " + token),
        (b"content-type", b"application/json"),
    ]
    scope = {"type": "http", "method": "GET", "path": "/articles", "root_path": "", "query_string": b""}

    async def run() -> None:
        sent = 0

        async def send(message: Message) -> None:
            nonlocal sent
            sent += message is _BODY

        for _ in range(calls):
            await app({**scope, "headers": headers}, receive, send)
        assert sent == calls, "a request was not answered by the application"

    return Work(run, calls)


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
