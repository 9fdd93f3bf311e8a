"""Streams and sockets of real frameworks on real servers: they end with their credential, and nothing else is left."""

import asyncio
import gc
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import httpx
import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn
from live_apps import LENGTH, LIVE, Live
from sites import EMAIL, PASSWORD, services
from test_revocations import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices
from asgi_auth.testing.clock import FakeClock
from asgi_auth.wire import ending
from asgi_auth.wire.asgi import ASGIApp


async def uvicorn_serves(app: ASGIApp, listening: socket.socket, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", lifespan="off", log_config=None, log_level="warning"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    await stop.wait()
    server.should_exit = True
    await serving


async def hypercorn_serves(app: ASGIApp, listening: socket.socket, stop: asyncio.Event) -> None:
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.keep_alive_timeout = 0.05  # it waits for the next request in a task

    async def stopped() -> None:
        await stop.wait()

    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped)


SERVERS = {"uvicorn": uvicorn_serves, "hypercorn": hypercorn_serves}


@dataclass
class World:
    """A served application, somebody signed in, and the time."""

    live: Live
    auth: AuthServices
    clock: FakeClock
    tokens: Tokens
    subject: str
    port: int
    before: Counter[str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.access_token}"}

    def watched(self) -> int:
        connections = self.auth.access_tokens._live
        assert connections is not None
        return len(set().union(*connections._index.values()))

    async def revoke(self) -> None:
        await self.auth.access_tokens.revoke(await self.auth.access_tokens.verify(self.tokens.access_token))

    async def log_out(self) -> None:
        await self.auth.refresh_tokens.revoke(self.tokens.refresh_token)

    async def disable(self) -> None:
        await self.auth.accounts.disable(self.subject)

    async def expire(self) -> None:
        self.clock.advance(900)

    async def refresh(self) -> None:
        await self.auth.refresh_tokens.rotate(self.tokens.refresh_token, client_id=self.auth.client_id)

    @asynccontextmanager
    async def stream(self, kind: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a stream that is open and watched."""
        url = f"http://127.0.0.1:{self.port}/{kind}"
        async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=self.headers) as answer:
            assert answer.status_code == 200
            received = answer.aiter_bytes()
            await anext(received)
            assert self.watched()
            yield received

    @asynccontextmanager
    async def socket(self, kind: str) -> AsyncIterator[ClientConnection]:
        """A socket that is open and watched."""
        url = f"ws://127.0.0.1:{self.port}/ws/{kind}"
        async with connect(url, additional_headers=self.headers, compression=None) as opened:
            assert await opened.recv() == "open"
            assert self.watched()
            yield opened

    async def is_quiet(self) -> None:
        """Nothing is watched, and no task runs that did not run before."""
        await until(lambda: not tasks() - self.before)
        assert self.watched() == 0

    async def left(self, count: int) -> None:
        """Wait for the ``finally`` of this many; a generator that waits in ``yield`` has its own once collected."""
        async with asyncio.timeout(30):
            while self.live.left < count:
                gc.collect()
                await asyncio.sleep(0.01)
        assert self.live.left == count

    async def stalled(self) -> None:
        """Wait until the application sends nothing more, since its client does not read."""
        before, unchanged = -1, 0
        while unchanged < 20:
            unchanged = unchanged + 1 if before == self.live.sent else 0
            before = self.live.sent
            await asyncio.sleep(0.005)


@asynccontextmanager
async def world(framework: str, server: str = "uvicorn") -> AsyncIterator[World]:
    """Ends with what every test asks: nothing is watched, no task is left that was not there, every ``finally`` ran."""
    clock, live = FakeClock(), LIVE[framework]()
    listening = socket.create_server(("127.0.0.1", 0))
    port, stop = listening.getsockname()[1], asyncio.Event()
    async with services(clock) as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        tokens = await auth.refresh_tokens.issue(account, client_id=auth.client_id)
        stack = BearerMiddleware(live.app, access_tokens=auth.access_tokens)
        serving = asyncio.create_task(SERVERS[server](stack, listening, stop))
        await answers(port)
        served = World(live, auth, clock, tokens, account.subject, port, tasks())
        try:
            yield served
            await served.is_quiet()
        finally:
            stop.set()
            await serving
            listening.close()


async def answers(port: int) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/length")
            except httpx.TransportError:
                await asyncio.sleep(0.001)
            else:
                return


def tasks() -> Counter[str]:
    """What runs, by name: the feed's queries come and go."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return Counter(name for name in names if name != "Revocations._ask")


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture(params=LIVE)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("kind", ["idle", "steady"])
async def test_a_stream_ends_cleanly_with_its_credential(
    framework: str, server: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets the last chunk: without it httpx raises RemoteProtocolError."""
    async with world(framework, server) as served:
        async with served.stream(kind) as received:
            await served.revoke()
            rest = [chunk async for chunk in received]
        assert b"".join(rest).replace(b"data: x\n\n", b"") == b""
        await served.left(1)
    assert errors(caplog) == []


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("kind", ["receive", "push", "sleep"])
async def test_a_socket_is_closed_with_its_credential(
    framework: str, server: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the application, which cleans up, cannot send any more."""
    async with world(framework, server) as served:
        async with served.socket(kind) as opened:
            await served.revoke()
            assert await closed(opened) == (4401, "invalid_token")
        await until(lambda: len(served.live.after_the_end) == 1)
        assert served.live.after_the_end != ["sent"]
    assert errors(caplog) == []


@pytest.mark.requirement("R-96", "refuses")
async def test_a_socket_whose_token_came_as_a_subprotocol_is_closed_with_it(
    framework: str, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser's way; the marker alone comes back, since a browser refuses an answer without any."""
    async with world(framework, server) as served:
        url = f"ws://127.0.0.1:{served.port}/ws/sleep"
        offered = [Subprotocol(name) for name in ("bearer", served.tokens.access_token)]
        async with connect(url, subprotocols=offered, compression=None) as opened:
            assert (await opened.recv(), opened.subprotocol) == ("open", "bearer")
            await served.revoke()
            assert await closed(opened) == (4401, "invalid_token")
    assert errors(caplog) == []
    assert served.tokens.access_token not in caplog.text


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("end", [World.log_out, World.disable, World.expire])
async def test_logout_a_disabled_account_and_expiry_end_streams_and_sockets_at_once(
    framework: str, end: Callable[[World], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async with world(framework) as served:
        async with served.socket("sleep") as first, served.socket("receive") as second, served.stream("idle") as third:
            await end(served)
            assert [chunk async for chunk in third] == []
            assert [await closed(opened) for opened in (first, second)] == [(4401, "invalid_token")] * 2
        await served.left(3)
    assert errors(caplog) == []


@pytest.mark.requirement("R-96", "holds")
async def test_refresh_rotation_closes_nothing(framework: str) -> None:
    async with world(framework) as served, served.socket("push") as opened, served.stream("steady") as received:
        await served.refresh()
        sent = served.live.sent
        await until(lambda: served.live.sent > sent + 10)
        assert (await opened.recv(), (await anext(received))[:8]) == ("x", b"data: x\n")
        assert (served.watched(), served.live.left) == (2, 0)


@pytest.mark.requirement("R-96", "holds")
async def test_a_client_who_leaves_is_watched_no_longer(framework: str, server: str) -> None:
    async with world(framework, server) as served:
        async with served.stream("steady"), served.socket("receive"):
            assert served.watched() == 2
        await served.left(2)


async def test_a_response_that_announces_its_length_is_not_live_and_stays_whole(framework: str, server: str) -> None:
    async with world(framework, server) as served, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{served.port}/length"
        async with client.stream("GET", url, headers=served.headers) as answer:
            assert served.watched() == 0
            await served.revoke()
            assert len(await answer.aread()) == LENGTH


@pytest.mark.requirement("R-96", "refuses")
async def test_a_slow_reader_of_a_stream_gets_what_was_sent_and_a_clean_end(
    framework: str, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ending, "_LAST_WORD", 60.0)
    async with world(framework, server) as served:
        with slow_client(served, "/flood") as connection:
            await served.stalled()
            await served.revoke()
            await served.left(1)
            sent = served.live.sent
            assert (await read_all(connection)).endswith(b"\r\n0\r\n\r\n")
            assert served.live.sent == sent
    assert errors(caplog) == []


@pytest.mark.requirement("R-96", "refuses")
async def test_a_client_of_a_stream_who_never_reads_keeps_no_task(framework: str, server: str) -> None:
    async with world(framework, server) as served:
        with slow_client(served, "/flood"):
            await served.stalled()
            await served.revoke()
            await served.left(1)
            await served.is_quiet()


@pytest.mark.requirement("R-96", "refuses")
async def test_a_slow_reader_of_a_socket_gets_what_was_sent_and_the_close(
    framework: str, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ending, "_LAST_WORD", 60.0)
    async with world(framework, server) as served:
        url = f"ws://127.0.0.1:{served.port}/ws/flood"
        # Neither does the client read ahead, nor does the server compress what it holds back.
        async with connect(url, additional_headers=served.headers, compression=None, max_queue=1) as opened:
            await served.stalled()
            await served.revoke()
            await until(lambda: len(served.live.after_the_end) == 1)
            assert await closed(opened) == (4401, "invalid_token")
        assert served.live.after_the_end != ["sent"]
    assert errors(caplog) == []


async def closed(opened: ClientConnection) -> tuple[int | None, str | None]:
    """Read to the end; how it was closed."""
    with suppress(ConnectionClosedError):
        async with asyncio.timeout(30):
            async for _ in opened:
                pass
    return opened.close_code, opened.close_reason


@contextmanager
def slow_client(served: World, path: str) -> Iterator[socket.socket]:
    """A client that has asked and does not read."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in served.headers.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.setblocking(False)
        yield connection


async def read_all(connection: socket.socket) -> bytes:
    """What comes until the last chunk, or until the server closes."""
    loop, received = asyncio.get_running_loop(), b""
    async with asyncio.timeout(30):
        while not received.endswith(b"\r\n0\r\n\r\n"):
            part = await loop.sock_recv(connection, 1 << 20)
            if not part:
                break
            received = received[-16:] + part
    return received
