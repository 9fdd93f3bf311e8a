"""The counters in this process: bounded, without a sweep, and behind the interface of ``limits``."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.aio.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from asgi_auth.errors import ConfigurationError
from asgi_auth.rate_limit_storage import Decision, InProcessStorage
from asgi_auth.testing.clock import FakeClock

VERBS: list[Callable[[InProcessStorage, str, int, int, int], Decision]] = [
    InProcessStorage.fixed_window,
    InProcessStorage.moving_window,
    InProcessStorage.sliding_window,
]
EVERY_VERB = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
EVERY_STRATEGY = pytest.mark.parametrize(
    "strategy", [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter]
)


@pytest.fixture
def storage(clock: FakeClock) -> InProcessStorage:
    return InProcessStorage(clock=clock)


@EVERY_VERB
def test_of_ten_hits_in_one_window_five_are_allowed(verb: Any, storage: InProcessStorage) -> None:
    decisions = [verb(storage, "key", 5, 60, 1) for _ in range(10)]

    assert [decision.allowed for decision in decisions] == [True] * 5 + [False] * 5
    assert [decision.remaining for decision in decisions] == [4, 3, 2, 1, 0, 0, 0, 0, 0, 0]


@EVERY_VERB
def test_keys_and_windows_are_counted_apart(verb: Any, storage: InProcessStorage) -> None:
    assert [verb(storage, key, 1, window, 1).allowed for key in "ab" for window in (60, 3600)] == [True] * 4


@EVERY_VERB
def test_a_hit_may_cost_more_or_nothing(verb: Any, storage: InProcessStorage) -> None:
    assert verb(storage, "key", 5, 60, 0)[:2] == (True, 5)
    assert verb(storage, "key", 5, 60, 3)[:2] == (True, 2)
    assert verb(storage, "key", 5, 60, 0)[:2] == (True, 2)
    assert verb(storage, "key", 5, 60, 3).allowed is False
    assert verb(storage, "other", 5, 60, 6).allowed is False


def test_a_fixed_window_begins_with_its_first_hit_and_ends_whole(storage: InProcessStorage, clock: FakeClock) -> None:
    storage.fixed_window("key", 1, 60, 1)
    clock.advance(59.5)
    assert storage.fixed_window("key", 1, 60, 1) == (False, 0, 0.5)
    clock.advance(0.5)
    assert storage.fixed_window("key", 1, 60, 1) == (True, 0, 60)


def test_a_moving_window_frees_each_hit_when_its_own_time_is_over(storage: InProcessStorage, clock: FakeClock) -> None:
    storage.moving_window("key", 2, 60, 1)
    clock.advance(40)
    storage.moving_window("key", 2, 60, 1)
    assert storage.moving_window("key", 2, 60, 1) == (False, 0, 20)
    clock.advance(20)
    assert storage.moving_window("key", 2, 60, 1) == (True, 0, 40)
    assert storage.moving_window("key", 2, 60, 1) == (False, 0, 40)
    clock.advance(60)
    assert storage.moving_window("key", 2, 60, 1) == (True, 1, 60)


def test_a_sliding_window_weighs_the_one_before(storage: InProcessStorage, clock: FakeClock) -> None:
    clock.advance(-clock.monotonic() % 60)  # windows are aligned to the clock
    assert [storage.sliding_window("key", 4, 60, 1).allowed for _ in range(5)] == [True] * 4 + [False]
    assert storage.sliding_window("key", 4, 60, 1) == (False, 0, 60)
    clock.advance(60)
    assert storage.sliding_window("key", 4, 60, 1).allowed is False
    clock.advance(1)
    assert storage.sliding_window("key", 4, 60, 1).allowed is True  # three and a bit, and this one
    assert round(storage.sliding_window("key", 4, 60, 1).reset_after) == 14
    clock.advance(120)
    assert storage.sliding_window("key", 4, 60, 1)[:2] == (True, 3)


@EVERY_VERB
@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_step_of_the_wall_clock_changes_nothing(
    verb: Any, step: int, storage: InProcessStorage, clock: FakeClock
) -> None:
    verb(storage, "key", 1, 60, 1)
    clock.step(step)

    assert verb(storage, "key", 1, 60, 1).allowed is False


def held(storage: InProcessStorage) -> int:
    return asyncio.run(storage.reset())


@EVERY_VERB
@pytest.mark.requirement("R-89", "holds")
def test_a_flood_of_keys_is_bounded_and_the_first_to_end_goes_first(verb: Any, clock: FakeClock) -> None:
    storage = InProcessStorage(max_entries=100, clock=clock)
    for number in range(1000):
        verb(storage, f"key {number}", 1, 60, 1)

    assert [verb(storage, f"key {number}", 1, 60, 1).allowed for number in (999, 900)] == [False, False]
    assert verb(storage, "key 899", 1, 60, 1).allowed is True
    assert held(storage) == 100


@pytest.mark.requirement("R-89", "refuses")
def test_who_floods_a_moving_window_with_hits_pushes_out_others_never_itself(clock: FakeClock) -> None:
    storage = InProcessStorage(max_entries=10, clock=clock)
    storage.moving_window("other", 10, 60, 1)
    allowed = [storage.moving_window("key", 10, 60, 1).allowed for _ in range(20)]

    assert allowed == [True] * 10 + [False] * 10
    assert held(storage) == 1


def test_a_moving_window_remembers_no_more_than_there_is_room_for(clock: FakeClock) -> None:
    storage = InProcessStorage(max_entries=10, clock=clock)

    assert sum(storage.moving_window("key", 1000, 60, 1).allowed for _ in range(100)) == 10


@EVERY_VERB
def test_what_has_ended_goes_as_new_keys_come(verb: Any, storage: InProcessStorage, clock: FakeClock) -> None:
    for number in range(100):
        verb(storage, f"key {number}", 5, 60, 1)
    clock.advance(120)
    for number in range(100, 151):
        verb(storage, f"key {number}", 5, 60, 1)

    assert held(storage) == 51


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.floats(0, 40)), max_size=60))
def test_room_is_kept_account_of(hits: list[tuple[int, int, float]]) -> None:
    """Whatever comes and ends: the room that is left and the room that is used are all there is."""
    clock = FakeClock()
    storage = InProcessStorage(max_entries=5, clock=clock)
    for key, amount, seconds in hits:
        clock.advance(seconds)
        for verb in VERBS:
            verb(storage, f"{key}", 3, 60, amount)
        for shelf in storage._all():
            used = [len(entry.hits) or 1 for entry in shelf.entries.values()]
            ends = [entry.ends_at for entry in shelf.entries.values()]
            assert shelf._room + sum(used) == 5
            assert shelf._room >= 0
            assert ends == sorted(ends)


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 30)), max_size=60))
def test_a_moving_window_never_allows_more_than_its_limit_in_any_window(hits: list[tuple[int, float]]) -> None:
    clock = FakeClock()
    storage = InProcessStorage(clock=clock)
    allowed: list[tuple[float, int]] = []
    for amount, seconds in hits:
        clock.advance(seconds)
        now = clock.monotonic()
        inside = sum(cost for at, cost in allowed if at > now - 60)
        decision = storage.moving_window("key", 5, 60, amount)
        assert decision.allowed == (inside + amount <= 5)
        if decision.allowed:
            allowed.append((now, amount))


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        InProcessStorage(max_entries=0)


async def test_it_is_a_storage_of_limits(storage: InProcessStorage) -> None:
    for kind in (Storage, MovingWindowSupport, SlidingWindowCounterSupport):
        assert isinstance(storage, kind)
    assert await storage.check() is True
    assert storage.base_exceptions == ()


@EVERY_STRATEGY
@pytest.mark.requirement("R-89", "holds")
async def test_of_two_hundred_hits_at_once_by_limits_own_strategies_five_are_allowed(
    strategy: Any, storage: InProcessStorage
) -> None:
    limiter, item = strategy(storage), parse("5/minute")

    assert sum(await asyncio.gather(*[limiter.hit(item, "key") for _ in range(200)])) == 5


@EVERY_STRATEGY
async def test_limits_own_strategies_read_and_forget_what_was_counted(strategy: Any) -> None:
    limiter, item = strategy(InProcessStorage()), parse("5/minute")
    assert await limiter.test(item, "key")
    assert (await limiter.get_window_stats(item, "key")).remaining == 5

    for _ in range(5):
        await limiter.hit(item, "key")

    assert (await limiter.get_window_stats(item, "key")).remaining == 0
    assert not await limiter.test(item, "key")
    await limiter.clear(item, "key")
    assert await limiter.test(item, "key")


async def test_times_are_told_by_the_wall_clock(storage: InProcessStorage, clock: FakeClock) -> None:
    clock.advance(-clock.monotonic() % 60)
    assert await storage.get("key") == 0
    assert await storage.get_expiry("key") == clock.now()
    assert await storage.get_moving_window("key", 5, 60) == (clock.now(), 0)
    assert await storage.get_sliding_window("key", 60) == (0, 0, 0, 120)
    began = clock.now()
    assert await storage.incr("key", 60) == 1
    assert await storage.acquire_entry("key", 5, 60)
    assert await storage.acquire_sliding_window_entry("key", 5, 60)
    clock.advance(15)

    assert await storage.get("key") == 1
    assert await storage.get_expiry("key") == began + 60
    assert await storage.get_moving_window("key", 5, 60) == (began, 1)
    assert await storage.get_sliding_window("key", 60) == (0, 0, 1, 105)
    clock.advance(60)
    assert await storage.get("key") == 0
    assert await storage.get_sliding_window("key", 60) == (1, 45, 0, 105)


async def test_a_key_can_be_forgotten(storage: InProcessStorage) -> None:
    for verb in VERBS:
        verb(storage, "key", 1, 60, 1)
    await storage.clear("key")
    await storage.clear_sliding_window("unknown", 60)

    assert all(verb(storage, "key", 1, 60, 1).allowed for verb in VERBS)
