"""Who opens the services: the lifespan around the application's own, else the first request."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from harness import Answer, Recorder, http, websocket

from asgi_auth.errors import StoreUnavailable
from asgi_auth.middleware.opening import Lifespan, OpenServices
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send


class Services:
    """What is opened, and everything that happened in order."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.events: list[str] = []
        self.failure = failure

    async def open(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append("open")

    async def ensure_open(self) -> None:
        if "open" not in self.events:
            await self.open()

    async def close(self) -> None:
        self.events.append("close")


class Server:
    """A server's end of the lifespan: sends its two events, notes the answers."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sent: list[Message] = []
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._events.put_nowait({"type": "lifespan.startup"})

    async def receive(self) -> Message:
        return await self._events.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.services.events.append(message["type"].removeprefix("lifespan."))
        if message["type"] == "lifespan.startup.complete":
            self._events.put_nowait({"type": "lifespan.shutdown"})


async def run(app: ASGIApp, services: Services, **more: Any) -> Server:
    server = Server(services)
    await Lifespan(app, services)({"type": "lifespan", "asgi": {}} | more, server.receive, server.send)
    return server


def having(services: Services, startup: str = "complete", shutdown: str = "complete") -> ASGIApp:
    """An application that takes part, and notes it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for phase, outcome in (("startup", startup), ("shutdown", shutdown)):
            assert (await receive())["type"] == f"lifespan.{phase}"
            services.events.append(f"app {phase}")
            await send({"type": f"lifespan.{phase}.{outcome}", "message": "told"})
            if outcome == "failed":
                return

    return app


async def test_services_open_before_the_applications_startup_and_close_after_its_shutdown() -> None:
    services = Services()

    await run(having(services), services)

    assert services.events == [
        *("open", "app startup", "startup.complete"),
        *("app shutdown", "close", "shutdown.complete"),
    ]


async def test_a_startup_that_failed_closes_the_services_and_is_passed_on() -> None:
    services = Services()

    server = await run(having(services, startup="failed"), services)

    assert services.events == ["open", "app startup", "close", "startup.failed"]
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "told"}]


async def test_a_shutdown_that_failed_closes_the_services_and_is_passed_on() -> None:
    services = Services()

    server = await run(having(services, shutdown="failed"), services)

    assert services.events[-2:] == ["close", "shutdown.failed"]
    assert server.sent[-1] == {"type": "lifespan.shutdown.failed", "message": "told"}


async def raises_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(scope["type"])


async def raises_after_the_event(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise NotImplementedError


async def returns_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def cancels_itself(scope: Scope, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError


async def answers_as_if_http(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})


ABSENT = pytest.mark.parametrize(
    "app", [raises_at_once, raises_after_the_event, returns_at_once, cancels_itself, answers_as_if_http]
)


@ABSENT
async def test_an_application_that_raises_or_returns_before_answering_has_no_lifespan(app: ASGIApp) -> None:
    services = Services()

    await run(app, services)

    assert services.events == ["open", "startup.complete", "close", "shutdown.complete"]


@ABSENT
async def test_its_exception_is_noted_once_by_its_name(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await run(app, Services())

    assert len(caplog.records) == (app is not returns_at_once)
    assert all("the application has no lifespan: it raised " in record.message for record in caplog.records)


async def test_services_that_cannot_open_fail_the_startup_and_the_application_is_not_called() -> None:
    services = Services(StoreUnavailable())
    app = Recorder()
    server = Server(services)

    with pytest.raises(StoreUnavailable):
        await Lifespan(app, services)({"type": "lifespan"}, server.receive, server.send)

    assert services.events == ["startup.failed"]
    assert "cannot answer" in server.sent[0]["message"]
    assert app.scopes == []


async def starts_then_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "lifespan.startup.complete"})
    raise ZeroDivisionError


async def fails_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "lifespan.startup.failed", "message": "told"})
    raise ZeroDivisionError


async def stops_then_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("app", "events"),
    [
        (starts_then_raises, ["open", "startup.complete", "close"]),
        (fails_and_raises, ["open", "close", "startup.failed"]),
        (stops_then_raises, ["open", "startup.complete", "close", "shutdown.complete"]),
    ],
)
async def test_what_an_application_raises_after_an_answer_reaches_the_server(app: ASGIApp, events: list[str]) -> None:
    services = Services()

    with pytest.raises(ZeroDivisionError):
        await run(app, services)

    assert services.events == events


async def test_an_application_may_return_between_startup_and_shutdown() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    services = Services()

    await run(app, services)

    assert services.events == ["open", "startup.complete", "close", "shutdown.complete"]


async def test_startup_and_shutdown_run_in_one_task_and_one_context() -> None:
    """Frameworks enter task groups and set context variables at startup, and leave them at shutdown."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup(), asyncio.timeout(60):
            token = variable.set("set")
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        variable.reset(token)
        await send({"type": "lifespan.shutdown.complete"})

    services = Services()

    await run(app, services)

    assert services.events[-1] == "shutdown.complete"


async def test_the_state_is_shared_and_the_scope_is_not() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["pool"] = "opened"
        scope["mine"] = True
        await having(services)(scope, receive, send)

    services = Services()
    server = Server(services)
    scope: Scope = {"type": "lifespan", "state": {}}

    await Lifespan(app, services)(scope, server.receive, server.send)

    assert scope == {"type": "lifespan", "state": {"pool": "opened"}}


@pytest.mark.parametrize("waiting_in", ["startup", "between", "shutdown"])
async def test_a_server_that_gives_up_ends_the_application_and_closes_the_services(waiting_in: str) -> None:
    reached = asyncio.Event()
    services = Services()

    async def hang(phase: str) -> None:
        if phase == waiting_in:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                services.events.append("app ended")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await hang("startup")
        await send({"type": "lifespan.startup.complete"})
        await hang("between")
        await receive()
        await hang("shutdown")

    server = Server(services)
    running = asyncio.create_task(run_with(app, services, server, shutdown=waiting_in == "shutdown"))
    await reached.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert services.events[-2:] == ["app ended", "close"]


async def run_with(app: ASGIApp, services: Services, server: Server, *, shutdown: bool) -> None:
    async def receive() -> Message:
        event = await server.receive()
        if event["type"] == "lifespan.shutdown" and not shutdown:
            await asyncio.Event().wait()
        return event

    await Lifespan(app, services)({"type": "lifespan"}, receive, server.send)


Call = Callable[[ASGIApp], Awaitable[Answer]]
KINDS = pytest.mark.parametrize("call", [http, websocket])


@KINDS
async def test_without_a_lifespan_the_first_request_opens_the_services(call: Call) -> None:
    services = Services()
    app = Recorder()
    opening = OpenServices(app, services)

    await call(opening)
    await call(opening)

    assert services.events == ["open"]
    assert len(app.scopes) == 2


@KINDS
@pytest.mark.requirement("R-91", "refuses")
async def test_while_they_cannot_be_opened_requests_get_503_and_the_application_is_not_called(call: Call) -> None:
    services = Services(StoreUnavailable())
    app = Recorder()
    opening = OpenServices(app, services)

    answer = await call(opening)

    assert (answer.status, answer.header("retry-after")) == (503, ["1"])
    assert app.scopes == []


@KINDS
@pytest.mark.requirement("R-91", "holds")
async def test_once_they_can_be_opened_the_next_request_is_served(call: Call) -> None:
    services = Services(StoreUnavailable())
    app = Recorder()
    opening = OpenServices(app, services)
    await call(opening)

    services.failure = None
    await call(opening)

    assert services.events == ["open"]
    assert len(app.scopes) == 1
