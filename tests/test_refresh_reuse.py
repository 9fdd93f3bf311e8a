"""Spent refresh tokens: who is found out, what ends, and what a failure in the middle leaves."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from family_tools import CLIENT, Families, Step

from asgi_auth.errors import InvalidToken, Reason, StoreUnavailable
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.tokens import encode, mint_id, mint_secret


@pytest.fixture
def world() -> Families:
    return Families()


@pytest.fixture
def lenient() -> Families:
    return Families(reuse_leeway=10)


async def unavailable() -> None:
    raise StoreUnavailable


def stranger(tokens: Tokens) -> str:
    """A well-formed token of somebody who knows the family's id alone."""
    return encode("rt", tokens.refresh_token.split("_")[1], mint_id(), mint_secret())


def member(tokens: Tokens) -> str:
    """A well-formed token of somebody who has the member secret and never had the live one."""
    _, family_id, rest = tokens.refresh_token.split("_")
    return encode("rt", family_id, rest[:22], mint_secret())


@pytest.mark.requirement("R-28", "refuses")
@pytest.mark.parametrize("leeway", [0, 10])
async def test_a_grandparent_that_is_replayed_ends_everything_of_its_subject(leeway: float) -> None:
    """Also within the leeway; also other families, and every access token."""
    world = Families(reuse_leeway=leeway)
    other = await world.sign_in()
    first = await world.sign_in()
    second = await world.rotate(first)
    third = await world.rotate(second)
    assert await world.refused(first) is Reason.REFRESH_REUSED
    assert [await world.access_is_good(tokens) for tokens in (other, first, second, third)] == [False] * 4
    assert await world.refused(third) is Reason.REFRESH_EXPIRED
    assert await world.refused(other) is Reason.REFRESH_EXPIRED
    assert await world.is_alive(await world.sign_in())


@pytest.mark.requirement("R-28", "holds")
async def test_reuse_is_told_once_and_without_a_secret(world: Families, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first = await world.sign_in()
    second = await world.rotate(first)
    for _ in range(3):
        await world.refused(first)
        await world.refused(second)
    family_id = first.refresh_token.split("_")[1]
    told = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert told == [f"refresh token reused: family {family_id}, subject anna"]


@pytest.mark.requirement("R-28", "refuses")
async def test_who_was_signed_in_after_the_reuse_is_not_ended_by_replaying_it(world: Families) -> None:
    """The thief keeps a spent token; it is no button to log its owner out with."""
    first = await world.sign_in()
    await world.rotate(first)
    await world.refused(first)
    again = await world.sign_in()
    assert await world.refused(first) is Reason.REFRESH_REUSED
    assert await world.is_alive(again)


@pytest.mark.requirement("R-29", "refuses")
async def test_without_a_leeway_a_token_is_good_once(world: Families) -> None:
    first = await world.sign_in()
    second = await world.rotate(first)
    assert await world.refused(first) is Reason.REFRESH_REUSED
    assert await world.refused(second) is Reason.REFRESH_EXPIRED


@pytest.mark.requirement("R-29", "holds")
async def test_within_the_leeway_the_direct_parent_gives_the_same_child(lenient: Families) -> None:
    first = await lenient.sign_in()
    children = [await lenient.rotate(first)]
    lenient.clock.advance(9.9)
    children.append(await lenient.rotate(first))
    assert len({child.refresh_token for child in children}) == 1
    assert len({child.access_token for child in children}) == 2
    assert await lenient.is_alive(await lenient.rotate(children[0]))


@pytest.mark.requirement("R-29", "refuses")
async def test_after_the_leeway_the_direct_parent_is_reuse(lenient: Families) -> None:
    first = await lenient.sign_in()
    second = await lenient.rotate(first)
    lenient.clock.advance(10)
    assert await lenient.refused(first) is Reason.REFRESH_REUSED
    assert not await lenient.is_alive(second)


@pytest.mark.requirement("R-29", "refuses")
async def test_a_leeway_saves_nobody_whose_account_was_ended_meanwhile(lenient: Families) -> None:
    first = await lenient.sign_in()
    await lenient.rotate(first)
    await lenient.stores.accounts.raise_epoch("anna", 1)
    assert await lenient.refused(first) is Reason.EPOCH_OLD


@pytest.mark.requirement("R-27", "refuses")
async def test_of_twenty_callers_with_one_token_one_gets_a_pair_and_even_that_is_void(world: Families) -> None:
    first = await world.sign_in()
    answers = await asyncio.gather(*(world.rotate(first) for _ in range(20)), return_exceptions=True)
    outcomes = Counter(answer.reason if isinstance(answer, InvalidToken) else "pair" for answer in answers)
    assert outcomes[Reason.REFRESH_REUSED] == 19
    assert not [pair for pair in answers if isinstance(pair, Tokens) and await world.is_alive(pair)]


@pytest.mark.requirement("R-29", "holds")
async def test_of_twenty_callers_within_the_leeway_all_get_one_child(lenient: Families) -> None:
    first = await lenient.sign_in()
    pairs = await asyncio.gather(*(lenient.rotate(first) for _ in range(20)))
    assert len({pair.refresh_token for pair in pairs}) == 1


@pytest.mark.requirement("R-26", "refuses")
async def test_a_stranger_who_knows_the_familys_id_does_nothing(world: Families) -> None:
    tokens = await world.sign_in()
    assert await world.refused(stranger(tokens)) is Reason.REFRESH_UNKNOWN
    assert not await world.auth.refresh_tokens.revoke(stranger(tokens))
    assert await world.is_alive(tokens)


async def test_a_member_who_invents_a_secret_is_reuse(world: Families) -> None:
    tokens = await world.sign_in()
    assert await world.refused(member(tokens)) is Reason.REFRESH_REUSED
    assert not await world.is_alive(tokens)


@pytest.mark.requirement("R-29", "refuses")
async def test_another_client_does_nothing_with_a_live_or_a_spent_token(lenient: Families) -> None:
    first = await lenient.sign_in()
    second = await lenient.rotate(first)
    for tokens in (first, second):
        assert await lenient.refused(tokens, client_id="other") is Reason.REFRESH_UNKNOWN
    assert await lenient.is_alive(second)


@pytest.mark.requirement("R-28", "holds")
@pytest.mark.parametrize("verb", ["raise_epoch", "tell"])
async def test_a_replay_completes_what_a_crash_left_half_done(
    world: Families, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The store fails between the detection and the end; the theft was told all the same, and once."""
    other = await world.sign_in()
    first = await world.sign_in()
    await world.rotate(first)
    world.entries.before[verb] = unavailable
    with pytest.raises(StoreUnavailable):
        await world.rotate(first)
    assert await world.access_is_good(other)
    assert await world.refused(first) is Reason.REFRESH_REUSED
    assert not await world.is_alive(other)
    assert len(caplog.messages) == 1


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("verb", ["advance", "get"])
async def test_a_store_that_is_down_gives_no_pair(world: Families, verb: str) -> None:
    """CVE-2020-15223: an error of the store read as success. Before the rotation nothing happened; after it the
    client has to sign in again, unless a leeway is set.
    """
    first = await world.sign_in()
    world.entries.before[verb] = unavailable
    with pytest.raises(StoreUnavailable):
        await world.rotate(first)
    if verb == "advance":
        assert await world.is_alive(await world.rotate(first))
    else:
        assert await world.refused(first) is Reason.REFRESH_REUSED


@pytest.mark.requirement("R-91", "holds")
async def test_with_a_leeway_the_client_asks_again_after_a_failure_in_the_middle(lenient: Families) -> None:
    first = await lenient.sign_in()
    lenient.entries.before["get"] = unavailable
    with pytest.raises(StoreUnavailable):
        await lenient.rotate(first)
    assert await lenient.is_alive(await lenient.rotate(first))


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("verb", ["create", "revoke", "tell"])
async def test_an_ending_or_a_sign_in_that_was_not_stored_is_not_claimed(world: Families, verb: str) -> None:
    tokens = await world.sign_in()
    world.entries.before[verb] = unavailable
    with pytest.raises(StoreUnavailable):
        await (world.sign_in() if verb == "create" else world.auth.refresh_tokens.revoke(tokens.refresh_token))
    if verb == "tell":  # the row is dead; whoever repeats it ends the access tokens too
        assert await world.access_is_good(tokens)
        assert await world.auth.refresh_tokens.revoke(tokens.refresh_token)
        assert not await world.access_is_good(tokens)


@pytest.mark.requirement("R-92", "holds")
async def test_a_client_that_leaves_does_not_stop_the_end_of_a_reused_family(world: Families) -> None:
    other = await world.sign_in()
    first = await world.sign_in()
    await world.rotate(first)
    detected, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        detected.set()
        await go_on.wait()

    world.entries.before["raise_epoch"] = wait
    thief = asyncio.create_task(world.rotate(first))
    await asyncio.wait_for(detected.wait(), 30)
    thief.cancel()
    await asyncio.gather(thief, return_exceptions=True)
    go_on.set()
    await world.auth.refresh_tokens.close()
    await world.auth.accounts.close()
    assert not await world.is_alive(other)


async def leave_at(world: Families, steps: dict[str, Step], verb: str, call: Coroutine[Any, Any, object]) -> None:
    """Make the call; its client leaves at this step; then everything that was begun comes to its end."""
    caller = asyncio.ensure_future(call)

    async def leave() -> None:
        caller.cancel()
        await asyncio.sleep(0)

    steps[verb] = leave
    with pytest.raises(asyncio.CancelledError):
        await caller
    await world.auth.refresh_tokens.close()
    await world.auth.accounts.close()


@pytest.mark.requirement("R-28", "refuses")
@pytest.mark.requirement("R-92", "refuses")
async def test_a_thief_who_leaves_as_soon_as_the_reuse_is_found_saves_nothing(world: Families) -> None:
    other = await world.sign_in()
    first = await world.sign_in()
    await world.rotate(first)

    replay = world.auth.refresh_tokens.rotate(first.refresh_token, client_id=CLIENT)
    await leave_at(world, world.entries.after, "advance", replay)

    assert not await world.access_is_good(other)


@pytest.mark.requirement("R-31", "holds")
@pytest.mark.parametrize("by_id", [False, True])
async def test_a_client_that_leaves_in_a_logout_is_logged_out(world: Families, by_id: bool) -> None:
    tokens = await world.sign_in()
    refresh_tokens = world.auth.refresh_tokens
    family_id = tokens.refresh_token.split("_")[1]
    call = refresh_tokens.revoke_family(family_id) if by_id else refresh_tokens.revoke(tokens.refresh_token)

    await leave_at(world, world.entries.before, "tell", call)

    assert not await world.access_is_good(tokens)


@pytest.mark.requirement("R-28", "refuses")
async def test_the_winner_of_a_race_is_told_so_although_reuse_has_ended_what_it_won(world: Families) -> None:
    tokens = await world.sign_in()

    async def somebody_else_presents_it_too() -> None:
        assert await world.refused(tokens) is Reason.REFRESH_REUSED

    world.entries.after["advance"] = somebody_else_presents_it_too
    won = await world.rotate(tokens)

    assert not await world.access_is_good(won)
    assert await world.refused(won) is Reason.REFRESH_EXPIRED
