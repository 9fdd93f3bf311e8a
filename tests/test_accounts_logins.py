"""Logins: one password opens an account, and every refusal costs and says the same."""

import asyncio
from typing import Any

import argon2
import pytest
from account_tools import EMAIL, NEW_PASSWORD, PASSWORD, World
from argon2_ledger import counted_argon2

from asgi_auth.accounts import Account
from asgi_auth.errors import (
    Busy,
    InvalidCredentials,
    Reason,
)
from asgi_auth.passwords import OWASP, PasswordHasher

BCRYPT = "$2b$04$2MrDYIFGgZ8a5TF0AfGeoOVqDRMfliYc8i6JrC22mVOvN.QZnHs/m"
"""Of PASSWORD."""


SPELLINGS = [EMAIL, "Anna@Example.com", "ANNA@EXAMPLE.COM", "\uff41nna@example.com", "anna\uff20example.com"]


@pytest.mark.requirement("R-63", "holds")
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_the_right_password_opens_the_account_under_every_spelling_of_its_address(spelling: str) -> None:
    world = World()
    anna = await world.anna()

    assert await world.accounts.authenticate(spelling, PASSWORD) == anna


REFUSALS: dict[str, tuple[dict[str, Any] | None, str, str, Reason]] = {
    "unknown": (None, EMAIL, PASSWORD, Reason.ACCOUNT_UNKNOWN),
    "no address": ({}, "no address", PASSWORD, Reason.ACCOUNT_UNKNOWN),
    "a look-alike": ({}, "\u0430nna@example.com", PASSWORD, Reason.ACCOUNT_UNKNOWN),
    "wrong": ({}, EMAIL, "wrong horse", Reason.PASSWORD_WRONG),
    "empty": ({}, EMAIL, "", Reason.PASSWORD_WRONG),
    "too long": ({}, EMAIL, "x" * 1_025, Reason.PASSWORD_WRONG),
    "right, then a NUL": ({}, EMAIL, PASSWORD + "\x00", Reason.PASSWORD_WRONG),
    "a lone surrogate": ({}, EMAIL, PASSWORD + "\ud800", Reason.PASSWORD_WRONG),
    "unknown, too long": (None, EMAIL, "x" * 1_025, Reason.ACCOUNT_UNKNOWN),
    "disabled, right": ({"disabled": True}, EMAIL, PASSWORD, Reason.ACCOUNT_DISABLED),
    "disabled, wrong": ({"disabled": True}, EMAIL, "wrong horse", Reason.ACCOUNT_DISABLED),
    "password-less": ({"hash": None}, EMAIL, PASSWORD, Reason.PASSWORD_NOT_SET),
    "password-less, empty": ({"hash": None}, EMAIL, "", Reason.PASSWORD_NOT_SET),
    "an unusable hash": ({"hash": "!"}, EMAIL, PASSWORD, Reason.PASSWORD_WRONG),
}


@pytest.mark.requirement("R-57", "holds")
@pytest.mark.requirement("R-58", "holds")
@pytest.mark.parametrize("case", REFUSALS)
async def test_every_refused_login_is_one_answer_after_the_work_of_one_hash(case: str) -> None:
    state, email, password, reason = REFUSALS[case]
    world = World()
    if state is not None:
        await world.anna(**state)

    with counted_argon2() as ledger, pytest.raises(InvalidCredentials) as refused:
        await world.accounts.authenticate(email, password)

    refusal = refused.value
    assert (refusal.status_code, refusal.code, refusal.headers) == (401, "invalid_credentials", None)
    assert refusal.detail == "The credentials are not valid."
    assert refusal.reason is reason
    assert ledger == [8]
    assert set(world.journal.entries) <= {"read"}


@pytest.mark.requirement("R-57", "refuses")
@pytest.mark.requirement("R-58", "refuses")
async def test_neither_the_work_nor_the_answer_tells_a_weak_hash_or_a_disabled_account_from_nobody() -> None:
    weak = argon2.PasswordHasher(1, 4_096, 1).hash(PASSWORD)
    work = set()

    for state, password in [
        (None, PASSWORD),
        ({"hash": weak}, "wrong horse"),
        ({"hash": weak, "disabled": True}, PASSWORD),
        ({"hash": weak, "disabled": True}, "wrong horse"),
    ]:
        world = World(passwords=PasswordHasher(OWASP))
        if state is not None:
            await world.anna(**state)
        with counted_argon2() as ledger, pytest.raises(InvalidCredentials):
            await world.accounts.authenticate(EMAIL, password)
        work.add(ledger.total)

    assert work == {38_912}


@pytest.mark.requirement("R-15", "refuses")
async def test_the_right_password_of_a_disabled_account_opens_nothing_and_renews_nothing() -> None:
    world = World()
    await world.anna(hash=BCRYPT, disabled=True)

    with pytest.raises(InvalidCredentials):
        await world.accounts.authenticate(EMAIL, PASSWORD)

    assert world.journal.entries == ["read"]


@pytest.mark.requirement("R-48", "holds")
async def test_a_foreign_hash_is_replaced_at_login_once() -> None:
    world = World()
    await world.anna(hash=BCRYPT)

    first = await world.accounts.authenticate(EMAIL, PASSWORD)
    second = await world.accounts.authenticate(EMAIL, PASSWORD)

    assert first == second == await world.accounts.get_by_email(EMAIL)
    assert first.password_hash is not None
    assert first.password_hash.startswith("$argon2id$")
    assert first.epoch == 0
    assert world.journal.entries.count("update") == 1


async def test_a_wrong_password_replaces_no_hash() -> None:
    world = World()
    await world.anna(hash=BCRYPT)

    with pytest.raises(InvalidCredentials):
        await world.accounts.authenticate(EMAIL, "wrong horse")

    assert world.journal.entries == ["read"]


async def test_of_parallel_logins_with_a_foreign_hash_all_succeed_and_one_replaces_it() -> None:
    world = World()
    await world.anna(hash=BCRYPT)

    accounts = await asyncio.gather(*(world.accounts.authenticate(EMAIL, PASSWORD) for _ in range(10)))

    assert {account.epoch for account in accounts} == {0}
    assert (await world.accounts.authenticate(EMAIL, PASSWORD)).password_hash in {
        account.password_hash for account in accounts
    }


@pytest.mark.requirement("R-15", "holds")
async def test_a_login_carries_the_epoch_that_was_read_together_with_the_hash() -> None:
    world = World()
    anna = await world.anna(hash=BCRYPT)

    async def password_changed_meanwhile() -> None:
        await world.accounts.set_password(anna.subject, NEW_PASSWORD)

    world.journal.before["read"] = [password_changed_meanwhile]
    account = await world.accounts.authenticate(EMAIL, PASSWORD)

    assert account == anna
    stored = await world.accounts.get(anna.subject)
    assert stored is not None
    assert stored.epoch == 1
    assert (await world.accounts.authenticate(EMAIL, NEW_PASSWORD)).epoch == 1


async def test_two_hundred_parallel_logins_mixed_right_and_wrong_give_no_false_answer() -> None:
    world = World()
    for number in range(10):
        await world.accounts.register(f"anna{number}@example.com", f"password of number {number}")

    pairs = [(mine, (mine + shift) % 10) for shift in (0, 1, 0, 3, 0, 5, 0, 7, 0, 9) * 2 for mine in range(10)]
    outcomes = await asyncio.gather(
        *(
            world.accounts.authenticate(f"anna{mine}@example.com", f"password of number {other}")
            for mine, other in pairs
        ),
        return_exceptions=True,
    )

    assert len(outcomes) == 200
    for (mine, other), outcome in zip(pairs, outcomes, strict=True):
        if mine == other:
            assert isinstance(outcome, Account)
            assert outcome.email == f"anna{mine}@example.com"
        else:
            assert isinstance(outcome, InvalidCredentials)


@pytest.mark.requirement("R-53", "refuses")
async def test_a_flood_of_logins_is_shed_alike_for_known_and_unknown_accounts() -> None:
    world = World(limit=4)
    await world.anna()

    outcomes = await asyncio.gather(
        *(world.accounts.authenticate(email, "wrong horse") for email in (EMAIL, "bob@example.com") * 20),
        return_exceptions=True,
    )

    assert {type(outcome) for outcome in outcomes} == {Busy, InvalidCredentials}
    assert sum(isinstance(outcome, Busy) for outcome in outcomes) >= 30
    assert await world.accounts.authenticate(EMAIL, PASSWORD)


@pytest.mark.requirement("R-53", "holds")
async def test_hashing_never_runs_on_the_loops_thread_and_open_does_its_first_work() -> None:
    world = World()

    with counted_argon2() as ledger:
        await world.accounts.open()
        assert ledger
        ledger.clear()
        with pytest.raises(InvalidCredentials):
            await world.accounts.authenticate(EMAIL, PASSWORD)
        assert ledger == [8]
    await world.accounts.close()
    await world.accounts.close()
