"""Sessions that are ended: by their owner, with an epoch, in the right order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from session_tools import ANNA, BOB, IDLE, World, world_in

from asgi_auth.errors import StoreUnavailable
from asgi_auth.session_data import Changes
from asgi_auth.session_store import Found, Lost
from asgi_auth.sessions import cookie_of
from asgi_auth.tokens import mint_secret


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(request.param, tmp_path) as opened_world:
        yield opened_world


def setting(**values: Any) -> Changes:
    return Changes(values, frozenset())


async def roles(world: World, *names: str) -> None:
    await world.auth.accounts.set_roles(ANNA, names)


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.requirement("R-33", "holds")
async def test_the_owner_sees_and_ends_its_sessions(world: World) -> None:
    first = await world.sign_in()
    world.clock.advance(1)
    second, third, bobs = await world.sign_in(), await world.sign_in(), await world.sign_in(BOB)
    listed = await world.sessions.list(ANNA)
    assert {session.session_id for session in listed} == {one.session.session_id for one in (first, second, third)}
    assert listed[-1].session_id == first.session.session_id

    assert await world.sessions.end(ANNA, first.session.session_id)
    assert not await world.sessions.end(ANNA, first.session.session_id)
    assert await world.sessions.end_others(ANNA, second.session.session_id) == 1

    assert [await world.find(one) for one in (first, third)] == [Lost.OVER, Lost.OVER]
    assert [type(await world.find(one)) for one in (second, bobs)] == [Found, Found]
    assert await world.sessions.end_others(ANNA, None) == 1
    assert await world.find(second) is Lost.OVER


@pytest.mark.requirement("R-46", "refuses")
@pytest.mark.parametrize("id", ["", "junk", "a" * 22, "\ud800" * 22, "é" * 22])
async def test_what_is_not_ones_own_is_not_ended(world: World, id: str) -> None:
    signed = await world.sign_in()

    assert not await world.sessions.end(ANNA, id)
    assert not await world.sessions.end(BOB, signed.session.session_id)

    assert isinstance(await world.find(signed), Found)
    assert "revoke session" not in world.journal.entries


async def test_what_has_expired_cannot_be_ended(world: World) -> None:
    signed = await world.sign_in()
    world.clock.advance(IDLE)

    assert not await world.sessions.end(ANNA, signed.session.session_id)


@pytest.mark.requirement("R-31", "holds")
async def test_every_ending_is_told_before_the_row_is_deleted(world: World) -> None:
    for end in (
        lambda session: world.sessions.log_out(session),
        lambda session: world.sessions.end(ANNA, session.session_id),
        lambda session: world.sessions.end_others(ANNA, None),
    ):
        signed = await world.sign_in()
        world.journal.entries.clear()
        await end(signed.session)
        steps = [entry for entry in world.journal.entries if entry != "get"]
        assert steps[0] == "revoke session"
        assert steps[1:] in (["delete"], ["delete all"])


async def test_a_session_that_began_while_the_others_were_ended_is_told_too(world: World) -> None:
    late: list[Any] = []

    async def begins() -> None:
        late.append(await world.sign_in())

    world.before("delete all", begins)

    assert await world.sessions.end_others(ANNA, None) == 1
    assert world.journal.entries.count("revoke session") == 1
    assert await world.find(late[0]) is Lost.OVER


@pytest.mark.requirement("R-31", "refuses")
async def test_a_session_whose_ending_was_told_is_over_though_its_row_is_still_there(world: World) -> None:
    signed = await world.sign_in()
    await world.found(signed)

    async def down() -> None:
        raise StoreUnavailable

    world.before("delete", down)
    with pytest.raises(StoreUnavailable):
        await world.sessions.log_out(signed.session)

    assert await world.find(signed) is Lost.OVER


async def test_an_ending_comes_to_its_end_although_its_caller_leaves(world: World) -> None:
    signed = await world.sign_in()
    told, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        told.set()
        await go_on.wait()

    world.before("delete", wait)
    leaving = asyncio.create_task(world.sessions.log_out(signed.session))
    await told.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go_on.set()
    await world.sessions.close()

    assert await world.stores.sessions.get(signed.session.session_id) is None


@pytest.mark.requirement("R-46", "holds")
async def test_a_session_of_nobody_ends_without_a_word_to_the_feed(world: World) -> None:
    session = await world.sessions.begin(secret := mint_secret(), device="d", data="{}")

    await world.sessions.log_out(session)

    assert await world.sessions.find(cookie_of(session, secret).encode()) is Lost.OVER
    assert "revoke session" not in world.journal.entries


@pytest.mark.requirement("R-52", "holds")
@pytest.mark.parametrize("ending", ["disable", "end_credentials"])
async def test_an_epoch_ends_every_session_of_its_subject(world: World, ending: str) -> None:
    signed, bobs = [await world.sign_in() for _ in range(3)], await world.sign_in(BOB)

    await getattr(world.auth.accounts, ending)(ANNA)

    assert [await world.find(one) for one in signed] == [Lost.OVER] * 3
    assert await world.sessions.list(ANNA) == ()
    assert isinstance(await world.find(bobs), Found)


@pytest.mark.requirement("R-52", "refuses")
async def test_a_session_of_a_lower_epoch_is_over_although_its_row_is_still_there(world: World) -> None:
    """The process that raised the epoch died before it told anybody: what is kept of accounts is read again by then."""
    signed = await world.sign_in()
    await world.stores.accounts.raise_epoch(ANNA, 1)
    world.clock.advance(60)

    assert await world.find(signed) is Lost.OVER
    assert await world.stores.sessions.get(signed.session.session_id) is not None
