"""What ends a live connection, at the service: its expiry and the feed; and what does not."""

import asyncio
import math
import time

import pytest
from live_tools import CHANGED, CLIENT, IDS, KEY, SESSION, SUBJECT, TOKEN, Connection, credential, looked, nobody_runs
from test_revocations import UNTIL, Feed, add, until

from asgi_auth.live import LiveConnections, LiveCredential
from asgi_auth.revocations import Revocable, RevocationKind, Revocations
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


@pytest.mark.requirement("R-96", "holds")
async def test_a_connection_ends_once_at_its_expiry(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    early, late, endless = Connection(), Connection(), Connection()
    for connection, ends_at in ((late, clock.now() + 600), (early, clock.now() + 0.5), (endless, math.inf)):
        connections.add(credential(ends_at), connection.end)

    await looked()
    assert (early.ends, late.ends) == (0, 0)

    clock.advance(0.5)
    await until(lambda: early.ends == 1)
    await looked()
    assert (early.ends, late.ends, endless.ends) == (1, 0, 0)


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-33", "holds")
@pytest.mark.parametrize(("kind", "id"), IDS)
async def test_a_connection_ends_once_with_what_another_worker_revokes(
    feed: Feed, kind: RevocationKind, id: str
) -> None:
    revocations = Revocations(feed, max_staleness=0.03)
    connection = Connection()
    LiveConnections(revocations).add(credential(time.time() + 600), connection.end)

    await add(feed, id, kind=kind)
    await until(lambda: connection.ends == 1)
    await add(feed, "jti")
    await add(feed, "sid", kind=SESSION)
    await looked()
    assert connection.ends == 1


async def test_what_is_revoked_here_ends_before_the_answer(
    revocations: Revocations, connections: LiveConnections
) -> None:
    await revocations.ensure_fresh()
    connection = Connection()
    connections.add(credential(), connection.end)

    await revocations.revoke(SESSION, "sid", until=UNTIL)

    assert connection.ends == 1


async def test_a_higher_epoch_of_its_subject_ends_a_connection_and_no_other(
    revocations: Revocations, connections: LiveConnections
) -> None:
    await revocations.ensure_fresh()
    connection, key = Connection(), Connection()
    connections.add(credential(epoch=3), connection.end)
    connections.add(credential(epoch=None), key.end)

    for subject, epoch in (("anna", 2), ("anna", 3), ("anna", None), ("ben", 4)):
        await revocations.revoke(SUBJECT, subject, epoch=epoch, until=UNTIL)
    assert connection.ends == 0

    await revocations.revoke(SUBJECT, "anna", epoch=4, until=UNTIL)
    assert (connection.ends, key.ends) == (1, 0)


@pytest.mark.requirement("R-86", "holds")
@pytest.mark.parametrize("is_told", ["before it opens", "while it is open"])
async def test_changed_rights_end_what_hangs_on_them_and_nothing_else(
    revocations: Revocations, connections: LiveConnections, is_told: str
) -> None:
    """Where nobody can be asked whether they concern it."""
    await revocations.ensure_fresh()
    await revocations.revoke(CHANGED, "ben", until=UNTIL)
    if is_told == "before it opens":
        await revocations.revoke(CHANGED, "anna", until=UNTIL)
    hangs, other = Connection(), Connection()
    connections.add(credential(changed_by=((CHANGED, "anna"),)), hangs.end)
    connections.add(credential(), other.end)
    if is_told == "while it is open":
        assert hangs.ends == 0
        await revocations.revoke(CHANGED, "anna", until=UNTIL)
    assert (hangs.ends, other.ends) == (1, 0)


async def test_what_concerns_others_ends_nothing(revocations: Revocations, connections: LiveConnections) -> None:
    await revocations.ensure_fresh()
    connection = Connection()
    connections.add(credential(), connection.end)

    for kind in RevocationKind:
        await revocations.revoke(kind, "another", epoch=99, until=UNTIL)
    for kind, id in ((TOKEN, "sid"), (SESSION, "jti"), (KEY, "jti"), (CLIENT, "anna")):
        await revocations.revoke(kind, id, until=UNTIL)

    assert connection.ends == 0


async def test_after_a_connection_has_left_nothing_ends_it(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    gone, stays = Connection(), Connection()
    remove = connections.add(credential(clock.now() + 0.5), gone.end)
    connections.add(credential(clock.now() + 0.5), stays.end)
    remove()
    remove()
    clock.advance(0.5)
    await until(lambda: stays.ends == 1)
    await revocations.revoke(TOKEN, "jti", until=UNTIL)
    remove()

    assert gone.ends == 0


@pytest.mark.requirement("R-96", "refuses")
async def test_what_has_ended_already_ends_at_once_and_leaves_no_task(
    revocations: Revocations, connections: LiveConnections, clock: FakeClock
) -> None:
    await revocations.ensure_fresh()
    await revocations.revoke(TOKEN, "jti", until=UNTIL)
    before = asyncio.all_tasks()
    revoked, expired = Connection(), Connection()
    connections.add(credential(), revoked.end)
    connections.add(LiveCredential(Revocable((), "ben", 0), clock.now()), expired.end)

    assert (revoked.ends, expired.ends) == (1, 1)
    assert asyncio.all_tasks() == before


async def test_no_task_is_left_when_the_last_connection_leaves_and_another_may_come(feed: Feed) -> None:
    revocations = Revocations(feed, max_staleness=0.03)
    connections = LiveConnections(revocations)
    before = asyncio.all_tasks()
    for _ in range(2):
        connection = Connection()
        removes = [connections.add(credential(time.time() + 600), connection.end) for _ in range(3)]
        assert len(asyncio.all_tasks() - before) == 1
        for remove in removes:
            remove()
        await nobody_runs(before)


async def test_the_feed_is_followed_while_a_connection_is_open_although_nobody_has_opened_it(feed: Feed) -> None:
    before = asyncio.all_tasks()
    feed.poll_interval = 0.01
    revocations = Revocations(feed, max_staleness=3600)
    await revocations.ensure_fresh()
    first, second = LiveConnections(revocations), LiveConnections(revocations)
    gone, connection = Connection(), Connection()
    remove = first.add(credential(time.time() + 600), gone.end)
    second.add(credential(time.time() + 600), connection.end)
    remove()
    await until(lambda: len(asyncio.all_tasks() - before) == 2)
    asked = feed.queries
    await until(lambda: feed.queries > asked + 2)
    await add(feed, "jti")
    await until(lambda: connection.ends == 1)
    await nobody_runs(before)
    asked = feed.queries
    await looked()
    assert (gone.ends, feed.queries) == (0, asked)


async def test_what_was_opened_is_followed_after_the_last_connection_has_left(feed: Feed) -> None:
    before = asyncio.all_tasks()
    revocations = Revocations(feed, max_staleness=0.03)
    await revocations.open()
    following = asyncio.all_tasks() - before
    connection = Connection()
    LiveConnections(revocations).add(credential(time.time() + 600), connection.end)()
    await until(lambda: asyncio.all_tasks() - before <= following | {revocations._query})
    asked = feed.queries
    await until(lambda: feed.queries > asked)
    await revocations.close()
