"""Rotating and revoking API keys: one winner, an overlap to the second, and no half of an ending is answered."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from key_tools import Keys

from asgi_auth.api_keys import NewAPIKey
from asgi_auth.errors import Conflict, FieldError, Invalid, InvalidToken, Reason, StoreUnavailable

DAY = 86400.0


@pytest.fixture
def world() -> Keys:
    return Keys()


async def works(world: Keys, value: bytes | str) -> bool:
    raw = value if isinstance(value, bytes) else value.encode()
    try:
        await world.use(raw)
    except InvalidToken:
        return False
    return True


async def rotated(world: Keys, key_id: str, overlap: float = DAY) -> NewAPIKey:
    new = await world.keys.rotate(key_id, subject="anna", overlap=overlap)
    assert new is not None
    return new


async def down() -> None:
    raise StoreUnavailable


@pytest.mark.requirement("R-35", "holds")
async def test_a_rotated_key_lives_on_for_a_day_unless_somebody_says_otherwise(world: Keys) -> None:
    _, key = await world.made()

    new = await world.keys.rotate(key.key_id, subject="anna")

    assert new is not None
    old = await world.store.get(key.key_id)
    assert old is not None
    assert (old.expires_at, old.successor_id) == (world.clock.now() + DAY, new.key.key_id)


@pytest.mark.requirement("R-35", "holds")
@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize("overlap", [0, 1, 59.5, 60, 3600])
async def test_both_keys_work_until_the_overlap_is_over_to_the_second(world: Keys, overlap: float) -> None:
    """The old one is warm when it is rotated."""
    value, key = await world.warm()
    new = await rotated(world, key.key_id, overlap)
    ends_at = world.clock.now() + overlap

    while world.clock.now() < ends_at:
        assert [await works(world, value), await works(world, new.value)] == [True, True]
        world.clock.advance(min(0.75, ends_at - world.clock.now()) if overlap < 100 else 900)
    assert world.clock.now() == ends_at
    assert [await works(world, value), await works(world, new.value)] == [False, True]


async def test_the_new_key_is_called_as_the_old_one_may_do_the_same_and_lives_as_long_again(world: Keys) -> None:
    _, key = await world.made(scopes=["read:articles"], lifetime=1000)
    world.clock.advance(600)

    new = await rotated(world, key.key_id)

    assert (new.key.name, new.key.scopes) == (key.name, key.scopes)
    assert new.key.expires_at == world.clock.now() + 1000
    old = await world.store.get(key.key_id)
    assert old is not None
    assert old.expires_at == key.expires_at


@pytest.mark.requirement("R-90", "refuses")
async def test_of_twenty_that_rotate_one_key_one_gets_a_new_key(world: Keys) -> None:
    value, key = await world.made()

    answers = await asyncio.gather(
        *(world.keys.rotate(key.key_id, subject="anna") for _ in range(20)), return_exceptions=True
    )

    winners = [answer for answer in answers if isinstance(answer, NewAPIKey)]
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(winners), len(refused)) == (1, 19)
    assert {conflict.reason for conflict in refused} == {Reason.KEY_ROTATED}
    assert {known.key_id for known in await world.keys.list("anna")} == {key.key_id, winners[0].key.key_id}
    assert await works(world, value)
    assert await works(world, winners[0].value)


@pytest.mark.requirement("R-35", "refuses")
async def test_a_key_that_has_ended_is_not_rotated_back_to_life(world: Keys) -> None:
    _, revoked = await world.made()
    await world.keys.revoke(revoked.key_id, subject="anna")
    _, expired = await world.made(lifetime=10)
    world.clock.advance(10)

    for key in (revoked, expired):
        with pytest.raises(Conflict):
            await world.keys.rotate(key.key_id, subject="anna")
    assert len(await world.keys.list("anna")) == 2


@pytest.mark.requirement("R-36", "refuses")
async def test_rotation_does_not_get_around_the_number_of_keys() -> None:
    """One key of two in each pair: a chain of overlaps would have no end."""
    world = Keys(keys_per_subject=1)
    _, key = await world.made()
    new = await rotated(world, key.key_id)

    with pytest.raises(Conflict) as refused:
        await world.keys.rotate(new.key.key_id, subject="anna")
    assert refused.value.reason is Reason.KEY_ROTATED

    await world.keys.revoke(key.key_id, subject="anna")
    assert await world.keys.rotate(new.key.key_id, subject="anna") is not None


@pytest.mark.parametrize("overlap", [-1, 30 * DAY + 1, float("inf"), float("nan")])
async def test_an_overlap_that_is_none_is_refused(world: Keys, overlap: float) -> None:
    _, key = await world.made()

    with pytest.raises(Invalid) as refused:
        await world.keys.rotate(key.key_id, subject="anna", overlap=overlap)

    assert refused.value.errors == (FieldError("overlap", "out_of_range"),)
    assert world.journal.entries == []


@pytest.mark.requirement("R-36", "refuses")
async def test_an_unknown_key_and_another_subject_s_are_left_alone(world: Keys) -> None:
    value, key = await world.warm()

    for key_id, subject in (("unknown", "anna"), ("unknown", None), (key.key_id, "berta")):
        assert await world.keys.rotate(key_id, subject=subject) is None
        assert await world.keys.revoke(key_id, subject=subject) is None

    assert set(world.journal.entries) == {"get key"}
    assert world.keys.cached(value) is not None


async def test_an_administrator_rotates_and_revokes_anybody_s_keys(world: Keys) -> None:
    _, key = await world.made()

    new = await world.keys.rotate(key.key_id, subject=None)
    assert new is not None
    assert new.key.subject == "anna"
    ended = await world.keys.revoke(new.key.key_id, subject=None)
    assert ended is not None
    assert ended.revoked_at == world.clock.now()


@pytest.mark.requirement("R-33", "holds")
async def test_a_revocation_tells_the_feed_then_ends_the_row_then_answers_and_may_be_repeated(world: Keys) -> None:
    _, key = await world.made()

    first = await world.keys.revoke(key.key_id, subject="anna")
    world.clock.advance(5)
    second = await world.keys.revoke(key.key_id, subject="anna")

    assert first == second == await world.store.get(key.key_id)
    assert world.journal.entries[:5] == ["get key", "revoke api_key", "revoke", "get key", "get key"]


@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.parametrize("step", ["revoke api_key", "revoke"])
async def test_no_revocation_is_answered_where_a_store_fails_and_repeating_it_completes_it(
    world: Keys, step: str
) -> None:
    value, key = await world.warm()
    world.journal.before[step] = [down]

    with pytest.raises(StoreUnavailable):
        await world.keys.revoke(key.key_id, subject="anna")
    # Told already, it is refused although its row is not; not told yet, it is alive.
    assert await works(world, value) == (step == "revoke api_key")

    await world.keys.revoke(key.key_id, subject="anna")
    assert not await works(world, value)
    stored = await world.store.get(key.key_id)
    assert stored is not None
    assert not stored.is_live(world.clock.now())


@pytest.mark.requirement("R-33", "refuses")
async def test_a_key_that_is_read_between_the_feed_and_the_row_is_refused_and_not_kept(world: Keys) -> None:
    """CVE-2026-84321: the cache that was just emptied is filled again with what is about to end."""
    value, key = await world.warm()
    seen: list[bool] = []

    async def another_request() -> None:
        seen.append(await works(world, value))

    world.journal.before["revoke"] = [another_request]
    await world.keys.revoke(key.key_id, subject="anna")

    assert seen == [False]
    assert world.keys.cached(value) is None


async def test_where_the_feed_fails_after_a_rotation_the_caller_is_told_and_the_new_key_can_be_revoked(
    world: Keys,
) -> None:
    value, key = await world.warm()
    world.journal.before["revoke changed"] = [down]

    with pytest.raises(StoreUnavailable):
        await world.keys.rotate(key.key_id, subject="anna", overlap=30)

    new, old = sorted(await world.keys.list("anna"), key=lambda known: known.key_id == key.key_id)
    assert old.successor_id == new.key_id
    await world.keys.revoke(new.key_id, subject="anna")
    world.clock.advance(60)  # what was cached before is read again
    assert not await works(world, value)


@pytest.mark.requirement("R-92", "holds")
@pytest.mark.parametrize("verb", ["revoke", "rotate"])
async def test_a_client_that_goes_away_does_not_interrupt_an_ending(world: Keys, verb: str) -> None:
    value, key = await world.warm()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.journal.before[verb] = [hold]
    running: dict[str, Callable[[], Awaitable[object]]] = {
        "revoke": lambda: world.keys.revoke(key.key_id, subject="anna"),
        "rotate": lambda: world.keys.rotate(key.key_id, subject="anna", overlap=0),
    }
    caller = asyncio.ensure_future(running[verb]())
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    closing = asyncio.create_task(world.keys.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing

    assert not await works(world, value)
