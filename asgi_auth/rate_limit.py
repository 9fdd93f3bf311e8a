"""Rate limits in the notation of ``limits``, counted by its strategies.

Of ``"5/minute; 100/hour"`` each hit is counted on both, the shorter window first; the first that refuses ends it, so
what a minute's limit refuses takes nothing from the hour's. Counting and deciding is one step: of two hundred hits at
once on ``5/minute`` five are allowed. That holds among all who share a storage. The default one is this process's own:
N workers with it allow N times the limit. Workers share one through a storage of ``limits`` on Redis or Valkey.
"""

import asyncio
import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args
from urllib.parse import quote

from limits import RateLimitItem, parse_many
from limits.aio.storage import Storage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits.errors import StorageError
from limits.storage import StorageTypes

from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, StoreUnavailable
from .rate_limit_storage import Decision, InProcessStorage

__all__ = ["STORAGE_DEADLINE", "LocalLimiter", "RateLimit", "SharedLimiter", "Strategy", "Window"]

logger = logging.getLogger(__name__)

Strategy = Literal["fixed-window", "moving-window", "sliding-window-counter"]

STORAGE_DEADLINE = 1.0
"""Seconds that a shared storage may take for one hit."""

_STRATEGIES: dict[Strategy, Callable[[Storage], RateLimiter]] = {
    "fixed-window": FixedWindowRateLimiter,
    "moving-window": MovingWindowRateLimiter,
    "sliding-window-counter": SlidingWindowCounterRateLimiter,
}
_LONGEST_KEY = 128
_LARGEST = 10**15 - 1
"""RFC 9651 §3.3.1: the largest integer of a structured field."""


class Window(NamedTuple):
    """One limit: ``amount`` hits in so many ``seconds``."""

    item: RateLimitItem
    amount: int
    seconds: int
    space: str
    """Whose hits these are, in a shared storage."""
    prefix: str
    """What its keys begin with, in this process."""
    policy: bytes
    """Its part of the RateLimit-Policy field."""
    state: bytes
    """Its part of the RateLimit field, for what remains and the seconds until there is more."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit or several, parsed once: ``RateLimit.parse("5/minute; 100/hour", name="login")``."""

    windows: tuple[Window, ...]
    policy: bytes
    """The RateLimit-Policy field (draft-ietf-httpapi-ratelimit-headers): how much is allowed in which window."""

    @classmethod
    def parse(cls, notation: str, *, name: str = "default") -> "RateLimit":
        """Read the notation of ``limits``. ``name`` is what its counters are called, and its policies in the answers.

        What is not in the notation, a limit or a window of nothing or beyond reason, and two limits for one window
        are a ConfigurationError.
        """
        items = _items(notation)
        return _limit(tuple(_window(item, name, alone=len(items) == 1) for item in items))

    def beside(self, other: "RateLimit") -> "RateLimit":
        """Both limits."""
        return _limit(tuple(dict.fromkeys(self.windows + other.windows)))

    def state(self, decisions: list[Decision]) -> bytes:
        """The RateLimit field: what is left of each limit that was asked, and in how many seconds there is more."""
        if len(decisions) == 1:
            return self.windows[0].state % (decisions[0].remaining, math.ceil(decisions[0].reset_after))
        asked = zip(self.windows, decisions, strict=False)
        return b", ".join([window.state % (left, math.ceil(reset)) for window, (_, left, reset) in asked])


class LocalLimiter:
    """Counts hits in this process, without a task switch."""

    def __init__(self, storage: InProcessStorage, *, strategy: Strategy = "fixed-window") -> None:
        self._verb: Callable[[str, int, int, int], Decision] = {
            "fixed-window": storage.fixed_window,
            "moving-window": storage.moving_window,
            "sliding-window-counter": storage.sliding_window,
        }[_checked(strategy)]

    def hit(self, limit: RateLimit, key: str, cost: int = 1) -> list[Decision]:
        """Count a hit: what became of it, limit by limit; the last one alone may have refused it."""
        if len(key) > _LONGEST_KEY:
            key = _digest(key)
        decisions = []
        for window in limit.windows:
            decision = self._verb(window.prefix + key, window.amount, window.seconds, cost)
            decisions.append(decision)
            if not decision.allowed:
                break
        return decisions


class SharedLimiter:
    """Counts hits in a storage of ``limits``, which other processes count in too.

    A storage that fails, or does not answer within ``deadline`` seconds, is StoreUnavailable. One that is not
    asynchronous, or cannot do the strategy, is a ConfigurationError.
    """

    def __init__(
        self,
        storage: "StorageTypes",
        *,
        strategy: Strategy = "fixed-window",
        deadline: float = STORAGE_DEADLINE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(storage, Storage):
            raise ConfigurationError("rate limits need an asynchronous storage: 'async+redis://…', not 'redis://…'")
        try:
            self._strategy = _STRATEGIES[_checked(strategy)](storage)
        except NotImplementedError:
            raise ConfigurationError(f"this storage cannot do {strategy}") from None
        own = storage.base_exceptions
        self._outages: tuple[type[Exception], ...] = (StorageError, OSError, TimeoutError)
        self._outages += own if isinstance(own, tuple) else (own,)
        self._deadline = deadline
        self._now = clock.now
        self._is_out = False

    async def hit(self, limit: RateLimit, key: str, cost: int = 1) -> list[Decision]:
        """Count a hit: what became of it, limit by limit; the last one alone may have refused it."""
        if len(key) > _LONGEST_KEY:
            key = _digest(key)
        decisions = []
        try:
            async with asyncio.timeout(self._deadline):
                for window in limit.windows:
                    decision = await self._ask(window.item, window.space, key, cost)
                    decisions.append(decision)
                    if not decision.allowed:
                        break
        except self._outages as error:
            if not self._is_out:
                logger.warning("the storage of rate limits is unavailable (%s)", type(error).__name__)
            self._is_out = True
            raise StoreUnavailable from error
        self._is_out = False
        return decisions

    async def _ask(self, item: RateLimitItem, space: str, key: str, cost: int) -> Decision:
        allowed = await self._strategy.hit(item, space, key, cost=cost)
        reset_time, remaining = await self._strategy.get_window_stats(item, space, key)
        return Decision(allowed, max(0, remaining), max(0.0, reset_time - self._now()))


def _checked(strategy: Strategy) -> Strategy:
    if strategy not in get_args(Strategy):
        raise ConfigurationError(f"the strategy is one of {', '.join(get_args(Strategy))}")
    return strategy


def _limit(windows: tuple[Window, ...]) -> RateLimit:
    return RateLimit(windows, b", ".join(window.policy for window in windows))


def _items(notation: str) -> list[RateLimitItem]:
    """The limits of a notation, the shortest window first."""
    try:
        items = sorted(parse_many(notation), key=RateLimitItem.get_expiry)
    except ValueError:
        raise ConfigurationError("a rate limit is written as in '5/minute; 100/hour'") from None
    windows = {item.get_expiry() for item in items}
    if not all(0 < item.amount <= _LARGEST and 0 < item.get_expiry() <= _LARGEST for item in items):
        raise ConfigurationError("a rate limit allows at least one hit in at least one second")
    if len(windows) < len(items):
        raise ConfigurationError("a rate limit has one number for each window")
    return items


def _window(item: RateLimitItem, name: str, *, alone: bool) -> Window:
    seconds = item.get_expiry()
    # No slash is left in it, so no key can make one name into another.
    space = quote(name, safe=" {}")
    # RFC 9651 §3.3.3: a string of visible ASCII without quotes and backslashes. A percent sign is doubled to be one.
    shown = quote(name, safe=" /{}")
    if not alone:
        shown += f"-{item.multiples if item.multiples > 1 else ''}{item.GRANULARITY.name}"
    return Window(
        item=item,
        amount=item.amount,
        seconds=seconds,
        space=space,
        prefix=f"{space}/{item.amount}/{seconds}/",
        policy=f'"{shown}";q={item.amount};w={seconds}'.encode(),
        state=f'"{shown.replace("%", "%%")}";r=%d;t=%d'.encode(),
    )


def _digest(key: str) -> str:
    """What a key is kept as that a client has made long: the memory for keys is bounded too."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
