"""Whose turn it is on the write connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from asgi_auth.errors import StoreUnavailable

__all__ = ["Turns"]

TOGETHER = 8
"""Enough that the connection's thread never waits for the event loop, few enough not to storm a locked file."""


class Turns:
    """Many single statements at once, or one transaction alone: first come, first served.

    On a shared connection another task's acknowledged write would be rolled back with the transaction it fell into.
    """

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        """Held by whoever opens or closes the connections."""
        self._places = asyncio.Semaphore(TOGETHER)
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def together(self, wait: float) -> AsyncIterator[None]:
        """A turn for one statement of its own; ``StoreUnavailable`` after ``wait`` seconds."""
        await _within(wait, self._places.acquire())
        try:
            yield
        finally:
            self._places.release()

    @asynccontextmanager
    async def alone(self, wait: float) -> AsyncIterator[None]:
        """A turn in which nobody else has one; ``StoreUnavailable`` after ``wait`` seconds."""
        await _within(wait, self._take_all())
        try:
            yield
        finally:
            self._leave(TOGETHER)

    async def _take_all(self) -> None:
        taken = 0
        # One at a time: two that each hold some places would wait for each other.
        async with self._alone:
            try:
                for _ in range(TOGETHER):
                    await self._places.acquire()
                    taken += 1
            except asyncio.CancelledError:
                self._leave(taken)
                raise

    def _leave(self, places: int) -> None:
        for _ in range(places):
            self._places.release()


async def _within(wait: float, turn: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(wait):
            await turn
    except TimeoutError:
        raise StoreUnavailable from None
