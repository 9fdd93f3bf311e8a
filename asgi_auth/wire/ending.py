"""How a live connection ends when its credential does, without breaking the framework that serves it.

(1) Whoever receives gets the disconnect, as from a server whose client has left, and nothing is sent any more. Most
    frameworks end what they serve then, in their own way. Quart's tasks leak where they are only cancelled.
(2) After 100 ms whoever still sends gets an OSError, as from a server too, also where it waits for a client who reads
    slowly. An application that has heard nothing at all is cancelled, and its CancelledError ends with us: a stream of
    Starlette that is idle never asks whether its client is there. One that has heard of the end has all the time that
    it has after any client who leaves, since it may be cleaning up.
(3) The client gets the last chunk of the stream, or the close of the socket, then or as soon as the application has
    left.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from ..principal import Principal
from .asgi import Message, Send
from .receiving import Receiving

__all__ = ["Ending", "Watch"]

logger = logging.getLogger(__name__)

Watch = Callable[[Principal, Callable[[], None]], Callable[[], None]]
"""Calls its second argument once, when the principal's credential ends; what it returns stops the watching."""

_PATIENCE = 0.1
"""Seconds that an application has to hear of the end, and to leave before its client is told."""
_LAST_WORD = 1.0
"""Seconds that the end may take to reach a client who reads slowly; after them the server cuts the connection."""


class Ending:
    """The end of one live connection, which is watched from now on for ``principal``.

    ``task`` is cancelled where the application waits in it and hears nothing; ``last_word`` is what the client gets.
    """

    def __init__(
        self,
        watch: Watch,
        principal: Principal,
        *,
        task: asyncio.Task[Any],
        receiving: Receiving,
        send: Send,
        last_word: Message,
    ) -> None:
        self._task = task
        self._cancellations = task.cancelling()
        self._receiving = receiving
        self._send = send
        self._last_word = last_word
        self._lock = asyncio.Lock()
        self._sender: asyncio.Task[Any] | None = None
        self._has_heard = False
        self._is_complete = False
        self._has_returned = asyncio.Event()
        self._is_over = asyncio.Event()
        self._steps: asyncio.Task[None] | None = None
        self._was_cut = False
        self._unwatch = watch(principal, self._end)

    async def send(self, message: Message, *, is_last: bool) -> None:
        """Send for the application. Raises OSError where the connection has ended."""
        if self._steps is not None:
            await self._refuse()
        async with self._lock:
            if self._steps is not None:
                await self._refuse()
            self._is_complete = self._is_complete or is_last
            self._sender = sender = asyncio.current_task()
            try:
                await self._send(message)
            except asyncio.CancelledError:
                # Ours alone ends here; somebody else's cancellation goes on.
                if not self._is_over.is_set() or sender is None or sender.uncancel():
                    raise
                raise _gone() from None
            finally:
                self._sender = None

    async def _refuse(self) -> NoReturn:
        self._has_heard = True
        # A framework that is about to cancel this task can do so without an exception in its way.
        await self._is_over.wait()
        raise _gone()

    async def left(self, error: BaseException | None) -> bool:
        """The application is gone, with ``error`` or without: True where that is only what became of the end.

        The client has its last word then.
        """
        self._has_returned.set()
        self._unwatch()
        if self._steps is None:
            return False
        task = asyncio.current_task()
        is_all = error is None or self._has_caused(error, task)
        if self._was_cut and task is self._task:
            self._task.uncancel()
        if is_all:
            await self._steps
        else:
            self._steps.cancel()
        return is_all

    def _has_caused(self, error: BaseException, task: asyncio.Task[Any] | None) -> bool:
        if isinstance(error, asyncio.CancelledError):
            ours = self._cancellations + self._was_cut if task is self._task else 0
            return task is not None and task.cancelling() <= ours
        logger.info("the application of a connection that has ended left with %s", type(error).__name__)
        return isinstance(error, Exception)

    def _end(self) -> None:
        if self._is_complete:
            return
        self._steps = asyncio.create_task(self._run())
        self._receiving.end()

    async def _run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._has_returned.wait()
        self._is_over.set()
        if self._sender is not None:
            self._sender.cancel()
        elif not (self._has_returned.is_set() or self._has_heard or self._receiving.has_told):
            self._was_cut = self._task.cancel()
        try:
            async with asyncio.timeout(_LAST_WORD), self._lock:
                await self._send(self._last_word)
        except Exception as error:
            # The client is gone, or reads too slowly: the server deals with both.
            logger.info("the end of a connection could not be told: %s", type(error).__name__)


def _gone() -> OSError:
    return OSError("the credential of this connection has ended")
