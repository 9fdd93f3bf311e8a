"""Open connections, and the credentials that they hang on: a connection ends when its credential does."""

import asyncio
import heapq
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from .clock import SYSTEM_CLOCK, Clock
from .errors import Refusal
from .revocations import Revocable, Revocation, RevocationKind, Revocations

__all__ = ["LiveConnections", "LiveCredential"]

logger = logging.getLogger(__name__)

_TICK = 0.05
"""Seconds between two looks at the clock. With the grace and the 100 ms a stream gets, less than 250 ms."""
_GRACE, _TURNS = 0.08, 4
"""Seconds that one more query of the feed may take before connections whose end cannot be known are ended."""
_RENEWAL = 1.0
"""Seconds that the answer to ``renewed`` may take."""
_PRUNED_FROM = 1024


@dataclass(frozen=True, slots=True)
class LiveCredential:
    """What ends the connections of one credential."""

    revocable: Revocable
    ends_at: float
    """When the credential expires, seconds since the epoch; infinite where it does not."""
    renewed: Callable[[], Awaitable[float | None]] | None = None
    """Asked at ``ends_at`` where that may have moved: until when the credential lives now, or None."""
    changed_by: tuple[tuple[RevocationKind, str], ...] = ()
    """What the feed names where end or rights may have changed: ``renewed`` is asked then, and without it it ends.

    Asked at the beginning too, where that was named lately: perhaps after the caller was read.
    """


@dataclass(slots=True, eq=False)
class _Connection:
    credential: LiveCredential
    end: Callable[[], None] | None
    """None when it is over: the heap still has it for a while, and must keep nothing else alive."""


class LiveConnections:
    """Ends what hangs on a credential: at its expiry, when the feed revokes it, when the feed cannot be read.

    The bound: what any process has completed ends connections here ``max_staleness`` of the feed plus 250 ms later,
    also where they are idle. An expiry is noticed within 50 ms; where ``renewed`` is asked then and does not answer
    within a second, the connection ends. While a connection is open the feed is followed.

    Memory is bounded by what is open. All connections that are open at a time belong to one event loop.
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
        self._expect(connection, credential.ends_at)
        if self._revocations.has_ended(credential.revocable):
            self._end(connection)
        elif any(self._revocations.is_revoked(kind, id) for kind, id in credential.changed_by):
            self._expired(connection)
        self._end_expired()
        if self._index and (self._watcher is None or self._watcher.done()):
            self._watcher = asyncio.create_task(self._watch())
        return lambda: self._remove(connection)

    def _remove(self, connection: _Connection) -> None:
        if connection.end is not None:
            connection.end = None
            for key in _keys(connection.credential):
                connections = self._index[key]
                connections.discard(connection)
                if not connections:
                    del self._index[key]

    def _end(self, connection: _Connection) -> None:
        end = connection.end
        if end is not None:
            self._remove(connection)
            try:
                end()
            except Exception as error:
                # The others must end all the same.
                logger.error("a live connection could not be ended: %s", type(error).__name__)

    def _learned(self, item: Revocation | None) -> None:
        if item is None:
            return
        for connection in tuple(self._index.get((item.kind, item.id), ())):
            if (item.kind, item.id) in connection.credential.changed_by:
                self._expired(connection)
            elif _ends(item, connection.credential.revocable):
                self._end(connection)

    async def _watch(self) -> None:
        with self._revocations.followed():
            while self._index:
                await asyncio.sleep(_TICK)
                self._end_expired()
                if not self._revocations.is_fresh() and not await self._caught_up():
                    for connection in set().union(*self._index.values()):
                        self._end(connection)

    async def _caught_up(self) -> bool:
        """Whether one more query of the feed succeeds within the grace.

        It is counted in turns: where the loop stalls, the answer has to wait for it as well.
        """
        for _ in range(_TURNS):
            with suppress(Refusal, TimeoutError):
                async with asyncio.timeout(_GRACE / _TURNS / 2):
                    await self._revocations.ensure_fresh()
                    return True
            await asyncio.sleep(_GRACE / _TURNS / 2)
        return False

    def _end_expired(self) -> None:
        now = self._clock.now()
        while self._expiries and self._expiries[0][0] <= now:
            _, _, connection = heapq.heappop(self._expiries)
            if connection.end is not None:
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
        ends_at = await _answer(renewed)
        if ends_at is None or ends_at <= self._clock.now():
            self._end(connection)
        elif connection.end is not None:
            self._expect(connection, ends_at)

    def _expect(self, connection: _Connection, at: float) -> None:
        if at < math.inf:
            heapq.heappush(self._expiries, (at, next(self._count), connection))
        if len(self._expiries) >= self._prune_at:
            self._expiries = [entry for entry in self._expiries if entry[2].end is not None]
            heapq.heapify(self._expiries)
            self._prune_at = max(_PRUNED_FROM, 2 * len(self._expiries))


async def _answer(renewed: Callable[[], Awaitable[float | None]]) -> float | None:
    """What cannot be known is no credential."""
    try:
        async with asyncio.timeout(_RENEWAL):
            return await renewed()
    except (Refusal, TimeoutError):
        return None
    except Exception as error:
        logger.error("the renewal of a credential failed: %s", type(error).__name__)
        return None


def _keys(credential: LiveCredential) -> Iterable[tuple[RevocationKind, str]]:
    revocable = credential.revocable
    return (*revocable.ids, *credential.changed_by, (RevocationKind.SUBJECT, revocable.subject))


def _ends(item: Revocation, revocable: Revocable) -> bool:
    if item.kind is not RevocationKind.SUBJECT:
        return True
    return revocable.epoch is not None and item.epoch is not None and revocable.epoch < item.epoch
