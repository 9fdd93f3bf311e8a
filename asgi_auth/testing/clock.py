"""A clock that stands still until a test moves it."""

__all__ = ["FakeClock"]


class FakeClock:
    """A ``Clock`` for tests: both of its times move only by ``advance`` and ``step``."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> float:
        """Seconds since the epoch, as the test has set them."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; ``step`` does not touch them."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks."""
        self._now += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Step the wall clock alone, also backwards, as an operator or NTP does."""
        self._now += seconds
