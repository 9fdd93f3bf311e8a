"""How live connections end, with hand-written applications: what applications are told, and what clients get."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from ending_tools import (
    LAST_CHUNK,
    START,
    Serve,
    begin,
    part,
    socket,
    stream,
    text,
    whole,
)
from harness import USER, Tokens, bearer, http_scope, websocket_scope
from test_revocations import until

from asgi_auth.authorization import has_role
from asgi_auth.errors import Conflict, Denied, Reason
from asgi_auth.middleware.authorization import check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import Message, Receive, Scope, Send


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


@pytest.mark.requirement("R-96", "holds")
async def test_an_application_that_is_idle_is_cancelled_and_the_client_gets_the_end(kind: str, serve: Serve) -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise
        finally:
            with pytest.raises(OSError, match="credential"):
                await send(part() if kind == "http" else text())
            heard.append("finally")

    served = serve(app)
    assert await served.ended() == whole(kind)
    assert heard == ["cancelled", "finally"]
    assert not served.task.cancelling()


@pytest.mark.requirement("R-96", "holds")
async def test_an_application_that_receives_hears_that_its_client_is_gone(kind: str, serve: Serve) -> None:
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        heard.append(await receive())
        heard.append(await receive())

    served = serve(app)
    assert await served.ended() == whole(kind)
    gone = {"type": "websocket.disconnect", "code": 4401, "reason": "invalid_token"}
    assert heard == [{"type": "http.disconnect"} if kind == "http" else gone] * 2


async def test_what_the_client_sends_goes_to_the_application_until_the_end(kind: str, serve: Serve) -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        while "disconnect" not in (heard or [""])[-1]:
            heard.append((await receive())["type"])

    served = serve(app)
    for number in range(3):
        await served.incoming.put({"type": f"{kind}.request", "body": b"%d" % number})
    await until(lambda: len(heard) == 3)
    await served.ended()
    assert heard == [f"{kind}.request"] * 3 + [f"{kind}.disconnect"]


@pytest.mark.requirement("R-96", "refuses")
async def test_an_application_that_sends_steadily_gets_an_oserror_and_no_message_follows_the_end(
    kind: str, serve: Serve
) -> None:
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        while True:
            try:
                await send(part() if kind == "http" else text())
            except OSError as error:
                raised.append(error)
                raise
            await asyncio.sleep(0)

    served = serve(app)
    sent = await served.ended()
    last = whole(kind)[-1]
    assert (sent.count(last), sent[-1], len(raised)) == (1, last, 1)


@pytest.mark.requirement("R-96", "refuses")
async def test_a_client_who_does_not_read_keeps_no_application_waiting(kind: str, serve: Serve) -> None:
    """The one that waits in ``send`` gets the OSError there, and the message is not sent any more."""
    raised: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        blocked.reads.clear()
        try:
            await send(part(b"too late") if kind == "http" else text("too late"))
        except BaseException as error:
            raised.append(error)
            raise

    blocked = serve(app)
    await until(lambda: blocked.waiting == 1)
    blocked.end()
    await until(lambda: len(raised) == 1)
    assert isinstance(raised[0], OSError)
    blocked.reads.set()
    await asyncio.wait_for(blocked.task, 30)
    assert blocked.sent == whole(kind)


async def test_an_application_that_cleans_up_does_not_wait_for_a_client_who_does_not_read(
    kind: str, serve: Serve
) -> None:
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        blocked.reads.clear()
        message = part() if kind == "http" else text()
        for _ in range(3):
            try:
                await send(message)
            except OSError as error:
                raised.append(error)
            await until(lambda: blocked.waiting == 1)  # the last word waits

    blocked = serve(app)
    await until(lambda: blocked.waiting == 1)
    blocked.end()
    await until(lambda: len(raised) == 3)
    blocked.reads.set()
    await asyncio.wait_for(blocked.task, 30)
    assert blocked.sent == whole(kind)


async def test_a_client_who_never_reads_is_left_to_the_server(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        blocked.reads.clear()
        await send(part() if kind == "http" else text())

    blocked = serve(app)
    await until(lambda: blocked.waiting == 1)
    assert await blocked.ended() == whole(kind)[:-1]


async def test_whoever_waits_behind_another_sender_gets_the_oserror_too(kind: str, serve: Serve) -> None:
    results: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        blocked.reads.clear()
        message = part() if kind == "http" else text()
        results.extend(await asyncio.gather(*(send(message) for _ in range(3)), return_exceptions=True))

    blocked = serve(app)
    await until(lambda: blocked.waiting == 1)
    blocked.end()
    await until(lambda: len(results) == 3)
    assert {type(result) for result in results} == {OSError}
    blocked.reads.set()
    await asyncio.wait_for(blocked.task, 30)
    assert blocked.sent == whole(kind)


async def test_an_application_that_has_heard_of_the_end_is_not_cancelled_while_it_cleans_up(
    kind: str, serve: Serve
) -> None:
    cleaned: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        try:
            await receive()
        finally:
            await until(lambda: served.sent == whole(kind))  # the client is told meanwhile
            await asyncio.sleep(0)
            cleaned.append("all")

    served = serve(app)
    await served.ended()
    assert cleaned == ["all"]


@pytest.mark.requirement("R-92", "holds")
async def test_an_application_that_swallows_its_cancellation_may_go_on_but_not_send(kind: str, serve: Serve) -> None:
    go_on = asyncio.Event()
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await go_on.wait()
        try:
            await send(part() if kind == "http" else text())
        except OSError as error:
            raised.append(error)

    served = serve(app)
    await served.is_live()
    served.end()
    await until(lambda: served.sent == whole(kind))
    assert not served.task.done()
    go_on.set()
    await asyncio.wait_for(served.task, 30)
    assert (served.sent, len(raised)) == (whole(kind), 1)
    assert not served.task.cancelling()


async def test_an_exception_after_the_end_is_noted_by_its_type_and_goes_no_further(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        try:
            await receive()
        finally:
            raise ZeroDivisionError("a secret")

    assert await serve(app).ended() == whole(kind)
    assert caplog.messages == ["the application of a connection that has ended left with ZeroDivisionError"]


async def test_a_refusal_after_the_end_changes_nothing(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await receive()
        with suppress(Denied):
            check(scope, has_role("admin"))
        raise Conflict(Reason.EMAIL_TAKEN)

    assert await serve(app).ended() == whole(kind)


async def test_an_exception_before_the_end_stays_what_it_is(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        raise ZeroDivisionError

    served = serve(app)
    with pytest.raises(ZeroDivisionError):
        await served.task
    assert served.tokens.watched == {}


async def test_the_normal_end_leaves_nothing_watched(kind: str, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        assert USER in served.tokens.watched
        await send(LAST_CHUNK if kind == "http" else {"type": "websocket.close", "code": 1000})

    served = serve(app)
    await served.task
    assert served.tokens.watched == {}


async def test_what_is_complete_is_not_ended_a_second_time(kind: str, serve: Serve) -> None:
    """The application goes on after its last message, with work of its own."""
    last: Message = LAST_CHUNK if kind == "http" else {"type": "websocket.close", "code": 1000}
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await send(last)
        await go_on.wait()

    served = serve(app)
    await until(lambda: last in served.sent)
    served.end()
    go_on.set()
    await asyncio.wait_for(served.task, 30)
    assert served.sent == [*whole(kind)[:-1], last]


@pytest.mark.requirement("R-96", "refuses")
async def test_a_credential_that_has_ended_before_the_first_message_ends_it_there(kind: str, serve: Serve) -> None:
    class Over(Tokens):
        def watch(self, principal: Any, end: Callable[[], None], /) -> Callable[[], None]:
            end()
            return lambda: None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await send(part() if kind == "http" else text())

    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {**(http_scope() if kind == "http" else websocket_scope()), "headers": bearer("user")}
    await BearerMiddleware(app, access_tokens=Over())(scope, nothing, keep)
    assert sent == ([START, LAST_CHUNK] if kind == "http" else whole(kind))


async def test_a_client_who_has_left_meanwhile_is_told_nothing_and_nobody_is_alarmed(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await receive()

    served = serve(app)
    await served.is_live()

    served.failure = OSError()
    assert await served.ended() == whole(kind)[:-1]
    assert caplog.messages == []
