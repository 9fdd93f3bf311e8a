"""Limits in the notation of ``limits``, and who counts hits on them."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage, Storage
from limits.storage import storage_from_string

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.rate_limit import LocalLimiter, RateLimit, SharedLimiter, Strategy
from asgi_auth.rate_limit_storage import Decision, InProcessStorage
from asgi_auth.testing.clock import FakeClock

STRATEGIES: list[Strategy] = ["fixed-window", "moving-window", "sliding-window-counter"]
EVERY_STRATEGY = pytest.mark.parametrize("strategy", STRATEGIES)
SF_STRING = r'"[\x20-\x21\x23-\x5b\x5d-\x7e]*"'


def test_the_notation_is_that_of_limits_and_the_shortest_window_comes_first() -> None:
    limit = RateLimit.parse("100/hour; 10 per 2 minutes, 5/second")

    assert [(window.amount, window.seconds) for window in limit.windows] == [(5, 1), (10, 120), (100, 3600)]


@pytest.mark.parametrize(
    "notation",
    [
        *("", "5", "5/", "/minute", "five/minute", "5/fortnight", "-5/minute", "5/minute;", "0/minute", None, 5),
        *("5/minute; 6/minute", "1/minute; 1/60second", "1" * 16 + "/day", "1" * 5000 + "/day"),
        "1/" + "9" * 15 + " years",
    ],
    ids=lambda notation: str(notation)[:20],
)
def test_what_cannot_be_meant_is_refused(notation: Any) -> None:
    with pytest.raises(ConfigurationError):
        RateLimit.parse(notation)


@pytest.mark.requirement("R-89", "holds")
def test_the_fields_are_structured_as_the_draft_says() -> None:
    one = RateLimit.parse("5/minute")
    two = RateLimit.parse("5/minute; 1000 per 2 hours", name="login")

    assert one.policy == b'"default";q=5;w=60'
    assert one.state([Decision(True, 4, 59.2)]) == b'"default";r=4;t=60'
    assert two.policy == b'"login-minute";q=5;w=60, "login-2hour";q=1000;w=7200'
    assert two.state([Decision(True, 4, 60), Decision(True, 0, 0)]) == b'"login-minute";r=4;t=60, "login-2hour";r=0;t=0'
    assert two.state([Decision(False, 0, 0.001)]) == b'"login-minute";r=0;t=1'


@given(st.text())
def test_whatever_the_name_it_is_a_string_of_structured_fields_and_nobody_else_s_space(name: str) -> None:
    try:
        limit = RateLimit.parse("5/minute", name=name)
    except UnicodeEncodeError:
        return  # a lone surrogate is no name
    (window,) = limit.windows

    assert limit.policy.isascii()
    assert limit.policy.decode().isprintable()
    assert limit.policy.count(b'"') == 2
    assert b"\\" not in limit.policy
    assert limit.state([Decision(True, 1, 2)]) == limit.policy.replace(b"q=5;w=60", b"r=1;t=2")
    assert "/" not in window.space


def hits(limiter: LocalLimiter, limit: RateLimit, times: int, key: str = "key") -> int:
    return sum(limiter.hit(limit, key)[-1].allowed for _ in range(times))


@EVERY_STRATEGY
def test_what_the_minute_refuses_takes_nothing_from_the_hour(strategy: Strategy, clock: FakeClock) -> None:
    limiter = LocalLimiter(InProcessStorage(clock=clock), strategy=strategy)
    limit = RateLimit.parse("5/minute; 12/hour")
    allowed = []
    for _ in range(4):
        clock.advance(150)
        allowed.append(hits(limiter, limit, 100))

    assert allowed == [5, 5, 2, 0]


def test_limits_with_other_names_are_counted_apart(clock: FakeClock) -> None:
    limiter = LocalLimiter(InProcessStorage(clock=clock))
    one, other = RateLimit.parse("5/minute", name="one"), RateLimit.parse("5/minute", name="other")

    assert [hits(limiter, limit, 10) for limit in (one, other, one)] == [5, 5, 0]


def test_two_limits_beside_each_other_are_both_asked_and_the_same_one_once() -> None:
    one, other = RateLimit.parse("5/minute", name="one"), RateLimit.parse("5/minute", name="other")

    assert one.beside(other).policy == b'"one";q=5;w=60, "other";q=5;w=60'
    assert one.beside(one) == one


@pytest.mark.requirement("R-89", "refuses")
def test_a_long_key_is_kept_as_its_digest(clock: FakeClock) -> None:
    storage = InProcessStorage(clock=clock)
    limit, key = RateLimit.parse("5/minute"), "\ud800" + "x" * 1_000_000

    assert hits(LocalLimiter(storage), limit, 10, key) == 5
    assert hits(LocalLimiter(storage), limit, 10, key + "y") == 5
    assert all(len(name) < 200 for shelf in storage._all() for name in shelf.entries)


async def test_a_shared_storage_gets_the_digest_too() -> None:
    storage = MemoryStorage()
    await SharedLimiter(storage).hit(RateLimit.parse("5/minute"), "x" * 1_000_000)

    assert [len(key) < 200 for key in storage.storage] == [True]


@EVERY_STRATEGY
@pytest.mark.requirement("R-89", "holds")
async def test_of_two_hundred_hits_at_once_in_a_shared_storage_five_are_allowed(strategy: Strategy) -> None:
    limiter = SharedLimiter(MemoryStorage(), strategy=strategy)
    limit = RateLimit.parse("5/minute; 100/hour")

    decisions = await asyncio.gather(*[limiter.hit(limit, "key") for _ in range(200)])

    allowed = [each for each in decisions if each[-1].allowed]
    assert len(allowed) == 5
    assert all(len(each) == 2 for each in allowed)
    assert {each[0].remaining for each in decisions if len(each) == 1} == {0}
    assert all(0 <= decision.reset_after <= 3600 for each in decisions for decision in each)


async def test_two_limiters_share_what_is_counted_only_through_one_storage() -> None:
    """As two processes do."""
    limit, shared = RateLimit.parse("5/minute"), MemoryStorage()
    together = [SharedLimiter(shared), SharedLimiter(shared)]
    apart = [LocalLimiter(InProcessStorage()), LocalLimiter(InProcessStorage())]

    in_common = [(await limiter.hit(limit, "key"))[-1].allowed for limiter in together * 10]

    assert sum(in_common) == 5
    assert [hits(limiter, limit, 10) for limiter in apart] == [5, 5]


class Broken(Storage):
    """A storage whose connection is lost."""

    STORAGE_SCHEME = None

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    @property
    def base_exceptions(self) -> type[Exception]:
        return KeyError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return await self.get(key)

    async def get(self, key: str) -> int:
        if self.error is not None:
            raise self.error
        return 1

    async def get_expiry(self, key: str) -> float:
        return 0

    async def check(self) -> bool:
        return False

    async def reset(self) -> int | None:
        return None

    async def clear(self, key: str) -> None:
        return None


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("error", [KeyError("secret"), ConnectionError("secret"), TimeoutError()], ids=repr)
async def test_a_storage_that_fails_is_unavailable_and_that_is_logged_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Broken(error)
    limiter, limit = SharedLimiter(storage), RateLimit.parse("5/minute")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await limiter.hit(limit, "secret")
    storage.error = None
    assert await limiter.hit(limit, "secret") == [Decision(True, 4, 0)]
    storage.error = error
    with pytest.raises(StoreUnavailable):
        await limiter.hit(limit, "secret")

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "secret" not in caplog.text


async def test_an_error_of_the_program_is_not_taken_for_an_outage() -> None:
    with pytest.raises(ZeroDivisionError):
        await SharedLimiter(Broken(ZeroDivisionError())).hit(RateLimit.parse("5/minute"), "key")


@pytest.mark.requirement("R-91", "refuses")
async def test_a_storage_that_does_not_answer_is_unavailable_after_its_deadline() -> None:
    class Silent(Broken):
        async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
            await asyncio.get_running_loop().create_future()
            return amount

    with pytest.raises(StoreUnavailable):
        await SharedLimiter(Silent(None), deadline=0.01).hit(RateLimit.parse("5/minute"), "key")


def test_storages_and_strategies_that_do_not_fit_are_refused() -> None:
    unknown: Any = "token-bucket"
    with pytest.raises(ConfigurationError, match="asynchronous"):
        SharedLimiter(storage_from_string("memory://"))
    for strategy in STRATEGIES[1:]:
        with pytest.raises(ConfigurationError, match="cannot do"):
            SharedLimiter(Broken(None), strategy=strategy)
    with pytest.raises(ConfigurationError, match="one of fixed-window"):
        SharedLimiter(MemoryStorage(), strategy=unknown)
    with pytest.raises(ConfigurationError, match="one of fixed-window"):
        LocalLimiter(InProcessStorage(), strategy=unknown)
