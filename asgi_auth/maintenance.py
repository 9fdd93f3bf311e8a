"""Deleting what has expired, in small batches, while the services are open."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from .clock import SYSTEM_CLOCK, Clock

__all__ = ["Maintenance", "Purgeable"]

logger = logging.getLogger(__name__)


class Purgeable(Protocol):
    """A store from which what has expired can be deleted."""

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` expired rows; how many."""
        ...


class Maintenance:
    """Purges ``stores`` every ``interval`` seconds, ``batch`` rows at a time, with ``pause`` seconds between.

    So no request waits long for a purge, and a store that is down is tried again at the next turn.
    """

    def __init__(
        self,
        stores: Sequence[Purgeable],
        *,
        interval: float = 300,
        batch: int = 500,
        pause: float = 0.05,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stores = stores
        self._interval = interval
        self._batch = batch
        self._pause = pause
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def purge(self) -> int:
        """Delete all that has expired now; how many rows. Raises StoreUnavailable."""
        return sum([await self._purge(store) for store in self._stores])

    async def open(self) -> None:
        """Begin to purge at every interval."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop it."""
        task, self._task = self._task, None
        if task is not None and task.cancel():
            await asyncio.wait((task,))

    async def _purge(self, store: Purgeable) -> int:
        purged = await store.purge(now=self._clock.now(), limit=self._batch)
        total = purged
        while purged == self._batch:
            await asyncio.sleep(self._pause)
            purged = await store.purge(now=self._clock.now(), limit=self._batch)
            total += purged
        return total

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.purge()
            except Exception as error:
                logger.warning("what has expired could not be deleted: %s", type(error).__name__)
