"""One request through each middleware, with a token that was seen before."""

import hashlib
import time
from typing import Any

import jwt as pyjwt
from requesting import application, requests
from rounds import Work
from signed_tokens import AUDIENCE, ISSUER, SECRET, services, signed
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from asgi_auth import AuthorizationMiddleware, BearerMiddleware, Policy, has_scope
from asgi_auth.wire.asgi import ASGIApp, Receive, Scope, Send

__all__ = ["warm_contenders"]


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
    starlette_hs256 = AuthenticationMiddleware(application, PyJWTBackend(SECRET, "HS256"))
    starlette_rs256 = AuthenticationMiddleware(application, PyJWTBackend(rs256.public_key, "RS256"))
    return {
        "bare application": requests(application, presenting(token), calls),
        "floor warm": requests(Floor(application, token, principal), presenting(token), calls),
        "asgi_auth warm": requests(ours, presenting(token), calls),
        "asgi_auth + authorization": requests(both, presenting(token), calls),
        "Starlette + PyJWT HS256": requests(starlette_hs256, presenting(hs256.token), calls // 10),
        "Starlette + PyJWT RS256": requests(starlette_rs256, presenting(rs256.token), calls // 10),
    }


def presenting(token: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token
