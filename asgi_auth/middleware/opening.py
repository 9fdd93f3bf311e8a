"""Who opens the services: the server's lifespan, or the first request where there is none.

Daphne, serverless platforms and in-process clients have no lifespan.
"""

import asyncio
import logging
from typing import Any, Protocol

from ..errors import Refusal
from ..wire.asgi import ASGIApp, Message, Scope
from ..wire.responses import refuse

__all__ = ["Lifespan", "OpenServices", "Openable"]

logger = logging.getLogger(__name__)


class Openable(Protocol):
    """What is asked of ``AuthServices``: openings are counted, and closed by as many closings."""

    async def open(self) -> None:
        """Open, or count one more who has."""
        ...

    async def ensure_open(self) -> None:
        """Open unless it is open; of concurrent callers one opens."""
        ...

    async def close(self) -> None:
        """Take one opening back; the last one closes."""
        ...


class OpenServices:
    """Opens the services before the first request, unless somebody has: concurrent requests open them once.

    A request that comes while they cannot be opened is answered with 503; the next one tries again.
    """

    def __init__(self, app: ASGIApp, services: Openable) -> None:
        self.app = app
        self._ensure_open = services.ensure_open

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI: http and websocket only."""
        try:
            await self._ensure_open()
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal)
            return
        await self.app(scope, receive, send)


class Lifespan:
    """Opens the services, runs the application's lifespan inside, closes the services after it.

    The application's answers are passed on as they are; one that has no lifespan counts as content. Where
    the services cannot be opened, the application is not started.
    """

    def __init__(self, app: ASGIApp, services: Openable) -> None:
        self.app = app
        self._services = services

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI: lifespan only."""
        await receive()
        try:
            await self._services.open()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        inner = _InnerLifespan(self.app, scope)
        try:
            answer = await inner.ask("startup")
            if answer["type"] == "lifespan.startup.complete":
                await send(answer)
                await receive()
                answer = await inner.ask("shutdown")
        except BaseException:
            await inner.cancel()
            raise
        finally:
            await self._services.close()
        await send(answer)
        await inner.ended()


class _InnerLifespan:
    """The application's lifespan in one task of its own: frameworks open task-bound contexts in it."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        self._answers: dict[str, asyncio.Future[Message]] = {
            "startup": loop.create_future(),
            "shutdown": loop.create_future(),
        }
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._task = loop.create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        await app({**scope}, self._events.get, self._send)

    async def _send(self, message: Message) -> None:
        # A KeyError for a message of another protocol: an application that does so has no lifespan.
        self._answers[message["type"].split(".")[1]].set_result(message)

    async def ask(self, phase: str) -> Message:
        """The application's answer; ``complete`` where it has no lifespan. Raises what ended it since its start."""
        self._events.put_nowait({"type": f"lifespan.{phase}"})
        answer = self._answers[phase]
        await asyncio.wait((self._task, answer), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if phase == "startup":
            await self._note_absence()
        await self.ended()
        return {"type": f"lifespan.{phase}.complete"}

    async def _note_absence(self) -> None:
        (error,) = await asyncio.gather(self._task, return_exceptions=True)
        if error is not None:
            logger.info("the application has no lifespan: it raised %s", type(error).__name__)

    async def ended(self) -> None:
        """Wait for the task of an application that took part; what it raises is passed on."""
        if self._answers["startup"].done():
            await self._task

    async def cancel(self) -> None:
        """End the task: the server waits no longer, or the application has failed."""
        self._task.cancel()
        await asyncio.wait((self._task,))
