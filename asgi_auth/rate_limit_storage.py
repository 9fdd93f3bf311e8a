"""Counters in this process, behind the interface that ``limits`` asks of an asynchronous storage.

A hit costs the same at one key and at a hundred thousand: nothing sweeps. What has ended goes when its key comes
again, or two at a time as new keys come, and when there is no room the first to end goes. So memory is bounded.

Who can send from more addresses in one window than there is room for pushes out counters before their time, his own
and those of others: a key that comes again begins anew, so it gets at most its limit once more each time. That is no
more than so many addresses get anyway, and nobody is refused for it. Counters are those of one process, used from one
event loop, and are gone when it ends.
"""

import math
from collections import OrderedDict, deque
from typing import Literal, NamedTuple

from limits.aio.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage

from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError

__all__ = ["Decision", "InProcessStorage"]

_Kind = Literal["fixed", "moving", "sliding"]


class Decision(NamedTuple):
    """What became of one hit on one limit."""

    allowed: bool
    remaining: int
    """How much more may come now."""
    reset_after: float
    """Seconds until more may come: the end of the window, or when the first part of it is free again."""


class InProcessStorage(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """At most ``max_entries`` counters for each length of a window, about 0.4 KB each; the first to end goes first.

    A moving window keeps an entry for each hit, and so allows ``max_entries`` of them at most. Every verb is atomic
    among the tasks of an event loop. Windows are measured by the monotonic clock of ``clock``: a step of the wall clock
    neither shortens nor extends one. Room for fewer than one: ConfigurationError.
    """

    STORAGE_SCHEME = None

    def __init__(self, *, max_entries: int = 100_000, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__()
        if max_entries < 1:
            raise ConfigurationError("a storage of rate limits has room for at least one entry")
        self.max_entries = max_entries
        self._monotonic = clock.monotonic
        self._now = clock.now
        self._shelves: dict[_Kind, dict[int, _Shelf]] = {"fixed": {}, "moving": {}, "sliding": {}}
        self._fixed = self._shelves["fixed"]

    def fixed_window(self, key: str, limit: int, window: int, amount: int) -> Decision:
        """Count a hit, refused ones too, from the first one of a window of ``window`` seconds."""
        now = self._monotonic()
        entry = self._counted(key, window, amount, now)
        left = limit - entry.count
        return Decision(left >= 0, max(0, left), entry.ends_at - now)

    def moving_window(self, key: str, limit: int, window: int, amount: int) -> Decision:
        """Count a hit if no more than ``limit`` come in any ``window`` seconds; what is refused is not counted."""
        now = self._monotonic()
        limit = min(limit, self.max_entries)
        shelf, entry = self._moved(key, window, now)
        count = 0 if entry is None else entry.count
        allowed = count + amount <= limit
        if allowed and amount:
            entry = shelf.begin(key, now, now + window) if entry is None else entry
            shelf.log(key, entry, now, window, amount)
            count += amount
        reset_after = 0.0 if entry is None else entry.hits[0][0] + window - now
        return Decision(allowed, limit - count, reset_after)

    def sliding_window(self, key: str, limit: int, window: int, amount: int) -> Decision:
        """Count a hit if it fits beside the part of the window before that is not past; refused ones are not counted.

        That part is reckoned as if hits had come evenly, so a limit may be off by a little.
        """
        now = self._monotonic()
        shelf, entry = self._slid(key, window, now)
        count = 0 if entry is None else entry.weighed(window, now)
        allowed = math.floor(count) + amount <= limit
        if allowed and amount:
            entry = shelf.begin(key, now, _ends_with_next(window, now)) if entry is None else entry
            entry.count += amount
            count += amount
        reset_after = 0.0 if entry is None else entry.eases_after(window, now)
        return Decision(allowed, max(0, limit - math.floor(count)), reset_after)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """The errors of this storage: none, for nothing here can be out of reach."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The count of the fixed window with this hit."""
        return self._counted(key, expiry, amount, self._monotonic()).count

    async def get(self, key: str) -> int:
        """The count of the fixed window; 0 for none."""
        entry = self._live(key)
        return 0 if entry is None else entry.count

    async def get_expiry(self, key: str) -> float:
        """When the fixed window ends, by the wall clock; now for none."""
        entry = self._live(key)
        return self._now() + (0 if entry is None else entry.ends_at - self._monotonic())

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether a hit has found room in the moving window."""
        return self.moving_window(key, limit, expiry, amount).allowed

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the moving window's first hit came, by the wall clock, and how many there are."""
        now = self._monotonic()
        _, entry = self._moved(key, expiry, now)
        return (self._now(), 0) if entry is None else (self._now() + entry.hits[0][0] - now, entry.count)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether a hit has found room in the sliding window."""
        return self.sliding_window(key, limit, expiry, amount).allowed

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The counts of the window before and of this one, and how many seconds each of them counts on."""
        now = self._monotonic()
        left = expiry - now % expiry
        _, entry = self._slid(key, expiry, now)
        if entry is None:
            return 0, 0.0, 0, left + expiry
        return entry.previous, left if entry.previous else 0.0, entry.count, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget the sliding window of this key."""
        self._shelf("sliding", expiry).drop(key)

    async def clear(self, key: str) -> None:
        """Forget all windows of this key."""
        for shelf in self._all():
            shelf.drop(key)

    async def check(self) -> bool:
        """True: it is here."""
        return True

    async def reset(self) -> int:
        """Forget everything; how many keys there were."""
        keys = sum(len(shelf.entries) for shelf in self._all())
        for shelves in self._shelves.values():
            shelves.clear()
        return keys

    def _all(self) -> "list[_Shelf]":
        return [shelf for shelves in self._shelves.values() for shelf in shelves.values()]

    def _shelf(self, kind: _Kind, window: int) -> "_Shelf":
        shelves = self._shelves[kind]
        if window not in shelves:
            shelves[window] = _Shelf(self.max_entries)
        return shelves[window]

    def _counted(self, key: str, window: int, amount: int, now: float) -> "_Entry":
        shelf = self._fixed.get(window) or self._shelf("fixed", window)
        entry = shelf.entries.get(key)
        if entry is None or entry.ends_at <= now:
            entry = shelf.begin(key, now, now + window)
        entry.count += amount
        return entry

    def _live(self, key: str) -> "_Entry | None":
        now = self._monotonic()
        found = (shelf.entries.get(key) for shelf in self._fixed.values())
        return next((entry for entry in found if entry is not None and now < entry.ends_at), None)

    def _moved(self, key: str, window: int, now: float) -> "tuple[_Shelf, _Entry | None]":
        shelf = self._shelf("moving", window)
        entry = shelf.entries.get(key)
        if entry is None or entry.ends_at <= now:
            return shelf, None
        shelf.forget(entry, until=now - window)
        return shelf, entry

    def _slid(self, key: str, window: int, now: float) -> "tuple[_Shelf, _Entry | None]":
        shelf = self._shelf("sliding", window)
        entry = shelf.entries.get(key)
        if entry is None or entry.ends_at <= now:
            return shelf, None
        if entry.ends_at - now <= window:  # its window is over: it is the one before, now
            previous = entry.count
            entry = shelf.begin(key, now, _ends_with_next(window, now))
            entry.previous = previous
        return shelf, entry


class _Entry:
    """What is known of one key: how much has come, and of a moving window when."""

    __slots__ = ("count", "ends_at", "hits", "previous")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.count = 0
        self.previous = 0
        self.hits: deque[tuple[float, int]] = _NO_HITS

    def weighed(self, window: int, now: float) -> float:
        """Of a sliding window: its count, and that part of the one before that its time reaches back into."""
        return self.count + self.previous * (self.ends_at - window - now) / window

    def eases_after(self, window: int, now: float) -> float:
        """Of a sliding window: seconds until it counts one less."""
        left = self.ends_at - window - now
        return left % (window / self.previous) if self.previous else left


_NO_HITS: deque[tuple[float, int]] = deque(maxlen=0)


class _Shelf:
    """The entries of windows of one kind and length, the first to end first."""

    __slots__ = ("_room", "entries")

    def __init__(self, room: int) -> None:
        self.entries: OrderedDict[str, _Entry] = OrderedDict()
        self._room = room

    def begin(self, key: str, now: float, ends_at: float) -> _Entry:
        """A new entry for this key, in place of any other; two that have ended make way, so that none stay."""
        entries = self.entries
        self.drop(key)
        for _ in range(2):
            if entries and next(iter(entries.values())).ends_at <= now:
                self._drop_first()
        self._take_room()
        entry = entries[key] = _Entry(ends_at)
        return entry

    def log(self, key: str, entry: _Entry, now: float, window: int, amount: int) -> None:
        """One more hit of a moving window; the first one has the room of its entry."""
        self.entries.move_to_end(key)
        if entry.hits:
            self._take_room()
        else:
            entry.hits = deque()
        entry.hits.append((now, amount))
        entry.count += amount
        entry.ends_at = now + window

    def forget(self, entry: _Entry, until: float) -> None:
        """Drop the hits of a moving window that came until then; one has come later."""
        while entry.hits[0][0] <= until:
            entry.count -= entry.hits.popleft()[1]
            self._room += 1

    def drop(self, key: str) -> None:
        """Drop the entry of this key, if there is one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self._room += len(entry.hits) or 1

    def _take_room(self) -> None:
        if self._room < 1:
            self._drop_first()
        self._room -= 1

    def _drop_first(self) -> None:
        _, entry = self.entries.popitem(last=False)
        self._room += len(entry.hits) or 1


def _ends_with_next(window: int, now: float) -> float:
    """When a sliding window is past that begins with the one of ``now``, aligned to the clock, and the one after it."""
    return now - now % window + 2 * window
