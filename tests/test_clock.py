"""Time as an argument."""

import time

from asgi_auth.clock import SYSTEM_CLOCK
from asgi_auth.testing.clock import FakeClock


def test_the_system_clock_is_the_machines() -> None:
    assert time.time() <= SYSTEM_CLOCK.now() <= time.time()
    assert time.monotonic() <= SYSTEM_CLOCK.monotonic() <= time.monotonic()


def test_a_fake_clock_moves_when_it_is_told_to() -> None:
    clock = FakeClock(now=100.0)
    started = clock.monotonic()

    clock.advance(5)
    assert (clock.now(), clock.monotonic() - started) == (105.0, 5.0)
    clock.step(-50)
    assert (clock.now(), clock.monotonic() - started) == (55.0, 5.0), "a stepped wall clock is no time that passed"
