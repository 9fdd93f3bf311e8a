"""One request through each rate limiter, from so many clients in turn, and one hit on each of ``limits``' storages."""

import asyncio
import time
from itertools import cycle
from typing import Any

import limits
from fastapi import Depends, FastAPI
from fastapi_limiter.depends import RateLimiter
from limits.aio.storage import MemoryStorage as AsynchronousMemory
from limits.aio.strategies import FixedWindowRateLimiter as Asynchronous
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pyrate_limiter import Duration, Limiter, Rate
from ratelimit import RateLimitMiddleware as ASGIRateLimit
from ratelimit import Rule
from ratelimit.backends.simple import MemoryBackend
from requesting import application
from rounds import Work
from slowapi import Limiter as SlowAPI
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_auth import RateLimitMiddleware
from asgi_auth.rate_limit import LocalLimiter, RateLimit
from asgi_auth.rate_limit_storage import InProcessStorage
from asgi_auth.wire.asgi import ASGIApp, Message, Scope

__all__ = ["contenders"]

LIMIT = "1000000/hour"
"""More than is sent: what is measured is a request that is allowed."""
_ITEM = limits.parse(LIMIT)


async def contenders(keys: int, calls: int) -> dict[str, Work]:
    """Everything that is measured, ``keys`` counters alive in each limiter."""
    clients = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(keys)]
    memory: Any = MemoryBackend
    apps: dict[str, ASGIApp] = {
        "bare application": application,
        "asgi_auth": RateLimitMiddleware(application, limit=LIMIT),
        "asgi_auth, no fields": RateLimitMiddleware(application, limit=LIMIT, headers=False),
        "asgi-ratelimit": ASGIRateLimit(application, client, memory(), {"^/": [Rule(hour=1_000_000)]}),
        "Starlette": starlette(),
        "Starlette, slowapi": slowapi(),
        "FastAPI": FastAPI(routes=[Route("/articles", no_content)]),
        "FastAPI, fastapi-limiter": fastapi_limiter(),
    }
    works = {name: await requests(app, clients, calls) for name, app in apps.items()}
    return works | await hits(clients, calls)


async def client(scope: Scope) -> tuple[str, str]:
    return scope["client"][0], "default"


async def no_content(request: Request) -> Response:
    return Response(status_code=204)


def starlette() -> Starlette:
    return Starlette(routes=[Route("/articles", no_content)])


def slowapi() -> ASGIApp:
    app = starlette()
    app.state.limiter = SlowAPI(key_func=get_remote_address, default_limits=[LIMIT])
    app.add_middleware(SlowAPIASGIMiddleware)
    return app


def fastapi_limiter() -> ASGIApp:
    """Its limiter in memory is one bucket for everybody: its cost does not depend on the keys."""
    app = FastAPI()
    limiter = RateLimiter(limiter=Limiter(Rate(1_000_000, Duration.HOUR)))
    app.add_api_route("/articles", status, dependencies=[Depends(limiter)], status_code=204)
    return app


async def status() -> None:
    return None


async def requests(app: ASGIApp, clients: list[str], calls: int) -> Work:
    """``calls`` requests from these clients in turn; each of them has sent one before."""
    scope = {"type": "http", "method": "GET", "path": "/articles", "root_path": "", "query_string": b"", "headers": []}
    turn = cycle([(address, 50_000) for address in clients])

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 204) == 204, "a request was not answered by the application"

    async def run(times: int = calls) -> None:
        for _ in range(times):
            await app({**scope, "client": next(turn)}, receive, send)

    await run(len(clients))
    return Work(run, calls)


async def hits(clients: list[str], calls: int) -> dict[str, Work]:
    """Hits without a request around them: ours, and ``limits``' own two in memory."""
    ours, limit = LocalLimiter(InProcessStorage()), RateLimit.parse(LIMIT)
    synchronous = FixedWindowRateLimiter(MemoryStorage())
    # Its first hits would each sweep all of the others: they are put where it keeps them.
    memory = AsynchronousMemory()
    for address in clients:
        ours.hit(limit, address)
        synchronous.hit(_ITEM, "default", address)
        memory.storage[_ITEM.key_for("default", address)] = 1
        memory.expirations[_ITEM.key_for("default", address)] = time.time() + 3600
    asynchronous, turn = Asynchronous(memory), cycle(clients)
    few = min(calls, max(5, 200_000 // len(clients)))

    async def run_ours() -> None:
        for _ in range(calls):
            ours.hit(limit, next(turn))

    async def run_synchronous() -> None:
        for _ in range(calls):
            synchronous.hit(_ITEM, "default", next(turn))

    async def run_asynchronous() -> None:
        for _ in range(few):
            await asynchronous.hit(_ITEM, "default", next(turn))
            await asyncio.sleep(0)  # a server's loop turns between requests: then it sweeps

    return {
        "hit: asgi_auth": Work(run_ours, calls),
        "hit: limits, synchronous": Work(run_synchronous, calls),
        "hit: limits, asynchronous": Work(run_asynchronous, few),
    }
