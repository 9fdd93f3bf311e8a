"""Work that comes to its end although its caller is cancelled."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["ShieldedTasks"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ShieldedTasks:
    """Runs coroutines that must not stop in their middle: a client that goes away ends its wait, not the work."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises. It runs in a task of its own, which a cancelled caller leaves alone.

        What it raises after its caller has left is logged by its type.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_note)
            raise

    async def ended(self) -> None:
        """Wait until all that was begun has come to its end, however it ends."""
        if self._running:
            # `wait`, which leaves them alone where the one who waits is cancelled; `gather` would cancel them.
            await asyncio.wait(self._running)


def _note(task: asyncio.Task[Any]) -> None:
    # Nobody else asks: asyncio would print the whole traceback, with whatever is in it, at some later time.
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.warning("work whose caller had left failed: %s", type(error).__name__)
