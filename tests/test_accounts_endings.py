"""Every ending is the account's row, the revocation row, the deletions, the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from account_tools import EMAIL, LIFETIME, NEW_PASSWORD, PASSWORD, World

from asgi_auth.accounts import Account
from asgi_auth.errors import FieldError, Invalid, InvalidCredentials, Reason, StoreUnavailable
from asgi_auth.revocations import Revocation, RevocationKind

BCRYPT = "$2b$04$2MrDYIFGgZ8a5TF0AfGeoOVqDRMfliYc8i6JrC22mVOvN.QZnHs/m"
"""Of PASSWORD."""

ENDINGS: dict[str, Callable[[World, str], Awaitable[object]]] = {
    "change_password": lambda world, subject: world.accounts.change_password(subject, PASSWORD, NEW_PASSWORD),
    "set_password": lambda world, subject: world.accounts.set_password(subject, NEW_PASSWORD),
    "disable": lambda world, subject: world.accounts.disable(subject),
    "end_credentials": lambda world, subject: world.accounts.end_credentials(subject),
}


async def feed(world: World, kind: RevocationKind = RevocationKind.SUBJECT) -> list[Revocation]:
    return [item for item in (await world.feed.changes_since(None)).items if item.kind is kind]


async def stored(world: World, account: Account) -> Account:
    found = await world.accounts.get(account.subject)
    assert found is not None
    return found


@pytest.mark.requirement("R-15", "holds")
@pytest.mark.requirement("R-31", "holds")
@pytest.mark.parametrize("how", ENDINGS)
async def test_an_ending_raises_the_epoch_then_tells_the_feed_then_deletes_then_answers(how: str) -> None:
    world = World()
    anna = await world.anna()
    await world.family(anna)

    await ENDINGS[how](world, anna.subject)

    row = {"end_credentials": ["raise epoch"], "disable": ["update", "revoke changed"]}.get(how, ["update"])
    assert world.journal.entries == [*row, "revoke subject", "delete"]
    assert (await stored(world, anna)).epoch == 1
    until = world.clock.now() + LIFETIME
    assert await feed(world) == [Revocation(RevocationKind.SUBJECT, anna.subject, 1, until)]
    assert not await world.was_live()


@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("step", ["revoke subject", "delete"])
async def test_no_ending_is_answered_where_a_store_fails_and_end_credentials_completes_it(how: str, step: str) -> None:
    world = World()
    anna = await world.anna()
    await world.family(anna)

    async def down() -> None:
        raise StoreUnavailable

    world.journal.before[step] = [down]
    with pytest.raises(StoreUnavailable):
        await ENDINGS[how](world, anna.subject)
    assert (await stored(world, anna)).epoch == 1

    assert await world.accounts.end_credentials(anna.subject, at_least=1) == 1
    assert [item.epoch for item in await feed(world)] == [1]
    assert not await world.was_live()


@pytest.mark.requirement("R-31", "holds")
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_client_that_goes_away_does_not_interrupt_an_ending(how: str) -> None:
    world = World()
    anna = await world.anna()
    await world.family(anna)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.journal.before["revoke subject"] = [hold]
    caller = asyncio.ensure_future(ENDINGS[how](world, anna.subject))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await world.hashing.close()
    closing = asyncio.create_task(world.accounts.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing

    assert [item.epoch for item in await feed(world)] == [1]
    assert not await world.was_live()


@pytest.mark.requirement("R-31", "refuses")
async def test_closing_waits_for_endings_that_fail_without_failing_itself() -> None:
    world = World()
    anna = await world.anna()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold_and_fail() -> None:
        begun.set()
        await go_on.wait()
        raise StoreUnavailable

    world.journal.before["revoke subject"] = [hold_and_fail]
    ending = asyncio.create_task(world.accounts.disable(anna.subject))
    await begun.wait()
    closing = asyncio.create_task(world.accounts.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing

    with pytest.raises(StoreUnavailable):
        await ending


@pytest.mark.requirement("R-52", "holds")
async def test_a_changed_password_replaces_the_old_one_and_the_answer_is_of_the_new_epoch() -> None:
    world = World()
    anna = await world.anna()

    changed = await world.accounts.change_password(anna.subject, PASSWORD, NEW_PASSWORD)

    assert changed == await stored(world, anna)
    assert changed.epoch == 1
    assert await world.accounts.authenticate(EMAIL, NEW_PASSWORD) == changed
    with pytest.raises(InvalidCredentials):
        await world.accounts.authenticate(EMAIL, PASSWORD)


@pytest.mark.requirement("R-52", "refuses")
@pytest.mark.parametrize(
    ("state", "current", "reason"),
    [
        ({}, "wrong horse", Reason.PASSWORD_WRONG),
        ({}, "", Reason.PASSWORD_WRONG),
        ({}, "x" * 1_025, Reason.PASSWORD_WRONG),
        ({"hash": None}, PASSWORD, Reason.PASSWORD_NOT_SET),
        ({"disabled": True}, PASSWORD, Reason.ACCOUNT_DISABLED),
    ],
)
async def test_a_password_is_not_changed_without_the_current_one(
    state: dict[str, Any], current: str, reason: Reason
) -> None:
    world = World()
    anna = await world.anna(**state)

    with pytest.raises(InvalidCredentials) as refused:
        await world.accounts.change_password(anna.subject, current, NEW_PASSWORD)

    assert refused.value.reason is reason
    assert await stored(world, anna) == anna
    assert world.journal.entries == []


async def test_an_unknown_subject_changes_no_password() -> None:
    with pytest.raises(InvalidCredentials) as refused:
        await World().accounts.change_password("nobody", PASSWORD, NEW_PASSWORD)

    assert refused.value.reason is Reason.ACCOUNT_UNKNOWN


@pytest.mark.requirement("R-52", "refuses")
async def test_of_ten_parallel_changes_with_one_current_password_one_succeeds() -> None:
    world = World()
    anna = await world.anna()

    outcomes = await asyncio.gather(
        *(world.accounts.change_password(anna.subject, PASSWORD, f"{NEW_PASSWORD} {n}") for n in range(10)),
        return_exceptions=True,
    )

    winners = [outcome for outcome in outcomes if isinstance(outcome, Account)]
    assert winners == [await stored(world, anna)]
    assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == 9
    assert winners[0].epoch == 1


async def test_a_change_that_an_epoch_overtook_is_made_above_it() -> None:
    world = World()
    anna = await world.anna()
    world.journal.before["update"] = [lambda: world.accounts.end_credentials(anna.subject, at_least=7)]

    changed = await world.accounts.change_password(anna.subject, PASSWORD, NEW_PASSWORD)

    assert changed.epoch == 8
    assert [item.epoch for item in await feed(world)] == [8]
    assert await world.accounts.authenticate(EMAIL, NEW_PASSWORD) == changed


@pytest.mark.requirement("R-52", "refuses")
@pytest.mark.parametrize("meanwhile", ["set_password", "disable"])
async def test_a_change_that_another_password_or_a_disabling_overtook_is_refused(meanwhile: str) -> None:
    world = World()
    anna = await world.anna()
    steps = {
        "set_password": lambda: world.accounts.set_password(anna.subject, "set by an administrator"),
        "disable": lambda: world.accounts.disable(anna.subject),
    }
    world.journal.before["update"] = [steps[meanwhile]]

    with pytest.raises(InvalidCredentials) as refused:
        await world.accounts.change_password(anna.subject, PASSWORD, NEW_PASSWORD)

    assert refused.value.reason is Reason.ACCOUNT_CHANGED
    assert (await stored(world, anna)).epoch == 1


@pytest.mark.parametrize("how", ["set_password", "disable"])
async def test_an_account_that_is_gone_meanwhile_is_unknown(how: str) -> None:
    world = World()
    anna = await world.anna()

    async def gone() -> None:
        world.store._accounts.clear()

    world.journal.before["update"] = [gone]
    with pytest.raises(Invalid) as refused:
        await ENDINGS[how](world, anna.subject)

    assert refused.value.errors == (FieldError("subject", "unknown"),)


async def test_an_account_that_never_stands_still_is_given_up_on() -> None:
    world = World()
    anna = await world.anna()

    async def moved() -> None:
        await world.store.raise_epoch(anna.subject, (await stored(world, anna)).epoch + 1)

    world.journal.before["update"] = [moved] * 100
    with pytest.raises(StoreUnavailable):
        await world.accounts.disable(anna.subject)

    assert not (await stored(world, anna)).is_disabled


async def test_an_administrator_sets_a_password_also_where_there_was_none() -> None:
    world = World()
    anna = await world.anna(hash=None)

    changed = await world.accounts.set_password(anna.subject, NEW_PASSWORD)

    assert await world.accounts.authenticate(EMAIL, NEW_PASSWORD) == changed


@pytest.mark.requirement("R-15", "refuses")
async def test_a_disabled_account_stays_shut_until_it_is_enabled_and_its_credentials_beyond() -> None:
    world = World()
    anna = await world.anna()
    await world.family(anna)

    disabled = await world.accounts.disable(anna.subject)
    assert disabled.disabled_at == world.clock.now()
    with pytest.raises(InvalidCredentials):
        await world.accounts.authenticate(EMAIL, PASSWORD)

    enabled = await world.accounts.enable(anna.subject)
    assert enabled == replace(anna, epoch=1)
    assert await world.accounts.authenticate(EMAIL, PASSWORD) == enabled
    assert not await world.was_live()


async def test_disabling_again_keeps_the_instant_and_ends_again() -> None:
    world = World()
    anna = await world.anna()
    first = await world.accounts.disable(anna.subject)
    world.clock.advance(60)

    second = await world.accounts.disable(anna.subject)

    assert second == replace(first, epoch=2)
    assert [item.until for item in await feed(world)] == [world.clock.now() + LIFETIME]


async def test_roles_are_replaced_and_every_worker_is_told() -> None:
    world = World()
    anna = await world.anna()
    await world.family(anna)

    promoted = await world.accounts.set_roles(anna.subject, ["user", "editor"])
    demoted = await world.accounts.set_roles(anna.subject, [])

    assert promoted == replace(anna, roles=frozenset({"user", "editor"}))
    assert demoted == await world.accounts.authenticate(EMAIL, PASSWORD) == replace(anna, roles=frozenset())
    assert world.journal.entries == ["update", "revoke changed", "update", "revoke changed", "read"]
    until = world.clock.now() + LIFETIME
    assert await feed(world, RevocationKind.CHANGED) == [Revocation(RevocationKind.CHANGED, anna.subject, None, until)]
    assert await world.was_live()


@pytest.mark.requirement("R-15", "holds")
@pytest.mark.parametrize("how", ["disable", "enable"])
async def test_every_worker_is_told_that_an_account_was_disabled_or_enabled(how: str) -> None:
    """API keys outlive epochs: what is cached of their owner must go."""
    world = World()
    anna = await world.anna(disabled=how == "enable")

    await {"disable": world.accounts.disable, "enable": world.accounts.enable}[how](anna.subject)

    assert world.journal.entries[:2] == ["update", "revoke changed"]
    until = world.clock.now() + LIFETIME
    assert await feed(world, RevocationKind.CHANGED) == [Revocation(RevocationKind.CHANGED, anna.subject, None, until)]


async def test_an_unknown_role_changes_nothing() -> None:
    world = World()
    anna = await world.anna()

    with pytest.raises(Invalid) as refused:
        await world.accounts.set_roles(anna.subject, ["user", "root"])

    assert refused.value.errors == (FieldError("roles", "unknown"),)
    assert await stored(world, anna) == anna


async def test_a_change_of_roles_and_a_disabling_at_once_both_hold() -> None:
    world = World()
    anna = await world.anna()

    await asyncio.gather(
        world.accounts.set_roles(anna.subject, ["editor"]),
        world.accounts.disable(anna.subject),
        world.accounts.set_password(anna.subject, NEW_PASSWORD),
    )

    account = await stored(world, anna)
    assert account.roles == {"editor"}
    assert account.is_disabled
    assert account.epoch == 2
    assert account.password_hash != anna.password_hash


@pytest.mark.parametrize("how", ["set_password", "disable", "enable", "set_roles", "end_credentials"])
async def test_an_administrator_who_names_nobody_is_told(how: str) -> None:
    accounts = World().accounts
    verbs: dict[str, Callable[[], Awaitable[object]]] = {
        "set_password": lambda: accounts.set_password("nobody", NEW_PASSWORD),
        "disable": lambda: accounts.disable("nobody"),
        "enable": lambda: accounts.enable("nobody"),
        "set_roles": lambda: accounts.set_roles("nobody", ["user"]),
        "end_credentials": lambda: accounts.end_credentials("nobody"),
    }

    with pytest.raises(Invalid) as refused:
        await verbs[how]()

    assert refused.value.errors == (FieldError("subject", "unknown"),)


async def test_ending_up_to_an_epoch_may_be_repeated_and_never_lowers_it() -> None:
    world = World()
    anna = await world.anna()

    assert await world.accounts.end_credentials(anna.subject, at_least=5) == 5
    assert await world.accounts.end_credentials(anna.subject, at_least=5) == 5
    assert await world.accounts.end_credentials(anna.subject, at_least=2) == 5
    assert await world.accounts.end_credentials(anna.subject) == 6
    assert await world.accounts.end_credentials("gone", at_least=3) == 3
    assert {item.id: item.epoch for item in await feed(world)} == {anna.subject: 6, "gone": 3}


async def test_ending_spares_what_was_issued_at_the_new_epoch() -> None:
    world = World()
    anna = await world.anna()
    changed = await world.accounts.change_password(anna.subject, PASSWORD, NEW_PASSWORD)
    await world.family(changed)

    await world.accounts.end_credentials(anna.subject, at_least=1)

    assert await world.was_live()


async def test_without_revocations_the_epoch_and_the_deletions_remain() -> None:
    world = World(revocations=None)
    anna = await world.anna()
    await world.family(anna)

    await world.accounts.disable(anna.subject)

    assert world.journal.entries == ["update", "delete"]
    assert not await world.was_live()


async def test_a_login_that_races_a_password_change_does_not_bring_the_old_hash_back() -> None:
    world = World()
    anna = await world.anna(hash=BCRYPT)
    world.journal.before["update"] = [lambda: world.accounts.set_password(anna.subject, NEW_PASSWORD)]

    late = await world.accounts.authenticate(EMAIL, PASSWORD)

    assert late == anna
    with pytest.raises(InvalidCredentials):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    assert (await world.accounts.authenticate(EMAIL, NEW_PASSWORD)).epoch == 1


@pytest.mark.requirement("R-86", "holds")
async def test_a_caller_who_leaves_while_roles_change_does_not_keep_it_from_the_other_workers() -> None:
    world = World()
    anna = await world.anna()
    caller = asyncio.ensure_future(world.accounts.set_roles(anna.subject, {"editor"}))

    async def leave() -> None:
        caller.cancel()
        await asyncio.sleep(0)

    world.journal.before["revoke changed"] = [leave]
    with pytest.raises(asyncio.CancelledError):
        await caller
    await world.accounts.close()

    assert [item.id for item in await feed(world, RevocationKind.CHANGED)] == [anna.subject]
