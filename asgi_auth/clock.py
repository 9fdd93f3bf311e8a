"""Time as an argument: services take a ``Clock``, stores take ``now``."""

import time
from typing import Protocol

__all__ = ["SKEW_BUDGET", "SYSTEM_CLOCK", "Clock"]

SKEW_BUDGET = 5.0
"""Seconds by which the wall clocks of two machines may differ: what must outlive a credential lives longer by them."""


class Clock(Protocol):
    """Where a service reads the time. Tests pass one that they move themselves."""

    def now(self) -> float:
        """The wall clock: seconds since the epoch, for instants that are stored or sent."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations within this process."""
        ...


class _SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


SYSTEM_CLOCK: Clock = _SystemClock()
"""The machine's own clocks: ``time.time`` and ``time.monotonic``."""
