"""A whole site in memory for the tests of routes and stack: services, an application, a client."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_auth.authorization import Policy, Roles, has_role, public
from asgi_auth.keys import SigningKeys
from asgi_auth.lockout import Lockout
from asgi_auth.middleware.authorization import get_auth
from asgi_auth.passwords import TESTING, PasswordHasher
from asgi_auth.services import AuthServices
from asgi_auth.stack import AuthStack
from asgi_auth.stores import MemoryStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.wire.asgi import ASGIApp

ISSUER = "https://api.example"
EMAIL = "ada@example.com"
PASSWORD = "a long walk by the sea"
NEW_PASSWORD = "another walk in the woods"
CHALLENGES = f'Bearer realm="{ISSUER}", ApiKey realm="{ISSUER}", Session realm="{ISSUER}"'
"""What each credential layer asks for, in the order in which a request meets them."""
KEYS = SigningKeys.generate("ES256")
CROWD = Lockout(address=(), pair=(), everybody=())
"""For tests in which many come from one address at once: accounts alone are counted."""
POLICY = Policy({"/public": public, "/admin/": has_role("admin")})


def services(clock: FakeClock | None = None, **options: Any) -> AuthServices:
    settings: dict[str, Any] = {
        "stores": MemoryStores(),
        "issuer": ISSUER,
        "signing_keys": KEYS,
        "roles": Roles({"user": {"read:articles", "write:articles"}, "admin": {"*"}}),
        "default_roles": {"user"},
        "passwords": PasswordHasher(TESTING),
        "clock": FakeClock() if clock is None else clock,
    }
    return AuthServices(**(settings | options))


async def who(request: Request) -> JSONResponse:
    auth = get_auth(request)
    return JSONResponse({"subject": auth.identity, "roles": sorted(auth.roles), "scopes": sorted(auth.scopes)})


def api() -> Starlette:
    return Starlette(routes=[Route(path, who) for path in ("/public", "/private", "/admin/report")])


@dataclass
class Site:
    """One application behind the stack, and a client without a network."""

    auth: AuthServices
    app: ASGIApp
    client: httpx.AsyncClient

    async def post(
        self, route: str, document: object = None, *, token: str = "", prefix: str = "/auth"
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if document is None:
            return await self.client.post(f"{prefix}/{route}", headers=headers)
        return await self.client.post(f"{prefix}/{route}", headers=headers, json=document)

    async def get(self, path: str, token: str = "") -> httpx.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})

    async def register(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        subject: str = (await self.post("register", {"email": email, "password": password})).json()["subject"]
        return subject

    async def login(self, email: str = EMAIL, password: str = PASSWORD) -> dict[str, Any]:
        answer = await self.post("login", {"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def sign_up(self) -> dict[str, Any]:
        """An account, and its first tokens."""
        await self.register()
        return await self.login()


@asynccontextmanager
async def visiting(app: ASGIApp, auth: AuthServices) -> AsyncIterator[Site]:
    """A client of ``app``; its services are open."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with auth, httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
        yield Site(auth, app, client)


@asynccontextmanager
async def site(clock: FakeClock | None = None, **options: Any) -> AsyncIterator[Site]:
    auth = services(clock, **options)
    async with visiting(AuthStack(api(), auth, policy=POLICY), auth) as opened:
        yield opened


@asynccontextmanager
async def serving(app: ASGIApp, *, root_path: str = "") -> AsyncIterator[int]:
    """The port of a real uvicorn on loopback, lifespan included."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="on", ws="websockets-sansio", log_level="critical", root_path=root_path)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listening.close()
