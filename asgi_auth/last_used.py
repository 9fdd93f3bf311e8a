"""When a credential was last used: written down now and then, while nobody waits for it."""

import asyncio
import logging
from collections import OrderedDict
from typing import Protocol

__all__ = ["LastUsed", "UseStore"]

logger = logging.getLogger(__name__)


class UseStore(Protocol):
    """A store that remembers when a credential was last used: ``APIKeyStore`` is one."""

    async def record_use(self, id: str, /, *, at: float) -> None:
        """Note that it was used: the greater of ``at`` and what is known is kept."""
        ...


class LastUsed:
    """Has uses written to ``store``: one for each id in ``every`` seconds, however many come.

    The last ``size`` ids are remembered here; of others the store's own word is taken. A write that fails is logged
    and not repeated: the next use after ``every`` seconds is.
    """

    def __init__(self, store: UseStore, *, size: int, every: float) -> None:
        self._store = store
        self._size = size
        self._every = every
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, id: str, now: float, *, known: float | None) -> None:
        """Have the use written in a task of its own, unless it is too soon; ``known``: the last one the store knows."""
        if now - max(known or 0.0, self._noted.get(id, 0.0)) < self._every:
            return
        self._noted[id] = now
        self._noted.move_to_end(id)
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)
        writing = asyncio.create_task(self._write(id, now))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def written(self) -> None:
        """Wait until all that was noted is written, or has failed."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _write(self, id: str, at: float) -> None:
        try:
            await self._store.record_use(id, at=at)
        except Exception as error:
            logger.warning("the use of a credential could not be written down: %s", type(error).__name__)
