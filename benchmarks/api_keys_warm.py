"""One request through each layer, with a key that was seen before."""

import hashlib
import time
from collections.abc import Awaitable

from fastapi import Depends, FastAPI, HTTPException, Response, Security
from fastapi.security import APIKeyHeader
from requesting import application, requests
from rounds import Work
from signed_tokens import services

from asgi_auth import APIKeyMiddleware, BearerMiddleware
from asgi_auth.accounts import Account
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["warm_contenders"]

_MARKS = ((b"vary", b"X-API-Key"), (b"cache-control", b"private"))


class Floor:
    """The least a layer for API keys can do: a header, a digest, a look-up, a clock, two marks on the answer."""

    def __init__(self, app: ASGIApp, key: bytes, principal: object, *, marking: bool = True) -> None:
        self.app = app
        self.cache = {hashlib.sha256(key).digest(): (principal, time.time() + 3600)}
        self.marking = marking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                principal, expires_at = self.cache[hashlib.sha256(value).digest()]
                if time.time() < expires_at:
                    inner = {**scope, "auth": principal, "user": principal}
                    await self.app(inner, receive, marked(send) if self.marking else send)


def marked(send: Send) -> Send:
    def private(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_MARKS]}
        return send(message)

    return private


def fastapi(key: str | None) -> FastAPI:
    """An application as FastAPI's documentation has it, the keys in a dictionary of digests; None: it asks for none."""
    api = FastAPI()
    known = {hashlib.sha256((key or "").encode()).digest(): "ada"}
    header = APIKeyHeader(name="X-API-Key")

    async def owner(presented: str = Security(header)) -> str:
        found = known.get(hashlib.sha256(presented.encode()).digest())
        if found is None:
            raise HTTPException(status_code=401)
        return found

    if key is None:

        @api.get("/articles")
        async def open_to_all() -> Response:
            return Response(status_code=204)
    else:

        @api.get("/articles")
        async def articles(reader: str = Depends(owner)) -> Response:
            return Response(status_code=204)

    return api


async def warm_contenders(calls: int) -> dict[str, Work]:
    """Requests of ``calls`` calls each; ours with every service open."""
    auth = services()
    await auth.open()
    await auth._stores.accounts.create(
        Account(subject="ada", email="ada@example.com", password_hash=None, roles=frozenset(), created_at=0)
    )
    made = await auth.api_keys.create("ada", "a benchmark", lifetime=3600)
    key = made.value.encode()
    principal = await auth.api_keys.verify(key)
    ours = APIKeyMiddleware(application, api_keys=auth.api_keys)
    floor = Floor(application, key, principal)

    def request(app: ASGIApp, times: int = calls) -> Work:
        return requests(app, (b"x-api-key", key), times)

    def behind_bearer(app: ASGIApp) -> Work:
        return request(BearerMiddleware(app, access_tokens=auth.access_tokens))

    return {
        "bare application": request(application),
        "floor, unmarked": request(Floor(application, key, principal, marking=False)),
        "floor": request(floor),
        "asgi_auth": request(ours),
        "bearer alone": behind_bearer(application),
        "bearer, floor": behind_bearer(floor),
        "bearer, asgi_auth": behind_bearer(ours),
        "FastAPI alone": request(fastapi(None), calls // 10),
        "FastAPI + APIKeyHeader": request(fastapi(made.value), calls // 10),
    }
