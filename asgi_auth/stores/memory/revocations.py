"""The feed of revocations in memory."""

import secrets
from dataclasses import replace

from asgi_auth.revocations import Changes, Cursor, Revocation, RevocationKind

__all__ = ["MemoryRevocations"]


class MemoryRevocations:
    """A ``RevocationStore`` for one event loop. Each verb keeps what ``RevocationStore`` says of it."""

    poll_interval = 0.1

    def __init__(self) -> None:
        self._feed_id = secrets.token_hex(16)
        self._number = 0
        self._purged_through = 0
        # In the order of their numbers, since a change is taken out before it is put in again.
        self._live: dict[tuple[RevocationKind, str], tuple[int, Revocation]] = {}

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        """Add or extend one revocation: of ``epoch`` and of ``until`` the greater is kept; it gets a new number."""
        item = Revocation(kind=kind, id=id, epoch=epoch, until=until)
        known = self._live.pop((kind, id), None)
        if known is not None:
            item = replace(item, epoch=_greater(epoch, known[1].epoch), until=max(until, known[1].until))
        self._number += 1
        self._live[kind, id] = (self._number, item)

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        """Every revocation numbered after ``cursor``, in order; the cursor to ask with next."""
        head = Cursor(self._feed_id, self._number)
        if cursor == head:
            return Changes((), head, restart=False)
        if cursor is None or cursor.feed_id != head.feed_id:
            return Changes(self._after(0), head, restart=True)
        if not self._purged_through <= cursor.number <= head.number:
            return Changes(self._after(0), head, restart=True)
        return Changes(self._after(cursor.number), head, restart=False)

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` revocations whose ``until`` has passed; how many."""
        over = [(key, number) for key, (number, item) in self._live.items() if item.until <= now][:limit]
        for key, number in over:
            del self._live[key]
            self._purged_through = max(self._purged_through, number)
        return len(over)

    def _after(self, after: int) -> tuple[Revocation, ...]:
        return tuple(item for number, item in self._live.values() if number > after)


def _greater(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
