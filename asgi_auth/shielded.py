"""Work that comes to its end although its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["ShieldedTasks"]

T = TypeVar("T")


class ShieldedTasks:
    """Runs coroutines that must not stop in their middle: a client that goes away ends its wait, not the work."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises. It runs in a task of its own, which a cancelled caller leaves alone."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def ended(self) -> None:
        """Wait until all that was begun has come to its end, however it ends."""
        if self._running:
            # `wait`, which leaves them alone where the one who waits is cancelled; `gather` would cancel them.
            await asyncio.wait(self._running)
