"""What a worker knows of the feed: followed, shared, bounded in age and in size."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asgi_auth.errors import ConfigurationError, Stale, StoreUnavailable
from asgi_auth.revocations import Changes, Cursor, RevocationKind, Revocations
from asgi_auth.stores.memory import MemoryRevocations
from asgi_auth.testing.clock import FakeClock

TOKEN, SUBJECT = RevocationKind.TOKEN, RevocationKind.SUBJECT
UNTIL = 1_800_001_000.0


class Feed(MemoryRevocations):
    """A feed in memory that counts its queries, and fails or waits where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = 0
        self.failure: Exception | None = None
        self.nonsense: Any = None
        self.after_read: Callable[[], Awaitable[object]] | None = None

    def forget(self) -> None:
        """Become another store, with another feed id, as after a restored backup."""
        vars(self).update(vars(Feed()))

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        self.queries += 1
        if self.failure is not None:
            raise self.failure
        changes = self.nonsense or await super().changes_since(cursor)
        if self.after_read is not None:
            await self.after_read()
        return changes


async def add(feed: MemoryRevocations, id: str, *, kind: RevocationKind = TOKEN, epoch: int | None = None) -> None:
    """Another worker revokes."""
    await feed.revoke(kind, id, epoch=epoch, until=UNTIL)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def revocations(feed: Feed, clock: FakeClock) -> Revocations:
    return Revocations(feed, max_staleness=1.0, clock=clock)


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_an_age_without_a_bound_is_a_configuration_error(feed: Feed, seconds: float) -> None:
    with pytest.raises(ConfigurationError):
        Revocations(feed, max_staleness=seconds)


@pytest.mark.requirement("R-33", "holds")
async def test_what_another_worker_revokes_is_learned_by_following(feed: Feed) -> None:
    revocations = Revocations(feed, max_staleness=0.01)
    await revocations.open()
    await add(feed, "a")
    await until(lambda: revocations.is_revoked(TOKEN, "a"))
    await revocations.close()


async def test_following_goes_on_after_an_outage(feed: Feed) -> None:
    revocations = Revocations(feed, max_staleness=0.01)
    await revocations.open()
    feed.failure = StoreUnavailable()
    tried = feed.queries
    await until(lambda: feed.queries > tried + 1)
    feed.failure = None
    await add(feed, "a")
    await until(lambda: revocations.is_revoked(TOKEN, "a"))
    await revocations.close()


async def test_opening_twice_or_at_once_follows_once(feed: Feed, revocations: Revocations) -> None:
    before = asyncio.all_tasks()
    await asyncio.gather(*(revocations.open() for _ in range(5)))
    await revocations.open()
    assert len(asyncio.all_tasks() - before) == 1
    assert feed.queries == 1
    await revocations.close()
    assert asyncio.all_tasks() == before


async def test_opening_over_a_feed_that_is_down_raises_and_leaves_nothing_running(
    feed: Feed, revocations: Revocations
) -> None:
    feed.failure = StoreUnavailable()
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnavailable):
        await revocations.open()
    await revocations.close()
    assert asyncio.all_tasks() == before


async def test_fifty_waiting_requests_share_one_query(feed: Feed, revocations: Revocations) -> None:
    go_on = asyncio.Event()
    feed.after_read = go_on.wait
    waiting = [asyncio.create_task(revocations.ensure_fresh()) for _ in range(50)]
    await until(lambda: feed.queries == 1)
    go_on.set()
    await asyncio.gather(*waiting)
    assert feed.queries == 1


async def test_a_fresh_copy_costs_no_query(feed: Feed, revocations: Revocations, clock: FakeClock) -> None:
    await revocations.ensure_fresh()
    clock.advance(1.0)
    await revocations.ensure_fresh()
    assert feed.queries == 1


@pytest.mark.requirement("R-33", "holds")
async def test_knowledge_as_old_as_the_bound_may_decide_and_older_may_not(
    revocations: Revocations, clock: FakeClock
) -> None:
    assert revocations.staleness() == math.inf
    assert not revocations.is_fresh()
    await revocations.ensure_fresh()
    clock.advance(1.0)
    assert revocations.is_fresh()
    clock.advance(0.001)
    assert not revocations.is_fresh()
    assert revocations.staleness() == pytest.approx(1.001)


async def test_age_counts_from_the_start_of_a_query(feed: Feed, revocations: Revocations, clock: FakeClock) -> None:
    async def slow() -> None:
        clock.advance(0.75)

    feed.after_read = slow
    await revocations.ensure_fresh()
    assert revocations.staleness() == 0.75


async def test_the_wall_clock_does_not_make_knowledge_young_again(revocations: Revocations, clock: FakeClock) -> None:
    await revocations.ensure_fresh()
    clock.advance(2.0)
    clock.step(-3600)
    assert not revocations.is_fresh()


@pytest.mark.requirement("R-33", "refuses")
async def test_a_query_that_began_too_long_ago_does_not_satisfy_a_later_request(
    feed: Feed, revocations: Revocations, clock: FakeClock
) -> None:
    """The second request came after the revocation, the query on its way had read before it."""
    read = asyncio.Event()
    feed.after_read = read.wait
    first = asyncio.create_task(revocations.ensure_fresh())
    await until(lambda: feed.queries == 1)
    await add(feed, "a")
    clock.advance(1.5)
    second = asyncio.create_task(revocations.ensure_fresh())
    await asyncio.sleep(0)
    feed.after_read = None
    read.set()
    await asyncio.gather(first, second)
    assert feed.queries == 2
    assert revocations.is_revoked(TOKEN, "a")


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("failure", [StoreUnavailable(), ConnectionError("secret"), ValueError("bad data")])
async def test_a_feed_that_fails_is_stale_whatever_it_raises(
    feed: Feed, revocations: Revocations, clock: FakeClock, failure: Exception
) -> None:
    await add(feed, "a")
    await revocations.ensure_fresh()
    clock.advance(2)
    feed.failure = failure
    with pytest.raises(Stale) as caught:
        await revocations.ensure_fresh()
    assert caught.value.status_code == 503
    assert "secret" not in str(caught.value)
    assert revocations.is_revoked(TOKEN, "a")
    assert not revocations.is_fresh()


@pytest.mark.requirement("R-91", "refuses")
async def test_a_feed_that_answers_nonsense_decides_nothing(feed: Feed, revocations: Revocations) -> None:
    """Half of a new set must not stand in for the old one, not even for as long as that would have been fresh."""
    await add(feed, "a")
    await revocations.open()
    assert revocations.is_fresh()
    feed.nonsense = SimpleNamespace(items=(None,), cursor=Cursor("other", 1), restart=True)
    await until(lambda: not revocations.is_fresh())
    with pytest.raises(Stale):
        await revocations.ensure_fresh()
    assert not revocations.is_fresh()


@pytest.mark.requirement("R-91", "refuses")
async def test_a_feed_that_never_answers_is_stale_after_the_deadline(feed: Feed, revocations: Revocations) -> None:
    feed.after_read = asyncio.Event().wait
    with pytest.raises(Stale):
        await revocations.ensure_fresh()
    await revocations.close()


async def test_a_cancelled_request_does_not_cancel_the_query_of_the_others(
    feed: Feed, revocations: Revocations
) -> None:
    go_on = asyncio.Event()
    feed.after_read = go_on.wait
    leaves, stays = (asyncio.create_task(revocations.ensure_fresh()) for _ in range(2))
    await until(lambda: feed.queries == 1)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    go_on.set()
    await stays
    assert revocations.is_fresh()
    assert feed.queries == 1


async def test_closing_ends_a_query_and_whoever_waits_is_refused_not_cancelled(
    feed: Feed, revocations: Revocations
) -> None:
    feed.after_read = asyncio.Event().wait
    waiting = asyncio.create_task(revocations.ensure_fresh())
    await until(lambda: feed.queries == 1)
    await revocations.close()
    with pytest.raises(Stale):
        await waiting


async def test_after_closing_all_is_stale_and_it_may_be_opened_again(feed: Feed, revocations: Revocations) -> None:
    await revocations.close()
    await revocations.open()
    assert revocations.is_fresh()
    await revocations.close()
    await revocations.close()
    assert not revocations.is_fresh()
    await add(feed, "a")
    await revocations.open()
    assert revocations.is_revoked(TOKEN, "a")
    await revocations.close()


@pytest.mark.requirement("R-33", "holds")
async def test_what_was_revoked_here_is_in_the_feed_and_known_at_once(feed: Feed, revocations: Revocations) -> None:
    await revocations.ensure_fresh()
    await revocations.revoke(TOKEN, "a", until=UNTIL)
    assert revocations.is_revoked(TOKEN, "a")
    assert [item.id for item in (await feed.changes_since(None)).items] == ["a"]
    assert not revocations.is_revoked(SUBJECT, "a")


@pytest.mark.requirement("R-33", "refuses")
async def test_a_query_that_read_everything_before_does_not_take_back_what_was_revoked_here(
    feed: Feed, revocations: Revocations
) -> None:
    """A restart empties the local copy; the revocation that was answered meanwhile survives it."""
    go_on = asyncio.Event()
    feed.after_read = go_on.wait
    asking = asyncio.create_task(revocations.ensure_fresh())
    await until(lambda: feed.queries == 1)
    await revocations.revoke(SUBJECT, "anna", epoch=3, until=UNTIL)
    assert revocations.subject_epoch("anna") == 3
    go_on.set()
    await asking
    assert revocations.subject_epoch("anna") == 3


@pytest.mark.requirement("R-91", "refuses")
async def test_a_revocation_that_the_store_did_not_take_is_not_claimed(
    feed: Feed, revocations: Revocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(feed, "revoke", unavailable)
    with pytest.raises(StoreUnavailable):
        await revocations.revoke(TOKEN, "a", until=UNTIL)
    assert not revocations.is_revoked(TOKEN, "a")


async def test_a_restart_empties_the_local_copy(feed: Feed, clock: FakeClock) -> None:
    revocations = Revocations(feed, clock=clock)
    await add(feed, "a")
    await revocations.ensure_fresh()
    version = revocations.version
    feed.forget()
    clock.advance(2)
    await revocations.ensure_fresh()
    assert not revocations.is_revoked(TOKEN, "a")
    assert revocations.version > version


@pytest.mark.requirement("R-32", "refuses")
async def test_of_an_epoch_and_of_an_end_the_greater_is_kept(revocations: Revocations, clock: FakeClock) -> None:
    for epoch, end in ((3, UNTIL), (2, UNTIL - 500), (None, UNTIL - 900)):
        await revocations.revoke(SUBJECT, "anna", epoch=epoch, until=end)
    assert revocations.subject_epoch("anna") == 3
    assert revocations.subject_epoch("ben") == 0
    clock.advance(999)
    for number in range(2000):
        await revocations.revoke(TOKEN, str(number), until=UNTIL)
    assert revocations.subject_epoch("anna") == 3


async def test_a_subject_without_an_epoch_ends_nothing(revocations: Revocations) -> None:
    await revocations.revoke(SUBJECT, "anna", until=UNTIL)
    assert revocations.subject_epoch("anna") == 0


async def test_the_version_rises_with_what_is_new_and_with_nothing_else(revocations: Revocations) -> None:
    before = revocations.version
    await revocations.revoke(TOKEN, "a", until=UNTIL)
    learned = revocations.version
    await revocations.revoke(TOKEN, "a", until=UNTIL)
    assert before < learned == revocations.version
    await revocations.revoke(TOKEN, "a", until=UNTIL + 1)
    assert revocations.version > learned


async def test_memory_is_bounded_by_what_still_matters(revocations: Revocations, clock: FakeClock) -> None:
    for number in range(10_000):
        await revocations.revoke(TOKEN, str(number), until=clock.now() + 10)
        clock.advance(0.1)
    assert sum(revocations.is_revoked(TOKEN, str(number)) for number in range(10_000)) <= 1024
    assert revocations.is_revoked(TOKEN, "9999")
    assert revocations.is_revoked(TOKEN, "9901")


async def test_an_outage_is_told_once_and_its_end_once(
    feed: Feed, revocations: Revocations, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for failure in (ConnectionError("password=hunter2"), ConnectionError("password=hunter2"), None, None):
        feed.failure = failure
        clock.advance(2)
        await asyncio.gather(revocations.ensure_fresh(), return_exceptions=True)
    assert caplog.messages == [
        "the revocation feed cannot be read: ConnectionError",
        "the revocation feed can be read again",
    ]
