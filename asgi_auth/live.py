"""Open connections, and the credentials that they hang on: a connection ends when its credential does."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from .clock import SYSTEM_CLOCK, Clock
from .errors import Refusal
from .revocations import Revocable, Revocation, RevocationKind, Revocations

__all__ = ["LiveConnections", "LiveCredential"]

_TICK = 0.05
"""Seconds between two looks at the clock. With the grace and the 100 ms a stream gets, less than 250 ms."""
_GRACE = 0.08
"""Seconds that one more query of the feed may take before connections whose end cannot be known are ended."""
_PRUNED_FROM = 1024


@dataclass(frozen=True, slots=True)
class LiveCredential:
    """What ends the connections of one credential."""

    revocable: Revocable
    ends_at: float
    """When the credential expires, seconds since the epoch; infinite where it does not."""
    ends_with_rights: bool = False
    """Whether a change of its subject's roles ends it: the next connection is decided anew."""
    renewed: Callable[[], Awaitable[float | None]] | None = None
    """Asked at ``ends_at`` where that may have moved: until when the credential lives now, or None."""
    moved_by: tuple[tuple[RevocationKind, str], ...] = ()
    """What the feed says when the end has moved: ``renewed`` is asked then too."""


@dataclass(slots=True, eq=False)
class _Connection:
    credential: LiveCredential
    end: Callable[[], None]
    is_open: bool = True


class LiveConnections:
    """Ends what hangs on a credential: at its expiry, when the feed revokes it, when the feed cannot be read.

    The bound: what any process has completed ends connections here ``max_staleness`` of the feed plus 250 ms later,
    also where they are idle. An expiry is noticed within 50 ms. While a connection is open the feed is followed. All
    connections belong to the event loop of the first that is open.
    """

    def __init__(self, revocations: Revocations, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._revocations = revocations
        self._clock = clock
        self._index: dict[tuple[RevocationKind, str], set[_Connection]] = {}
        self._expiries: list[tuple[float, int, _Connection]] = []
        self._count = itertools.count()
        self._prune_at = _PRUNED_FROM
        self._renewals: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        revocations.listen(self._learned)

    def add(self, credential: LiveCredential, end: Callable[[], None]) -> Callable[[], None]:
        """Call ``end``, once, when ``credential`` ends; now, where it has. Call what is returned when it is over."""
        connection = _Connection(credential, end)
        for key in _keys(credential):
            self._index.setdefault(key, set()).add(connection)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        if self._revocations.has_ended(credential.revocable):
            self._end(connection)
        elif credential.ends_at <= self._clock.now():
            self._expired(connection)
        else:
            self._expect(connection, credential.ends_at)
        return lambda: self._remove(connection)

    def _remove(self, connection: _Connection) -> None:
        if connection.is_open:
            connection.is_open = False
            for key in _keys(connection.credential):
                connections = self._index[key]
                connections.discard(connection)
                if not connections:
                    del self._index[key]

    def _end(self, connection: _Connection) -> None:
        if connection.is_open:
            self._remove(connection)
            connection.end()

    def _learned(self, item: Revocation | None) -> None:
        if item is None or not self._index:
            return
        for connection in tuple(self._index.get((item.kind, item.id), ())):
            if (item.kind, item.id) in connection.credential.moved_by:
                self._expired(connection)
            elif _concerns(item, connection.credential):
                self._end(connection)

    async def _watch(self) -> None:
        self._revocations.follow()
        while self._index:
            await asyncio.sleep(_TICK)
            self._end_expired()
            if not self._revocations.is_fresh() and not await self._caught_up():
                for connection in set().union(*self._index.values()):
                    self._end(connection)

    async def _caught_up(self) -> bool:
        try:
            async with asyncio.timeout(_GRACE):
                await self._revocations.ensure_fresh()
        except (Refusal, TimeoutError):
            return False
        return True

    def _end_expired(self) -> None:
        now = self._clock.now()
        while self._expiries and self._expiries[0][0] <= now:
            _, _, connection = heapq.heappop(self._expiries)
            if connection.is_open:
                self._expired(connection)

    def _expired(self, connection: _Connection) -> None:
        renewed = connection.credential.renewed
        if renewed is None:
            self._end(connection)
        else:
            renewal = asyncio.create_task(self._renew(connection, renewed))
            self._renewals.add(renewal)
            renewal.add_done_callback(self._renewals.discard)

    async def _renew(self, connection: _Connection, renewed: Callable[[], Awaitable[float | None]]) -> None:
        try:
            ends_at = await renewed()
        except Refusal:
            ends_at = None  # what cannot be known is no credential
        if ends_at is None or ends_at <= self._clock.now():
            self._end(connection)
        elif connection.is_open:
            self._expect(connection, ends_at)

    def _expect(self, connection: _Connection, at: float) -> None:
        if at < math.inf:
            heapq.heappush(self._expiries, (at, next(self._count), connection))
        if len(self._expiries) >= self._prune_at:
            self._expiries = [entry for entry in self._expiries if entry[2].is_open]
            heapq.heapify(self._expiries)
            self._prune_at = max(_PRUNED_FROM, 2 * len(self._expiries))


def _keys(credential: LiveCredential) -> Iterable[tuple[RevocationKind, str]]:
    subject = credential.revocable.subject
    of_subject = ((RevocationKind.SUBJECT, subject), (RevocationKind.CHANGED, subject))
    return (*credential.revocable.ids, *credential.moved_by, *of_subject)


def _concerns(item: Revocation, credential: LiveCredential) -> bool:
    if item.kind is RevocationKind.CHANGED:
        return credential.ends_with_rights
    if item.kind is RevocationKind.SUBJECT:
        epoch = credential.revocable.epoch
        return epoch is not None and item.epoch is not None and epoch < item.epoch
    return True
