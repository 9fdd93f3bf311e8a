"""Accounts as they are now: one read, then none until the feed says that something changed."""

from collections.abc import Awaitable, Callable

import pytest
from key_tools import Keys

from asgi_auth.accounts import Account
from asgi_auth.errors import Stale
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.stores.memory import MemoryAccounts

READ = "get account"
CHANGES: dict[str, Callable[[Keys], Awaitable[object]]] = {
    "disable": lambda world: world.accounts.disable("anna"),
    "set_roles": lambda world: world.accounts.set_roles("anna", ["reader"]),
    "end_credentials": lambda world: world.accounts.end_credentials("anna"),
}


async def begun(*, following: bool = True) -> tuple[Keys, PresentAccounts]:
    """A world with anna in it, her account unread; what changes it tells the feed."""
    world = Keys(following=following)
    await world.owner()
    revocations = world.revocations if following else None
    present = PresentAccounts(world.owners, revocations, clock=world.clock)
    return world, present


async def stored(world: Keys) -> Account | None:
    account = await world.owners.get("anna")
    world.journal.entries.clear()
    return account


async def test_an_account_is_read_once_and_then_known() -> None:
    world, present = await begun()
    assert present.cached("anna") is None

    for _ in range(1000):
        assert await present.get("anna") == await MemoryAccounts.get(world.owners, "anna")

    assert world.journal.entries == [READ]
    assert present.cached("anna") is not None


async def test_nobody_is_asked_for_every_time() -> None:
    world, present = await begun()

    assert await present.get("nobody") is None
    assert await present.get("nobody") is None

    assert world.journal.entries == [READ, READ]


@pytest.mark.requirement("R-86", "holds")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("how", CHANGES)
async def test_whatever_changes_an_account_is_seen_at_once(how: str) -> None:
    world, present = await begun()
    before = await present.get("anna")

    await CHANGES[how](world)

    assert present.cached("anna") is None
    after = await present.get("anna")
    assert after == await stored(world) != before


@pytest.mark.requirement("R-86", "holds")
async def test_an_account_that_is_enabled_again_is_seen_at_once() -> None:
    world, present = await begun()
    await world.accounts.disable("anna")
    disabled = await present.get("anna")
    assert disabled is not None
    assert disabled.is_disabled

    await world.accounts.enable("anna")

    enabled = await present.get("anna")
    assert enabled is not None
    assert not enabled.is_disabled


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("how", CHANGES)
async def test_an_account_that_was_read_before_it_changed_is_not_kept_after(how: str) -> None:
    world, present = await begun()
    world.journal.before[READ] = [lambda: CHANGES[how](world)]

    old = await present.get("anna")

    assert present.cached("anna") is None
    assert await present.get("anna") == await stored(world) != old


@pytest.mark.requirement("R-91", "refuses")
async def test_while_the_feed_cannot_be_read_nobody_is_known() -> None:
    world, present = await begun()
    await present.get("anna")
    world.feed.is_down = True
    world.clock.advance(2)

    assert present.cached("anna") is None
    with pytest.raises(Stale):
        await present.get("anna")
    assert world.journal.entries == [READ]


async def test_without_revocations_every_question_is_a_read() -> None:
    world, present = await begun(following=False)

    for _ in range(3):
        assert await present.get("anna") is not None

    assert world.journal.entries == [READ] * 3
    assert present.cached("anna") is None


async def test_it_keeps_no_more_accounts_than_it_has_room_for() -> None:
    world, _ = await begun()
    await world.owner("berta")
    present = PresentAccounts(world.owners, world.revocations, cache_size=1, clock=world.clock)

    await present.get("anna")
    await present.get("berta")

    assert present.cached("anna") is None
    assert present.cached("berta") is not None
