"""Accounts are registered once, opened by one password, and tell a stranger nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from account_tools import EMAIL, NEW_PASSWORD, PASSWORD, ROLES, World
from argon2_ledger import counted_argon2

from asgi_auth.accounts import Account
from asgi_auth.errors import (
    ConfigurationError,
    Conflict,
    FieldError,
    Invalid,
    InvalidCredentials,
    Reason,
    Unavailable,
)

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
