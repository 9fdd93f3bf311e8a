"""How a live connection ends when its credential does, without breaking the framework that serves it.

(1) The application is told that its client is gone, and whatever it sends from then on raises OSError, as from a
    server whose client left. Quart's tasks leak where they are only cancelled.
(2) An application that has not returned 100 ms later is cancelled, and its CancelledError ends with us. A stream of
    Starlette that is idle never asks whether its client is there.
(3) The client gets the last chunk of the stream, or the close of the socket.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..principal import Principal
from .asgi import Message, Send

__all__ = ["Ending", "Watch"]

logger = logging.getLogger(__name__)

Watch = Callable[[Principal, Callable[[], None]], Callable[[], None]]
"""Calls its second argument once, when the principal's credential ends; what it returns stops the watching."""

_PATIENCE = 0.1
"""Seconds that an application has to leave by itself."""
_LAST_WORD = 1.0
"""Seconds that the end may take to reach a client who reads slowly; after them the server cuts the connection."""


class Ending:
    """The end of one live connection. ``task`` runs the application; ``tell`` lets it know that its client is gone."""

    def __init__(self, task: asyncio.Task[Any], tell: Callable[[], None], send: Send, last_word: Message) -> None:
        self._task = task
        self._tell = tell
        self._send = send
        self._last_word = last_word
        self._lock = asyncio.Lock()
        self._has_returned = asyncio.Event()
        self._is_complete = False
        self._was_cut = False
        self._steps: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] | None = None

    def begin(self, watch: Watch, principal: Principal) -> None:
        """The connection is live from now on: it ends when the credential of ``principal`` does."""
        self._unwatch = watch(principal, self._end)

    async def send(self, message: Message, *, is_last: bool) -> None:
        """Send for the application. Raises OSError where the connection has ended."""
        async with self._lock:
            if self._steps is not None:
                raise OSError("the credential of this connection has ended")
            self._is_complete = self._is_complete or is_last
            await self._send(message)

    def has_caused(self, error: BaseException) -> bool:
        """Whether what has come out of the application is only what became of the end."""
        if self._steps is None:
            return False
        if isinstance(error, asyncio.CancelledError):
            return self._was_cut and self._task.cancelling() == 1
        if isinstance(error, Exception):
            logger.info("a connection whose credential ended left with %s", type(error).__name__)
        return isinstance(error, Exception)

    async def returned(self) -> None:
        """The application is gone: nothing is left to end, or the client gets the last word."""
        if self._unwatch is not None:
            self._unwatch()
        self._has_returned.set()
        if self._steps is not None:
            await self._steps
        if self._was_cut:
            self._task.uncancel()

    def _end(self) -> None:
        if not self._is_complete:
            self._steps = asyncio.create_task(self._run())
            self._tell()

    async def _run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._has_returned.wait()
        if not self._has_returned.is_set():
            self._was_cut = self._task.cancel()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LAST_WORD), self._lock:
                await self._send(self._last_word)
