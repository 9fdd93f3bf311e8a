"""A bounded cache whose entries are dropped when the revocation feed names what they were made of."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError
from .revocations import Revocation, RevocationKind, Revocations

__all__ = ["FeedCache", "Tag"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Tag = tuple[RevocationKind, str]
"""What of an entry the feed may name."""


class FeedCache(Generic[K, V]):
    """At most ``size`` values, each under tags: a revocation of one of them drops it, and a restart drops all.

    ``get`` answers nothing while the feed is older than its bound. No value lives longer than ``max_age`` seconds:
    what died between a change and its revocation is seen by then. Without ``revocations`` nothing is cached.
    """

    def __init__(
        self, revocations: Revocations | None, *, size: int, max_age: float = 60, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if size < 1 or not 0 < max_age < math.inf:
            raise ConfigurationError("a cache has room for at least one entry, and keeps it for some seconds")
        self._revocations = revocations
        self._size = size
        self._max_age = max_age
        self._clock = clock
        self._entries: OrderedDict[K, tuple[V, tuple[Tag, ...], float]] = OrderedDict()
        self._keys: dict[Tag, set[K]] = {}
        self.generation = 0
        """Rises with whatever the feed says: read it before what is put was read from its store."""
        if revocations is not None:
            revocations.listen(self._learned)

    def get(self, key: K) -> V | None:
        """The value, if nothing has ended it; no I/O."""
        entry = self._entries.get(key)
        if entry is None or self._revocations is None:
            return None
        now = self._clock.monotonic()
        if now >= entry[2]:
            self._drop(key)
            return None
        return entry[0] if now <= self._revocations.fresh_until else None

    def put(self, key: K, value: V, tags: tuple[Tag, ...], *, since: int) -> None:
        """Keep ``value``, unless the feed said anything since ``generation`` was ``since``: it may be old by now."""
        if self._revocations is None or since != self.generation:
            return
        self._drop(key)
        self._entries[key] = (value, tags, self._clock.monotonic() + self._max_age)
        for tag in tags:
            self._keys.setdefault(tag, set()).add(key)
        if len(self._entries) > self._size:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        for tag in () if entry is None else entry[1]:
            keys = self._keys[tag]
            keys.discard(key)
            if not keys:
                del self._keys[tag]

    def _learned(self, item: Revocation | None) -> None:
        self.generation += 1
        if item is None:
            self._entries.clear()
            self._keys.clear()
            return
        for key in tuple(self._keys.get((item.kind, item.id), ())):
            self._drop(key)
