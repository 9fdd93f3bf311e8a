"""How a live connection ends when its credential does, without breaking the framework that serves it.

(1) The application is told that its client is gone, as a server tells it: whoever receives gets the disconnect, and
    whoever sends an OSError, also where it waits for a client who reads slowly. Quart's tasks leak where they are
    only cancelled.
(2) An application that has not heard it 100 ms later is cancelled, and its CancelledError ends with us: a stream of
    Starlette that is idle never asks whether its client is there. One that has heard it has all the time that it has
    after any client who leaves, since it may be cleaning up.
(3) The client gets the last chunk of the stream, or the close of the socket, after 100 ms at the latest.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

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
        self._has_raised = False
        self._is_complete = False
        self._has_returned = asyncio.Event()
        self._steps: asyncio.Task[None] | None = None
        self._was_cut = False
        self._unwatch = watch(principal, self._end)

    async def send(self, message: Message, *, is_last: bool) -> None:
        """Send for the application. Raises OSError where the connection has ended."""
        async with self._lock:
            if self._steps is not None:
                raise self._gone()
            self._is_complete = self._is_complete or is_last
            self._sender = sender = asyncio.current_task()
            try:
                await self._send(message)
            except asyncio.CancelledError:
                # Ours alone ends here; somebody else's cancellation goes on.
                if self._steps is None or sender is None or sender.uncancel():
                    raise
                raise self._gone() from None
            finally:
                self._sender = None

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
        if self._sender is not None:
            self._sender.cancel()

    async def _run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._has_returned.wait()
        if not (self._has_returned.is_set() or self._has_raised or self._receiving.has_told):
            self._was_cut = self._task.cancel()
        try:
            async with asyncio.timeout(_LAST_WORD), self._lock:
                await self._send(self._last_word)
        except Exception as error:
            # The client is gone, or reads too slowly: the server deals with both.
            logger.info("the end of a connection could not be told: %s", type(error).__name__)

    def _gone(self) -> OSError:
        self._has_raised = True
        return OSError("the credential of this connection has ended")
