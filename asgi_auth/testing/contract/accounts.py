"""What an ``AccountStore`` promises."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from asgi_auth.accounts import Account, AccountStore
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together

__all__ = ["AccountStoreContract", "SharedAccountStoreContract"]

NOW = 1_800_000_000.25
HOSTILE = ["", "' OR '1'='1", "x'; DROP TABLE asgi_auth_accounts; --", "%", "a\x00b", "ü€😀", "?", ":subject"]


def an_account(subject: str = "subject-1", email: str = "someone@example.com", **state: Any) -> Account:
    """An account with every field set."""
    return replace(
        Account(
            subject=subject,
            email=email,
            password_hash="$argon2id$v=19$…",
            roles=frozenset({"user", "größe", 'a"b'}),
            epoch=3,
            disabled_at=NOW + 0.125,
            created_at=NOW,
        ),
        **state,
    )


class _WithStore:
    @pytest.fixture
    async def store(self, opened: Opened[AccountStore]) -> AsyncIterator[AccountStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store


class AccountStoreDoes(_WithStore):
    """What the verbs do for one caller."""

    @pytest.mark.parametrize(
        "account",
        [an_account(), an_account(password_hash=None, roles=frozenset(), epoch=0, disabled_at=None)],
        ids=["full", "bare"],
    )
    async def test_an_account_comes_back_as_it_was_stored(self, store: AccountStore, account: Account) -> None:
        """By its subject and by its e-mail, every field equal."""
        assert await store.create(account)
        assert await store.get(account.subject) == account
        assert await store.get_by_email(account.email) == account

    async def test_update_writes_the_state_and_nothing_else(self, store: AccountStore) -> None:
        """Hash, roles, disabling and epoch change; subject, e-mail and creation never do."""
        before = an_account()
        await store.create(before)
        state: dict[str, Any] = {"password_hash": None, "roles": frozenset({"admin"}), "disabled_at": None, "epoch": 4}
        other = an_account("subject-2", "other@example.com", created_at=0.0, **state)
        assert await store.update(before, replace(other, subject=before.subject))
        assert await store.get(before.subject) == replace(before, **state)
        assert await store.get_by_email("other@example.com") is None

    async def test_an_epoch_rises_and_never_falls(self, store: AccountStore) -> None:
        """The answer is what is stored afterwards; asking again changes nothing."""
        await store.create(an_account(epoch=3))
        answers = [await store.raise_epoch("subject-1", at_least) for at_least in (5, 5, 2)]
        assert answers == [5, 5, 5]
        assert await store.get("subject-1") == an_account(epoch=5)


class AccountStoreRefuses(_WithStore):
    """What the verbs refuse."""

    async def test_an_unknown_account_is_none(self, store: AccountStore) -> None:
        """Nobody is somebody else: not by subject, not by e-mail, not in another case."""
        await store.create(an_account())
        assert await store.get("someone@example.com") is None
        assert await store.get_by_email("subject-1") is None
        assert await store.get_by_email("Someone@example.com") is None

    @proves("R-64", "refuses")
    @pytest.mark.parametrize("taken", [("subject-1", "other@example.com"), ("subject-2", "someone@example.com")])
    async def test_a_taken_subject_or_email_is_refused(self, store: AccountStore, taken: tuple[str, str]) -> None:
        """And nothing of the second account is stored."""
        first = an_account()
        await store.create(first)
        assert not await store.create(an_account(*taken, password_hash=None, epoch=9))
        assert await store.get("subject-1") == first == await store.get_by_email("someone@example.com")
        assert await store.get("subject-2") is None
        assert await store.get_by_email("other@example.com") is None

    @proves("R-90", "refuses")
    @pytest.mark.parametrize(
        "stale",
        [{"password_hash": None}, {"roles": frozenset({"user"})}, {"disabled_at": None}, {"epoch": 2}],
        ids=lambda stale: next(iter(stale)),
    )
    async def test_an_update_of_what_was_read_too_early_is_refused(
        self, store: AccountStore, stale: dict[str, Any]
    ) -> None:
        """Whichever of the four fields moved in between, nothing is written."""
        await store.create(an_account())
        assert not await store.update(an_account(**stale), an_account(password_hash="other", epoch=7))
        assert await store.get("subject-1") == an_account()

    async def test_an_unknown_account_is_not_updated_and_has_no_epoch(self, store: AccountStore) -> None:
        """Neither verb makes an account."""
        assert not await store.update(an_account(), an_account(epoch=4))
        assert await store.raise_epoch("subject-1", 8) == 8
        assert await store.get("subject-1") is None

    @proves("R-93", "refuses")
    @pytest.mark.parametrize("text", HOSTILE)
    async def test_hostile_text_is_text(self, store: AccountStore, text: str) -> None:
        """It finds nothing, and stored it comes back letter for letter."""
        await store.create(an_account())
        assert await store.get(text) is None
        assert await store.get_by_email(text) is None
        assert await store.raise_epoch(text, 99) == 99
        hostile = an_account(text, text, password_hash=text, roles=frozenset({text}))
        assert await store.create(hostile)
        assert await store.get(text) == hostile == await store.get_by_email(text)
        assert await store.get("subject-1") == an_account()


class AccountStoreRaces(_WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-64", "holds")
    async def test_of_many_registrations_with_one_email_one_wins(self, store: AccountStore) -> None:
        """32 tasks, 1 account."""
        accounts = [an_account(f"subject-{number}") for number in range(32)]
        created = await together(store.create(account) for account in accounts)
        (winner,) = [account for account, won in zip(accounts, created, strict=True) if won]
        assert await store.get_by_email(winner.email) == winner
        assert [await store.get(account.subject) for account in accounts if account != winner] == [None] * 31

    @proves("R-90", "holds")
    async def test_of_many_updates_of_one_reading_one_wins(self, store: AccountStore) -> None:
        """32 tasks, 1 change."""
        before = an_account()
        await store.create(before)
        changes = [replace(before, password_hash=f"hash-{number}") for number in range(32)]
        updated = await together(store.update(before, change) for change in changes)
        (winner,) = [change for change, won in zip(changes, updated, strict=True) if won]
        assert await store.get(before.subject) == winner

    async def test_of_many_raised_epochs_the_greatest_stays(self, store: AccountStore) -> None:
        """In whatever order they are taken, and each caller is told at least what it asked for."""
        await store.create(an_account(epoch=0))
        wanted = random.sample(range(1, 33), 32)
        answers = await together(store.raise_epoch("subject-1", epoch) for epoch in wanted)
        assert all(answer >= epoch for answer, epoch in zip(answers, wanted, strict=True))
        assert await store.get("subject-1") == an_account(epoch=32)

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: AccountStore) -> None:
        """1,000 calls cancelled at random awaits; the next caller gets the account it asked for."""
        for number in range(16):
            await store.create(an_account(f"subject-{number}", f"{number}@example.com"))

        async def ask(number: int) -> None:
            account = await store.get(f"subject-{number % 16}")
            assert account == an_account(f"subject-{number % 16}", f"{number % 16}@example.com")
            assert await store.raise_epoch(f"subject-{number % 16}", 0) == 3

        await cancel_at_random(ask, 1_000)


class AccountStoreContract(AccountStoreDoes, AccountStoreRefuses, AccountStoreRaces):
    """Everything every ``AccountStore`` promises."""


class SharedAccountStoreContract:
    """What an ``AccountStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "holds")
    async def test_an_account_survives_a_restart(self, opened: Opened[AccountStore]) -> None:
        """What a verb answered is there for the next instance, the raised epoch too."""
        async with opened() as store:
            await store.create(an_account())
            await store.raise_epoch("subject-1", 9)
        async with opened() as store:
            assert await store.get("subject-1") == an_account(epoch=9)

    @proves("R-64", "holds")
    async def test_of_registrations_in_several_processes_one_wins(self, opened: Opened[AccountStore]) -> None:
        """3 processes, 16 e-mails, 16 accounts."""
        won = await in_processes(opened, register_all, [("a",), ("b",), ("c",)])
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * 16

    @proves("R-64", "refuses")
    async def test_a_registration_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[AccountStore]]]
    ) -> None:
        """The second with the same e-mail answers only afterwards, and is refused."""
        async with held_open() as held:
            first = await held.begin(held.first.create(an_account("subject-1")))
            second = asyncio.create_task(held.second.create(an_account("subject-2")))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)

    @proves("R-90", "refuses")
    async def test_an_update_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[AccountStore]]]
    ) -> None:
        """It decides over what the first made of the row, not over what was there when it began."""
        async with held_open() as held:
            await held.second.create(an_account())
            first = await held.begin(held.first.update(an_account(), an_account(epoch=4)))
            second = asyncio.create_task(held.second.update(an_account(), an_account(epoch=4, password_hash="other")))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)
            assert await held.second.get("subject-1") == an_account(epoch=4)


async def register_all(store: AccountStore, process: str) -> list[bool]:
    """Register sixteen e-mails, each under a subject of this process."""
    return await together(
        store.create(an_account(f"{process}-{number}", f"{number}@example.com")) for number in range(16)
    )
