"""Whose cancellation is whose: that of an end stays within, that of a server or of the application goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from ending_tools import (
    Serve,
    begin,
    part,
    sending,
    socket,
    stream,
    text,
    whole,
)
from test_revocations import until

from asgi_auth.wire import ending
from asgi_auth.wire.asgi import Receive, Scope, Send


@pytest.fixture(params=["http", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def serve(kind: str) -> Serve:
    return stream if kind == "http" else socket


@pytest.fixture(autouse=True)
async def tasks() -> Any:
    """Every test leaves the tasks that it found."""
    before = len(asyncio.all_tasks())
    yield
    await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.requirement("R-92", "refuses")
async def test_the_servers_own_cancellation_goes_on(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await asyncio.Event().wait()

    served = serve(app)
    await served.is_live()
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task
    assert served.tokens.watched == {}


@pytest.mark.requirement("R-92", "refuses")
@pytest.mark.parametrize("moment", ["at the end", "in the cut"])
async def test_the_servers_cancellation_goes_on_also_where_the_connection_has_ended(
    kind: str, serve: Serve, moment: str
) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.sleep(0)
            raise

    served = serve(app)
    await served.is_live()
    served.end()
    if moment == "in the cut":
        await cancelled.wait()
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task


@pytest.mark.requirement("R-92", "refuses")
@pytest.mark.parametrize("where", ["send", "receive"])
async def test_a_cancellation_at_the_same_moment_is_not_taken_for_the_end(kind: str, serve: Serve, where: str) -> None:
    """The application's own timeout, say, hits the task that the end frees."""
    outcome: list[BaseException] = []

    async def waits(wait: Callable[[], Awaitable[object]]) -> None:
        try:
            await wait()
        except BaseException as error:
            outcome.append(error)
            raise

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        served.reads.clear()
        message = part() if kind == "http" else text()
        task = asyncio.create_task(waits(receive if where == "receive" else lambda: send(message)))
        for _ in range(5):
            await asyncio.sleep(0)
        served.end()
        if where == "receive":
            task.cancel()
        served.interrupted = task.cancel
        with suppress(asyncio.CancelledError):
            await task
        served.reads.set()

    served = serve(app)
    await asyncio.wait_for(served.task, 30)
    assert [type(error) for error in outcome] == [asyncio.CancelledError]


@pytest.mark.requirement("R-92", "holds")
async def test_a_server_that_cancels_what_has_ended_need_not_wait_for_a_slow_client(
    kind: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_LAST_WORD", 3600.0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        served.reads.clear()
        await send(part() if kind == "http" else text())

    served = serve(app)
    await until(lambda: served.waiting == 1)
    served.end()
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(served.task), 30)


@pytest.mark.requirement("R-92", "holds")
async def test_a_cancellation_of_the_application_alone_stays_its_own(kind: str, serve: Serve) -> None:
    """A sender that is cancelled by its own application, no end in sight, is cancelled; the rest goes on."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        served.reads.clear()
        task = asyncio.create_task(sending(send, part() if kind == "http" else text()))
        await until(lambda: served.waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        served.reads.set()
        await receive()

    served = serve(app)
    await until(lambda: len(served.sent) == len(whole(kind)) - 1 and served.reads.is_set() and not served.waiting)
    assert await served.ended() == whole(kind)


async def test_a_child_that_is_cancelled_by_the_end_does_not_cancel_the_server(kind: str, serve: Serve) -> None:
    """What frameworks do whose tasks end when their client is gone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        child = asyncio.create_task(begin(scope, send))
        await child
        idle = asyncio.create_task(asyncio.Event().wait())
        await receive()
        idle.cancel()
        await idle

    served = serve(app)
    assert await served.ended() == whole(kind)


@pytest.mark.requirement("R-92", "holds")
async def test_the_server_that_cancels_while_a_slow_client_is_told_need_not_wait(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        served.reads.clear()
        await receive()

    served = serve(app)
    await served.is_live()
    await until(lambda: not served.reads.is_set())
    served.end()
    await until(lambda: served.waiting == 1)
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task
