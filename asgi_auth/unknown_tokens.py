"""Who presents API keys and refresh tokens that nobody has issued: refused before a store is asked, for a while.

Their secrets are too long to be guessed; what is spared is the store. So the count is this process's own, and without
I/O. What is malformed costs no I/O and is not counted.
"""

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, InvalidToken, Reason, TooManyRequests
from .lockout_store import Limit

__all__ = ["UNKNOWN_TOKENS", "UnknownTokens"]

UNKNOWN_TOKENS = Limit(20, 60.0)
"""Twenty within a minute close an address, for a minute after the last."""

_UNKNOWN = {Reason.KEY_UNKNOWN, Reason.REFRESH_UNKNOWN}

T = TypeVar("T")


class UnknownTokens:
    """Counts, for each address, presented tokens that no store knows. ``limit`` None counts nothing.

    At most ``size`` addresses are remembered, those that failed last. A ``size`` below 1 is a ConfigurationError.
    """

    def __init__(
        self, limit: Limit | None = UNKNOWN_TOKENS, *, size: int = 10_000, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if size < 1:
            raise ConfigurationError("at least one address is remembered")
        self._limit = limit
        self._size = size
        self._clock = clock
        self._noted: OrderedDict[str, deque[float]] = OrderedDict()

    async def ask(self, address: str, verify: Callable[[], Awaitable[T]]) -> T:
        """What ``verify`` returns or raises; noted against the address where it says that a token is unknown.

        Raises TooManyRequests, and ``verify`` is not called, where the address has presented too many.
        """
        self.check(address)
        try:
            return await verify()
        except InvalidToken as refusal:
            if refusal.reason in _UNKNOWN:
                self.note(address)
            raise

    def check(self, address: str) -> None:
        """Raise TooManyRequests where the address has presented too many unknown tokens."""
        noted = self._noted.get(address)
        if self._limit is None or noted is None or len(noted) < self._limit.failures:
            return
        left = noted[-1] + self._limit.window - self._clock.monotonic()
        if noted[-1] - noted[0] < self._limit.window and left > 0:
            raise TooManyRequests(retry_after=left)

    def note(self, address: str) -> None:
        """Note one more unknown token from the address."""
        if self._limit is None:
            return
        noted = self._noted.pop(address, None) or deque(maxlen=self._limit.failures)
        noted.append(self._clock.monotonic())
        self._noted[address] = noted
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)
