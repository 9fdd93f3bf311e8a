"""Revocations: what ended before its time, known to every worker without I/O per request.

Each worker holds the live revocations in memory and follows its store's feed.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, Stale, StoreUnavailable

__all__ = ["Changes", "Cursor", "Revocable", "Revocation", "RevocationKind", "RevocationStore", "Revocations"]

logger = logging.getLogger(__name__)

_DEADLINE = 1.5
"""Seconds a request waits for the feed before it is refused."""
_PRUNED_FROM = 1024


class RevocationKind(StrEnum):
    """What a revocation ends."""

    TOKEN = "token"
    """One access token, by ``jti``."""
    SESSION = "session"
    """Everything that came from one session or refresh family, by ``sid``."""
    API_KEY = "api_key"
    """One API key, by its id."""
    CLIENT = "client"
    """Everything issued to one OAuth client, by ``client_id``."""
    SUBJECT = "subject"
    """Everything of one subject below an epoch."""
    CHANGED = "changed"
    """Nothing ends; a subject's roles or rights changed, so caches drop it."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One live revocation."""

    kind: RevocationKind
    id: str
    epoch: int | None
    """For ``subject``: the lowest epoch that is still accepted; else None."""
    until: float
    """When the last credential it can concern has expired by itself; seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Revocable:
    """What the feed can end a credential by."""

    ids: tuple[tuple[RevocationKind, str], ...]
    """Each of them ends it."""
    subject: str
    epoch: int | None
    """The subject's epoch when it was issued: a higher one ends it; None where it outlives epochs (API keys)."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has followed a feed."""

    feed_id: str
    """Random; a new store, or one restored from a backup that the operator renewed, has another."""
    number: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader does not know yet."""

    items: tuple[Revocation, ...]
    cursor: Cursor
    restart: bool
    """True: ``items`` are the whole live set; whatever the reader knew before is void."""


class RevocationStore(Protocol):
    """A feed of revocations. Every verb is atomic alone and durable when it answers.

    The number of a change comes from one head row that the same transaction updates: a change with a lower
    number is never committed after a higher one was read. All verbs raise ``StoreUnavailable`` where the
    backend does not answer in time.
    """

    poll_interval: float
    """Seconds after which a reader should ask again where asking is cheap."""

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        """Add or extend one revocation: of ``epoch`` and of ``until`` the greater is kept; it gets a new number."""
        ...

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        """Every revocation numbered after ``cursor``, in order; the cursor to ask with next.

        A ``restart`` where ``cursor`` is None, names another feed, is ahead of the head, or lies before what was
        purged. An item that was extended appears once, with its newest number. Nothing committed before the call
        is missed.
        """
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` revocations whose ``until`` has passed; how many."""
        ...


class Revocations:
    """What this worker knows of the feed in ``store``; whoever asks it does no I/O.

    Between ``open`` and ``close``, and while a live connection is open, a task follows the feed, at least each third
    of ``max_staleness`` seconds; without it a request that finds the knowledge too old asks at need. The bound: a
    revocation that any process has completed is known here ``max_staleness`` later, or requests are refused with 503
    (``Stale``). Those made here are known at once. Memory is bounded: what has outlived every credential it concerns
    is forgotten.

    ``max_staleness`` not above 0 is a ConfigurationError.
    """

    def __init__(self, store: RevocationStore, *, max_staleness: float = 1.0, clock: Clock = SYSTEM_CLOCK) -> None:
        if not 0 < max_staleness < math.inf:
            raise ConfigurationError("max_staleness is a number of seconds above 0")
        self._store = store
        self._clock = clock
        self._max_staleness = max_staleness
        self._interval = min(max_staleness / 3, store.poll_interval)
        self._live: dict[tuple[RevocationKind, str], Revocation] = {}
        self._prune_at = _PRUNED_FROM
        self._cursor: Cursor | None = None
        self._as_of = -math.inf
        self.fresh_until = -math.inf
        """Until when, on the monotonic clock, what is known may decide: ``is_fresh`` for those who have the time."""
        self._own: list[Revocation] = []
        self._is_answering = True
        self._query: asyncio.Task[bool] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._is_open = False
        self._watchers = 0
        self._listeners: list[Callable[[Revocation | None], None]] = []
        self.version = 0
        """Rises with every change that was learned: what was checked at this version needs no second look."""

    async def open(self) -> None:
        """Learn what is revoked and begin to follow. Raises StoreUnavailable. Idempotent."""
        if not self._is_following():
            await self._asked()
        self._is_open = True
        self._begin_to_follow()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow while somebody is inside, whether it is open or not."""
        self._watchers += 1
        self._begin_to_follow()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and not self._is_open and self._follower is not None:
                self._follower.cancel()
                self._follower = None

    async def close(self) -> None:
        """Stop following; what is known counts as stale from now on. Idempotent."""
        self._is_open = False
        tasks = [task for task in (self._follower, self._query) if task is not None and task.cancel()]
        self._follower = self._query = None
        self._know_as_of(-math.inf)
        if tasks:
            await asyncio.wait(tasks)

    async def revoke(self, kind: RevocationKind, id: str, *, until: float, epoch: int | None = None) -> None:
        """Revoke for every process: durable, and known here, when this returns.

        ``until``: when the last credential it concerns has expired by itself, in seconds since the epoch. ``epoch``,
        for a subject: the lowest that is still accepted. Raises StoreUnavailable. Idempotent; of concurrent calls for
        one id the greater epoch and the later end are kept.
        """
        await self._store.revoke(kind, id, epoch=epoch, until=until)
        item = Revocation(kind, id, epoch, until)
        if self._query is not None and not self._query.done():
            # A query that is on its way may bring the whole set as it was before this.
            self._own.append(item)
        self._learn((item,))

    def listen(self, learned: Callable[[Revocation | None], None]) -> None:
        """Call ``learned`` with every revocation as it becomes known here; None: all that was known is void.

        After None the whole live set follows. One that is known already comes again where it was made again. What
        ``learned`` does must be short: it is called within the query.
        """
        self._listeners.append(learned)

    def has_ended(self, credential: Revocable) -> bool:
        """Whether anything that is known ends ``credential``."""
        live = self._live
        for key in credential.ids:
            if key in live:
                return True
        return credential.epoch is not None and credential.epoch < self.subject_epoch(credential.subject)

    def is_revoked(self, kind: RevocationKind, id: str) -> bool:
        """Whether ``id`` was revoked as a ``kind``."""
        return (kind, id) in self._live

    def subject_epoch(self, subject: str) -> int:
        """The lowest epoch of ``subject`` that is accepted, as far as the feed knows: 0 if nothing was revoked."""
        item = self._live.get((RevocationKind.SUBJECT, subject))
        return 0 if item is None or item.epoch is None else item.epoch

    def staleness(self) -> float:
        """Seconds since the start of the last completed query of the feed; infinite before the first."""
        return self._clock.monotonic() - self._as_of

    def is_fresh(self) -> bool:
        """Whether what is known may decide: it is not older than ``max_staleness``."""
        return self._clock.monotonic() <= self.fresh_until

    async def ensure_fresh(self) -> None:
        """Return at once if fresh, else after one query of the feed that all waiting requests share.

        Raises Stale where the feed cannot be read within 1.5 seconds.
        """
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(_DEADLINE):
                # A query that others began long ago may still be too old when it ends.
                while self.fresh_until < begun:
                    await self._asked()
        except (StoreUnavailable, TimeoutError):
            raise Stale from None

    def _begin_to_follow(self) -> None:
        if not self._is_following():
            self._follower = asyncio.create_task(self._follow())

    def _is_following(self) -> bool:
        return self._follower is not None and not self._follower.done()

    async def _asked(self) -> None:
        """One completed query: the one on its way, or a new one. Raises StoreUnavailable."""
        if self._query is None or self._query.done():
            self._query = asyncio.create_task(self._ask())
        query = self._query
        await asyncio.wait((query,))
        if query.cancelled() or not query.result():
            raise StoreUnavailable

    async def _ask(self) -> bool:
        self._own.clear()
        start = self._clock.monotonic()
        try:
            async with asyncio.timeout(_DEADLINE):
                changes = await self._store.changes_since(self._cursor)
            self._apply(changes)
        except Exception as error:
            # Whatever went wrong, the staleness rule refuses requests until it goes right again.
            self._note(type(error).__name__)
            return False
        self._know_as_of(start)
        self._note(None)
        return True

    def _apply(self, changes: Changes) -> None:
        self._know_as_of(-math.inf)  # a store that answers nonsense must not leave half of it in force
        if changes.restart:
            self._live.clear()
            self.version += 1
            self._tell(None)
            self._learn(self._own)
        self._learn(changes.items)
        self._cursor = changes.cursor

    def _know_as_of(self, instant: float) -> None:
        self._as_of = instant
        self.fresh_until = instant + self._max_staleness

    def _note(self, failure: str | None) -> None:
        if failure is not None and self._is_answering:
            logger.warning("the revocation feed cannot be read: %s", failure)
        elif failure is None and not self._is_answering:
            logger.warning("the revocation feed can be read again")
        self._is_answering = failure is None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            with suppress(StoreUnavailable):
                await self._asked()

    def _learn(self, items: Iterable[Revocation]) -> None:
        for item in items:
            known = self._live.get((item.kind, item.id))
            merged = item if known is None else _greater(item, known)
            if merged != known:
                self._live[item.kind, item.id] = merged
                self.version += 1
            self._tell(item)
        if len(self._live) >= self._prune_at:
            self._prune()

    def _tell(self, item: Revocation | None) -> None:
        for learned in self._listeners:
            learned(item)

    def _prune(self) -> None:
        now = self._clock.now()
        self._live = {key: item for key, item in self._live.items() if item.until > now}
        self._prune_at = max(_PRUNED_FROM, 2 * len(self._live))


def _greater(item: Revocation, known: Revocation) -> Revocation:
    epochs = [epoch for epoch in (item.epoch, known.epoch) if epoch is not None]
    return replace(item, epoch=max(epochs, default=None), until=max(item.until, known.until))
