"""Accounts are registered once, opened by one password, and tell a stranger nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import argon2
import pytest
from account_tools import EMAIL, NEW_PASSWORD, PASSWORD, ROLES, World
from argon2_ledger import counted_argon2

from asgi_auth.accounts import Account
from asgi_auth.errors import (
    Busy,
    ConfigurationError,
    Conflict,
    FieldError,
    Invalid,
    InvalidCredentials,
    Reason,
    Unavailable,
)
from asgi_auth.passwords import OWASP, PasswordHasher

BCRYPT = "$2b$04$2MrDYIFGgZ8a5TF0AfGeoOVqDRMfliYc8i6JrC22mVOvN.QZnHs/m"
"""Of PASSWORD."""

SPELLINGS = [EMAIL, "Anna@Example.com", "ANNA@EXAMPLE.COM", "\uff41nna@example.com", "anna\uff20example.com"]


async def test_a_new_account_has_the_canonical_email_the_default_roles_and_a_hash_of_its_password() -> None:
    world = World()

    account = await world.accounts.register("Anna@EXAMPLE.com", PASSWORD)

    assert account.email == EMAIL
    assert account.roles == {"user"}
    assert (account.epoch, account.disabled_at, account.created_at) == (0, None, world.clock.now())
    assert account.password_hash is not None
    assert PASSWORD not in account.password_hash
    assert await world.accounts.get(account.subject) == account
    assert await world.accounts.get_by_email("ANNA@example.COM") == account


async def test_subjects_are_random_and_say_nothing_of_the_email() -> None:
    world = World()

    subjects = {(await world.accounts.register(f"anna{n}@example.com", PASSWORD)).subject for n in range(20)}

    assert len(subjects) == 20
    assert all(len(subject) >= 22 and "anna" not in subject for subject in subjects)


async def test_an_unknown_account_is_none() -> None:
    world = World()

    assert await world.accounts.get("nobody") is None
    assert await world.accounts.get_by_email(EMAIL) is None
    assert await world.accounts.get_by_email("no address") is None


@pytest.mark.requirement("R-64", "holds")
async def test_of_forty_parallel_registrations_of_one_address_in_all_its_spellings_one_succeeds() -> None:
    world = World()

    outcomes = await asyncio.gather(
        *(world.accounts.register(spelling, PASSWORD) for spelling in SPELLINGS * 8), return_exceptions=True
    )

    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 39


@pytest.mark.requirement("R-63", "refuses")
@pytest.mark.requirement("R-64", "refuses")
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_taken_address_is_refused_in_every_spelling_and_the_account_stays(spelling: str) -> None:
    world = World()
    anna = await world.anna()

    with pytest.raises(Conflict) as refused:
        await world.accounts.register(spelling, NEW_PASSWORD)

    assert refused.value.reason is Reason.EMAIL_TAKEN
    assert await world.accounts.get_by_email(EMAIL) == anna


async def test_a_taken_address_costs_the_same_work_as_a_free_one() -> None:
    world = World()

    with counted_argon2() as free:
        await world.accounts.register(EMAIL, PASSWORD)
    with counted_argon2() as taken, pytest.raises(Conflict):
        await world.accounts.register(EMAIL, PASSWORD)

    assert free == taken == [8]


async def test_every_field_that_is_not_acceptable_is_listed_and_nothing_is_stored_or_hashed() -> None:
    world = World()

    with counted_argon2() as ledger, pytest.raises(Invalid) as refused:
        await world.accounts.register("anna@", "short")

    assert refused.value.errors == (FieldError("email", "invalid"), FieldError("password", "too_short"))
    assert ledger == []
    assert world.journal.entries == []


Change = Callable[[World, str, str], Awaitable[object]]

SETTING: dict[str, tuple[Change, str]] = {
    "register": (lambda world, subject, password: world.accounts.register(EMAIL, password), "password"),
    "change": (
        lambda world, subject, password: world.accounts.change_password(subject, PASSWORD, password),
        "new_password",
    ),
    "set": (lambda world, subject, password: world.accounts.set_password(subject, password), "new_password"),
}


@pytest.mark.requirement("R-50", "refuses")
@pytest.mark.parametrize("how", SETTING)
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "too_short"),
        ("PassWord1", "too_common"),
        ("anna-example-1", "too_predictable"),
        ("gazette2024", "too_predictable"),
        ("x" * 1_025, "too_long"),
        ("nul\x00nul nul", "malformed"),
        ("known from a breach", "breached"),
    ],
)
async def test_one_policy_stands_before_every_way_to_set_a_password(how: str, password: str, code: str) -> None:
    async def breached(candidate: str) -> bool:
        return candidate == "known from a breach"

    world = World(breached=breached)
    subject = "" if how == "register" else (await world.anna()).subject
    change, field = SETTING[how]

    with pytest.raises(Invalid) as refused:
        await change(world, subject, password)

    assert refused.value.errors == (FieldError(field, code),)
    assert "update" not in world.journal.entries


@pytest.mark.requirement("R-50", "holds")
async def test_the_breach_check_sees_the_password_as_it_is_hashed_and_only_where_the_policy_accepts_it() -> None:
    asked: list[str] = []

    async def breached(candidate: str) -> bool:
        asked.append(candidate)
        return False

    world = World(breached=breached)
    await world.accounts.register(EMAIL, "scho\u0308ne gru\u0308\u00dfe")
    with pytest.raises(Invalid):
        await world.accounts.register("bob@example.com", "password")

    assert asked == ["sch\u00f6ne gr\u00fc\u00dfe"]


async def test_what_the_breach_check_raises_passes() -> None:
    async def breached(candidate: str) -> bool:
        raise Unavailable

    with pytest.raises(Unavailable):
        await World(breached=breached).accounts.register(EMAIL, PASSWORD)


@pytest.mark.requirement("R-65", "holds")
async def test_roles_come_from_the_application() -> None:
    world = World()

    account = await world.accounts.register(EMAIL, PASSWORD, roles=["editor", "user"])

    assert account.roles == {"user", "editor"}


@pytest.mark.requirement("R-65", "refuses")
@pytest.mark.parametrize("field", ["subject", "epoch", "disabled_at", "scopes", "is_active", "verified", "id"])
async def test_nothing_else_about_an_account_can_be_passed_in(field: str) -> None:
    world = World()
    body: dict[str, Any] = {"email": EMAIL, "password": PASSWORD, field: 1}

    with pytest.raises(TypeError):
        await world.accounts.register(**body)


@pytest.mark.requirement("R-65", "refuses")
async def test_an_unknown_role_is_refused() -> None:
    world = World()

    with pytest.raises(Invalid) as refused:
        await world.accounts.register(EMAIL, PASSWORD, roles=["user", "root"])

    assert refused.value.errors == (FieldError("roles", "unknown"),)
    with pytest.raises(ConfigurationError, match="default_roles"):
        World(default_roles=["root"])


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


async def test_no_repr_of_an_account_or_a_refusal_holds_a_password_or_a_hash() -> None:
    world = World()
    anna = await world.anna()
    with pytest.raises(InvalidCredentials) as refused:
        await world.accounts.authenticate(EMAIL, "canary of a password")

    assert "argon2" not in repr(anna)
    assert "canary" not in repr(refused.value) + str(refused.value)


async def test_an_application_may_know_accounts_by_other_names() -> None:
    def staff_number(text: str) -> str:
        if not text.isdigit():
            raise ValueError("no number")
        return text.zfill(6)

    world = World(email=staff_number)
    await world.accounts.register("42", PASSWORD)

    assert (await world.accounts.authenticate("000042", PASSWORD)).email == "000042"
    with pytest.raises(Invalid):
        await world.accounts.register("forty-two", PASSWORD)


def test_the_roles_of_these_tests_are_known() -> None:
    assert ROLES.is_known("user")
    assert ROLES.is_known("editor")
