"""Live connections whose end cannot be known or may have moved, and what so many of them cost."""

import asyncio
import gc
import logging
import math
import time
import weakref

import pytest
from live_tools import CHANGED, IDS, SESSION, TOKEN, Connection, credential, looked, nobody_runs
from test_revocations import UNTIL, Feed, add, until

from asgi_auth import live
from asgi_auth.errors import StoreUnavailable
from asgi_auth.live import LiveConnections, LiveCredential
from asgi_auth.revocations import Revocable, Revocations
from asgi_auth.testing.clock import FakeClock


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def revocations(feed: Feed, clock: FakeClock) -> Revocations:
    return Revocations(feed, max_staleness=1.0, clock=clock)


@pytest.fixture
def connections(revocations: Revocations, clock: FakeClock) -> LiveConnections:
    return LiveConnections(revocations, clock=clock)


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("failure", ["raises", "hangs"])
async def test_connections_end_when_the_feed_cannot_be_read_for_longer_than_the_bound(
    feed: Feed, revocations: Revocations, connections: LiveConnections, clock: FakeClock, failure: str
) -> None:
    await revocations.ensure_fresh()
    one, other = Connection(), Connection()
    connections.add(credential(), one.end)
    connections.add(LiveCredential(Revocable((), "ben", 0), math.inf), other.end)
    if failure == "raises":
        feed.failure = StoreUnavailable()
    else:
        feed.after_read = asyncio.Event().wait
    clock.advance(1.0)
    await looked(4)
    assert (one.ends, other.ends) == (0, 0)

    clock.advance(0.001)
    await until(lambda: (one.ends, other.ends) == (1, 1))
    await revocations.close()


async def test_an_outage_that_is_over_before_the_bound_ends_nothing(feed: Feed) -> None:
    revocations = Revocations(feed, max_staleness=30)
    revocations._interval = 0.01
    connection = Connection()
    await revocations.open()
    remove = LiveConnections(revocations).add(credential(time.time() + 600), connection.end)
    feed.failure = StoreUnavailable()
    asked = feed.queries
    await until(lambda: feed.queries > asked + 3)
    feed.failure = None
    await until(lambda: revocations.staleness() < 0.01)
    assert connection.ends == 0
    remove()
    await revocations.close()


async def test_one_query_that_fails_in_the_grace_is_asked_again(
    feed: Feed, revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    connection = Connection()
    remove = connections.add(credential(), connection.end)

    async def recover() -> None:
        feed.failure = feed.after_read = None
        raise StoreUnavailable

    feed.after_read = recover
    clock.advance(5)
    await until(revocations.is_fresh)
    await looked()
    assert connection.ends == 0
    remove()


async def test_a_loop_that_stalls_ends_nothing(feed: Feed) -> None:
    """Neither once for long, nor again and again while the feed is asked: the answer has to wait for the loop too."""
    revocations = Revocations(feed, max_staleness=0.05)
    await revocations.open()
    connection = Connection()
    remove = LiveConnections(revocations).add(credential(time.time() + 600), connection.end)

    async def three_hops() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    feed.after_read = three_hops
    for _ in range(20):
        time.sleep(0.12)
        await asyncio.sleep(0)
    await looked()
    assert connection.ends == 0
    remove()
    await revocations.close()


async def test_a_restart_of_the_feed_ends_what_its_whole_set_names_and_nothing_else(
    feed: Feed, revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    named, other = Connection(), Connection()
    connections.add(credential(), named.end)
    connections.add(LiveCredential(Revocable((), "ben", 0), math.inf), other.end)
    feed.forget()
    await add(feed, "sid", kind=SESSION)
    clock.advance(2)
    await until(lambda: named.ends == 1)
    assert other.ends == 0


# an end that may have moved


class Renewal:
    """What a store says of a credential that has come to its end."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> float | None:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_renewed_credential_moves_the_end_as_often_as_it_is_renewed(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    start = clock.now()
    renewal = Renewal(start + 0.4, start + 0.8, None)
    connection = Connection()
    connections.add(credential(start + 0.2, renewed=renewal), connection.end)
    clock.advance(0.3)
    await until(lambda: renewal.asked == 1)
    clock.advance(0.3)
    await until(lambda: renewal.asked == 2)
    await looked()
    assert connection.ends == 0

    clock.advance(0.3)
    await until(lambda: connection.ends == 1)
    assert renewal.asked == 3


async def test_an_end_that_has_passed_already_is_asked_about_before_it_ends_anything(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    renewal = Renewal(clock.now() + 600)
    connection = Connection()
    remove = connections.add(credential(clock.now() - 1, renewed=renewal), connection.end)
    await until(lambda: renewal.asked == 1)
    await looked()
    assert connection.ends == 0
    remove()


@pytest.mark.parametrize("is_told", ["before it opens", "while it is open"])
async def test_an_end_that_the_feed_says_has_moved_is_asked_about_at_once(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock, is_told: str
) -> None:
    await revocations.ensure_fresh()
    await revocations.revoke(CHANGED, "another", until=UNTIL)
    ends_at = clock.now() + 10
    asked: list[float] = []
    connection = Connection()

    async def renewed() -> float | None:
        asked.append(clock.now())
        return ends_at if clock.now() < ends_at else None

    if is_told == "before it opens":
        await revocations.revoke(CHANGED, "key", until=UNTIL)
    connections.add(credential(math.inf, renewed=renewed, changed_by=((CHANGED, "key"),)), connection.end)
    if is_told == "while it is open":
        await looked()
        assert asked == []
        await revocations.revoke(CHANGED, "key", until=UNTIL)
    await until(lambda: len(asked) > 0)
    await looked()
    assert connection.ends == 0

    clock.advance(10)
    await until(lambda: connection.ends == 1)
    assert asked[-1] == ends_at


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("answer", [None, "past", StoreUnavailable(), ValueError("a secret")])
async def test_an_end_that_has_not_moved_or_cannot_be_known_ends(
    revocations: Revocations,
    connections: LiveConnections,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    answer: Exception | str | None,
) -> None:
    await revocations.ensure_fresh()
    renewal = Renewal(clock.now() if isinstance(answer, str) else answer)
    connection = Connection()
    connections.add(credential(clock.now(), renewed=renewal), connection.end)
    await until(lambda: connection.ends == 1)
    assert "secret" not in caplog.text


@pytest.mark.requirement("R-91", "refuses")
async def test_a_store_that_never_answers_about_the_end_ends(feed: Feed) -> None:
    connection = Connection()
    before = asyncio.all_tasks()

    async def renewed() -> float | None:
        await asyncio.Event().wait()
        raise AssertionError

    LiveConnections(Revocations(feed)).add(credential(time.time(), renewed=renewed), connection.end)
    await until(lambda: connection.ends == 1)
    await nobody_runs(before)


@pytest.mark.parametrize("lives_for", [600, 0])
async def test_a_connection_that_leaves_while_its_end_is_asked_about_stays_gone(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock, lives_for: float
) -> None:
    await revocations.ensure_fresh()
    go_on, asked = asyncio.Event(), asyncio.Event()
    before = asyncio.all_tasks()
    connection = Connection()

    async def renewed() -> float | None:
        asked.set()
        await go_on.wait()
        return clock.now() + lives_for

    remove = connections.add(credential(clock.now(), renewed=renewed), connection.end)
    await asked.wait()
    remove()
    go_on.set()
    await nobody_runs(before)
    assert connection.ends == 0


# bounds


async def test_memory_is_bounded_by_what_is_open(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    """Ten thousand connections that have come and gone leave at most 1024 entries, and none of what they were."""
    await revocations.ensure_fresh()
    connection = Connection()
    stays = connections.add(credential(), connection.end)
    gone = Connection()
    trace = weakref.ref(gone)
    for _ in range(10_000):
        connections.add(credential(), gone.end)()
    del gone
    gc.collect()

    assert trace() is None
    assert len(connections._expiries) <= live._PRUNED_FROM
    assert sum(map(len, connections._index.values())) == len(connections._index) == len(IDS) + 1
    await revocations.revoke(TOKEN, "jti", until=UNTIL)
    assert connection.ends == 1
    assert not connections._index
    stays()


async def test_many_that_are_open_are_all_kept_and_all_end(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    connection = Connection()
    for number in range(3000):
        connections.add(credential(clock.now() + number / 3000), connection.end)
    clock.advance(1)
    await until(lambda: connection.ends == 3000)
    assert connections._expiries == []


async def test_one_that_cannot_be_ended_leaves_no_other_alive(
    revocations: Revocations, connections: LiveConnections, caplog: pytest.LogCaptureFixture
) -> None:
    await revocations.ensure_fresh()
    connection = Connection()

    def fail() -> None:
        raise RuntimeError("a secret")

    connections.add(credential(), fail)
    connections.add(credential(), connection.end)
    await revocations.revoke(TOKEN, "jti", until=UNTIL)

    assert connection.ends == 1
    assert revocations.is_fresh()
    assert caplog.messages == ["a live connection could not be ended: RuntimeError"]


async def test_an_outage_of_the_feed_is_no_error_of_ours(
    feed: Feed,
    revocations: Revocations,
    connections: LiveConnections,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await revocations.ensure_fresh()
    connection = Connection()
    connections.add(credential(), connection.end)
    feed.failure = ConnectionError("a secret")
    clock.advance(2)
    await until(lambda: connection.ends == 1)
    assert "secret" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
