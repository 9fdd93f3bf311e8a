"""How live connections end, with hand-written applications: what they are told, and when they are cancelled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from harness import USER, Tokens, bearer, http_scope, websocket_scope
from test_revocations import until

from asgi_auth.authorization import has_role, public
from asgi_auth.errors import Conflict, Denied, Reason
from asgi_auth.middleware.authorization import check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
ACCEPT: Message = {"type": "websocket.accept"}
LAST_CHUNK: Message = {"type": "http.response.body", "body": b"", "more_body": False}
CLOSED: Message = {"type": "websocket.close", "code": 4401, "reason": "invalid_token"}


def part(body: bytes = b"x") -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def text(text: str = "x") -> Message:
    return {"type": "websocket.send", "text": text}


class Open:
    """One connection that is being served: what its client has got, and how its credential ends.

    ``blocked`` stands for a client who does not read: nothing is sent while it is set.
    """

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.tokens = Tokens()
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.waiting = 0
        self.failure: Exception | None = None
        stack = BearerMiddleware(app, access_tokens=self.tokens)
        self.task = asyncio.create_task(stack({**scope, "headers": bearer("user")}, self.incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.waiting += 1
        try:
            await self.reads.wait()
        finally:
            self.waiting -= 1
        self.sent.append(message)

    async def is_live(self) -> None:
        await until(lambda: USER in self.tokens.watched)

    def end(self) -> None:
        self.tokens.watched[USER]()

    async def ended(self) -> list[Message]:
        """End it; what the client got, when the server's task is over."""
        await self.is_live()
        self.end()
        await asyncio.wait_for(self.task, 30)
        assert self.tokens.watched == {}
        return self.sent


def stream(app: ASGIApp) -> Open:
    return Open(app, http_scope())


def socket(app: ASGIApp) -> Open:
    return Open(app, websocket_scope())


Serve = Callable[[ASGIApp], Open]


async def sending(send: Send, message: Message) -> None:
    await send(message)


async def begin(scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        await send(START)
        await send(part())
    else:
        await send(ACCEPT)


def whole(scope_type: str) -> list[Message]:
    """What a client has got when an idle connection has ended."""
    return [START, part(), LAST_CHUNK] if scope_type == "http" else [ACCEPT, CLOSED]


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
    await asyncio.sleep(0.2)
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
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        served.reads.set()

    served = serve(app)
    await asyncio.wait_for(served.task, 30)
    assert [type(error) for error in outcome] == [asyncio.CancelledError]


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


# what is live


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"2")], [(b"Content-Length", b"2")], [(b"x", b"y"), (b"content-length", b"2")]]
)
async def test_a_response_with_a_length_is_not_live(headers: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": headers})
        await send(part())
        assert served.tokens.watched == {}
        await send({"type": "http.response.body", "body": b"x"})
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task
    assert len(served.sent) == 3


async def test_a_response_in_one_piece_is_not_live() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task


@pytest.mark.parametrize("refused", [False, True])
async def test_a_stream_whose_first_part_comes_before_its_start_is_the_servers_to_refuse(refused: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin") if refused else public)
        await send(part())
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task
    assert served.sent[0] == part()


async def test_a_message_of_another_type_does_not_complete_a_stream() -> None:
    """An extension's, such as ``http.response.push``, in the middle of a live response."""
    push: Message = {"type": "http.response.push", "path": "/x", "headers": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await send(push)
        await receive()

    served = stream(app)
    await until(lambda: push in served.sent)
    assert await served.ended() == [START, part(), push, LAST_CHUNK]


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("status", [200, 403])
async def test_a_stream_after_a_refusal_that_the_application_has_dealt_with_is_live_too(status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin"))
        await send({**START, "status": status})
        await send(part())
        await receive()

    assert (await stream(app).ended())[-1] == LAST_CHUNK


@pytest.mark.requirement("R-96", "refuses")
async def test_a_socket_after_a_refusal_that_the_application_has_dealt_with_is_live_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin"))
        await send(ACCEPT)
        await send(text())
        await receive()

    assert await socket(app).ended() == [ACCEPT, text(), CLOSED]


async def test_a_refusal_in_a_live_socket_closes_it_with_its_own_code() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        check(scope, has_role("admin"))

    served = socket(app)
    await served.task
    assert served.sent == [ACCEPT, {"type": "websocket.close", "code": 4403, "reason": "forbidden"}]
    assert served.tokens.watched == {}


async def test_a_refusal_in_a_live_socket_that_the_application_leaves_open_closes_it_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with suppress(Denied):
            check(scope, has_role("admin"))

    served = socket(app)
    await served.task
    assert served.sent == [ACCEPT, {"type": "websocket.close", "code": 4403, "reason": "forbidden"}]


async def test_of_anonymous_callers_and_of_callers_whom_others_have_authenticated_nothing_is_live() -> None:
    tokens = Tokens()
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        assert tokens.watched == {}
        await send(LAST_CHUNK)

    async def keep(message: Message) -> None:
        sent.append(message)

    stack = BearerMiddleware(app, access_tokens=tokens)
    await stack(http_scope(headers=[]), None, keep)
    await stack(http_scope(headers=[], auth=USER), None, keep)
    assert sent == [START, part(), LAST_CHUNK] * 2


async def test_the_layer_that_authenticates_is_the_one_that_watches() -> None:
    """Outside stands a layer that has found nobody; inside, one that has."""
    outer, inner = Tokens(), Tokens()
    inner.known = {b"user": USER}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        assert (list(outer.watched), list(inner.watched)) == ([], [USER])

    async def revealing(scope: Scope, receive: Receive, send: Send) -> None:
        await BearerMiddleware(app, access_tokens=inner)({**scope, "headers": bearer("user")}, receive, send)

    async def keep(message: Message) -> None:
        pass

    await BearerMiddleware(revealing, access_tokens=outer)(http_scope(headers=[]), None, keep)
    await BearerMiddleware(revealing, access_tokens=outer)(websocket_scope(headers=[]), None, keep)
