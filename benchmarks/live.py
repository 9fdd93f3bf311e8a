"""How long after a sign-out a connection in another worker ends, at its client.

    python benchmarks/live.py            8 rounds of 25 connections of each kind, about half a minute
    python benchmarks/live.py --quick    one round of 4, to see that it runs

Two workers, real uvicorn, each a process of its own, share one SQLite file. Streams and sockets are open in one; each
hangs on a family of its own, which signs out at the other at a random moment. Measured to the end that the client sees
(the last chunk, or the close with 4401) from the request that signs out, and from its answer: what was answered is
committed, and the bound from then on is max_staleness and 250 ms. Leaves with 1 where one connection misses it or does
not end cleanly, but never with ``--quick`` for being late.
"""

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import httpx
import uvicorn
from one_file import issue, on_file, register
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from asgi_auth import AuthStack

BOUND = 1.25
"""Seconds: max_staleness as it is by default, and 250 ms."""
KINDS = ("idle stream", "steady stream", "idle socket", "steady socket")
HEAD = f"{'p50':>9}{'p99':>9}{'max':>9}"
SPREAD = 1.0
"""Seconds over which the sign-outs of a round are spread."""

Figures = dict[str, list[tuple[float, float]]]
"""Seconds from the request and from its answer, by kind."""
Ended = Callable[[], Awaitable[bool]]
"""Returns when the connection has ended: whether it did so cleanly."""


async def parts(kind: str) -> AsyncIterator[str]:
    while True:
        yield "data: x\n\n"
        await (asyncio.Event().wait() if kind == "idle" else asyncio.sleep(0.02))


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(parts(request.path_params["kind"]), media_type="text/event-stream")


async def websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    async for part in parts(websocket.path_params["kind"]):
        await websocket.send_text(part)


def serve(path: Path, port: int) -> None:
    """One worker."""
    app = Starlette(routes=[Route("/{kind}", stream), WebSocketRoute("/{kind}", websocket)])
    stack = AuthStack(app, on_file(path, reuse_leeway=0))
    uvicorn.run(stack, port=port, log_level="critical", ws="websockets-sansio")


def main() -> int:
    parser = argparse.ArgumentParser(description="From a sign-out in one worker to the end of connections in another.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=25, help="of each kind, in each round")
    parser.add_argument("--quick", action="store_true", help="1 round of 4: the figures mean little")
    parser.add_argument("--serve", nargs=2, metavar=("FILE", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(Path(arguments.serve[0]), int(arguments.serve[1]))
        return 0
    rounds, count = (1, 4) if arguments.quick else (arguments.rounds, arguments.connections)
    delays, unclean = asyncio.run(measure(rounds, count))
    met = report(delays) and not unclean
    print(f"\nended otherwise than cleanly: {unclean}")
    return 0 if met or (arguments.quick and not unclean) else 1


async def measure(rounds: int, count: int) -> tuple[Figures, int]:
    """Seconds by kind, and how many did not end cleanly."""
    delays: Figures = {kind: [] for kind in KINDS}
    unclean = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "auth.db"
        async with (
            on_file(path, reuse_leeway=0) as services,
            worker(path) as here,
            worker(path) as there,
            httpx.AsyncClient(timeout=60, limits=httpx.Limits()) as client,
        ):
            accounts = [await register(services) for _ in range(count * len(KINDS))]
            for _ in range(rounds):
                tokens = [(await issue(services, account)).access_token for account in accounts]
                one_round = [delay(client, KINDS[n % len(KINDS)], here, there, token) for n, token in enumerate(tokens)]
                for kind, from_request, from_answer, is_clean in await asyncio.gather(*one_round):
                    delays[kind].append((from_request, from_answer))
                    unclean += not is_clean
    return delays, unclean


@asynccontextmanager
async def worker(path: Path) -> AsyncIterator[str]:
    """The address of one more worker on the file."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(path), str(port)]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await answers(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def answers(address: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                await client.get(f"http://{address}/auth/me")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def delay(
    client: httpx.AsyncClient, kind: str, here: str, there: str, token: str
) -> tuple[str, float, float, bool]:
    """Open a connection here, sign out there, and see it end."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{here}/{kind.split()[0]}"
    opened = a_stream(client, address, headers) if kind.endswith("stream") else a_socket(address, headers)
    async with opened as ended:
        ending = asyncio.create_task(timed(ended))
        await asyncio.sleep(random.uniform(0, SPREAD))
        asked = time.perf_counter()
        answer = await client.post(f"http://{there}/auth/logout", headers=headers)
        answered = time.perf_counter()
        assert answer.status_code == 204, answer.text
        async with asyncio.timeout(60):
            is_clean, at = await ending
    return kind, at - asked, at - answered, is_clean


async def timed(ended: Ended) -> tuple[bool, float]:
    return await ended(), time.perf_counter()


@asynccontextmanager
async def a_stream(client: httpx.AsyncClient, address: str, headers: dict[str, str]) -> AsyncIterator[Ended]:
    async with client.stream("GET", f"http://{address}", headers=headers) as answer:
        received = answer.aiter_bytes()
        await anext(received)

        async def ended() -> bool:
            try:
                async for _ in received:
                    pass
            except httpx.TransportError:
                return False
            return True

        yield ended


@asynccontextmanager
async def a_socket(address: str, headers: dict[str, str]) -> AsyncIterator[Ended]:
    async with connect(f"ws://{address}", additional_headers=headers, compression=None) as opened:
        await opened.recv()
        consumed = asyncio.create_task(consume(opened.recv))

        async def ended() -> bool:
            await opened.wait_closed()
            await consumed
            return opened.close_code == 4401

        yield ended


async def consume(recv: Callable[[], Awaitable[object]]) -> None:
    try:
        while True:
            await recv()
    except Exception:
        return


def report(delays: Figures) -> bool:
    """Print the table; whether every connection met the bound."""
    print(f"Python {sys.version.split()[0]}, milliseconds to the end at the client\n")
    print(f"{'':<16} {'':>6} {'from the request':>26} {'from its answer':>26}")
    print(f"{'':<16} {'count':>6}{HEAD * 2}   at most {BOUND * 1000:.0f}")
    delays = delays | {"all": [each for values in delays.values() for each in values]}
    for kind, pairs in delays.items():
        columns = [figure for seconds in zip(*pairs, strict=True) for figure in summary(seconds)]
        line = "".join(f"{seconds * 1000:9.0f}" for seconds in columns)
        print(f"{kind:<16} {len(pairs):>6}{line}   {'pass' if columns[-1] <= BOUND else 'FAIL'}")
    return max(from_answer for _, from_answer in delays["all"]) <= BOUND


def summary(seconds: Sequence[float]) -> tuple[float, float, float]:
    percentiles = quantiles(seconds, n=100, method="inclusive")
    return percentiles[49], percentiles[98], max(seconds)


if __name__ == "__main__":
    raise SystemExit(main())
