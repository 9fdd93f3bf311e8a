"""Whose turn it is on the write connection."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgi_auth.errors import StoreUnavailable

__all__ = ["Turns"]


class Turns:
    """Any number of single statements at once, or one transaction alone: first come, first served.

    On a shared connection another task's acknowledged write would be rolled back with the transaction it fell into.
    """

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        """Held by whoever opens or closes the connections."""
        self._gate = asyncio.Lock()
        self._statements = 0
        self._drained = asyncio.Event()

    async def enter(self, wait: float) -> float:
        """Wait for a turn of one statement; the seconds that are left of ``wait``. ``leave`` ends the turn.

        ``StoreUnavailable`` where the turn does not come in time.
        """
        if not self._gate.locked():
            self._statements += 1
            return wait
        until = time.monotonic() + wait
        async with _at_most(wait), self._gate:
            self._statements += 1
        return until - time.monotonic()

    def leave(self) -> None:
        """The statement is over, or its caller is gone: the connection's thread takes what follows after it."""
        self._statements -= 1
        if not self._statements:
            self._drained.set()

    @asynccontextmanager
    async def alone(self, wait: float) -> AsyncIterator[float]:
        """A turn in which nobody else has one; the seconds that are left of ``wait``. Refuses as ``enter`` does."""
        until = time.monotonic() + wait
        async with _at_most(wait):
            await self._gate.acquire()
        try:
            async with _at_most(until - time.monotonic()):
                await self._drain()
            yield until - time.monotonic()
        finally:
            self._gate.release()

    async def _drain(self) -> None:
        while self._statements:
            self._drained.clear()
            await self._drained.wait()


@asynccontextmanager
async def _at_most(wait: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(wait):
            yield
    except TimeoutError:
        raise StoreUnavailable from None
