"""What a ``RefreshTokenStore`` promises to callers that race, and to the next process."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from asgi_auth.refresh_tokens import Advanced, Advancement, Expired, RefreshTokenStore, Repeated, Reused
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together
from asgi_auth.testing.contract.refresh_tokens.families import (
    LEEWAY,
    NOW,
    WithStore,
    a_family,
    kinds,
    present,
)

__all__ = ["RefreshTokenStoreRaces", "SharedRefreshTokenStoreContract"]


class RefreshTokenStoreRaces(WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-27", "holds")
    async def test_of_many_rotations_of_one_token_one_advances(self, store: RefreshTokenStore) -> None:
        """24 tasks: 1 advances, 23 are reuse, 1 of them the first; afterwards the family is dead."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        outcomes = await together(rotate(store, "R1", f"task-{number}", 0) for number in range(24))
        assert_one_winner(outcomes)
        assert isinstance(await rotate(store, "R1", "late", 0), Reused)

    @proves("R-29", "holds")
    async def test_within_the_leeway_all_get_the_same_child(self, store: RefreshTokenStore) -> None:
        """24 tasks: 1 advances, 23 get its very answer, and the family lives."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        outcomes = await together(rotate(store, "R1", f"task-{number}", LEEWAY) for number in range(24))
        assert_one_child(outcomes)

    @proves("R-30", "holds")
    async def test_of_many_families_made_at_once_the_cap_remains(self, store: RefreshTokenStore) -> None:
        """20 sign-ins under a cap of 4: 16 are ended, each by one of them."""
        ended = await together(
            store.create(a_family(f"family-{number}", created_at=NOW + number), families_per_subject=4, now=NOW)
            for number in range(20)
        )
        assert len({family_id for ids in ended for family_id in ids}) == sum(map(len, ended)) == 16

    @proves("R-28", "holds")
    async def test_a_revocation_and_a_rotation_at_once_leave_nothing_alive(self, store: RefreshTokenStore) -> None:
        """Whichever comes first, the child is dead afterwards."""
        for number in range(20):
            family = a_family(f"family-{number}")
            await store.create(family, families_per_subject=50, now=NOW)
            await together(
                [
                    present(store, "R1", family=family),
                    store.revoke_subject("subject-1", below_epoch=9, now=NOW),
                ]
            )
            outcome = await present(store, "R2", child="R3", family=family, call="call-2")
            assert not isinstance(outcome, Advanced | Repeated)

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: RefreshTokenStore) -> None:
        """Calls of one and of several statements cancelled at random awaits; each next answer is its caller's own."""

        async def sign_in_and_rotate(number: int) -> None:
            family = a_family(f"family-{number}-{id(asyncio.current_task())}", subject=f"subject-{number}")
            assert await store.create(family, families_per_subject=50, now=NOW) == ()
            outcome = await present(store, "R1", family=family)
            assert isinstance(outcome, Advanced)
            assert outcome.family.family_id == family.family_id

        await cancel_at_random(sign_in_and_rotate, 200)


class SharedRefreshTokenStoreContract:
    """What a ``RefreshTokenStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "refuses")
    async def test_a_restart_revives_nothing(self, opened: Opened[RefreshTokenStore]) -> None:
        """Spent stays spent and revoked stays revoked for the next instance."""
        async with opened() as store:
            await store.create(a_family("spent"), families_per_subject=50, now=NOW)
            await store.create(a_family("revoked"), families_per_subject=50, now=NOW)
            await present(store, "R1", family=a_family("spent"))
            await store.revoke("revoked", member_digest=None, now=NOW)
        async with opened() as store:
            assert isinstance(await present(store, "R1", family=a_family("revoked"), call="call-2"), Expired)
            assert isinstance(await present(store, "R1", family=a_family("spent"), call="call-3"), Reused)

    @proves("R-27", "holds")
    async def test_of_rotations_in_several_processes_one_advances(self, opened: Opened[RefreshTokenStore]) -> None:
        """2 processes with 8 tasks each, 10 families."""
        async with opened() as store:
            for number in range(10):
                await store.create(a_family(f"family-{number}"), families_per_subject=50, now=NOW)
        answers = await in_processes(opened, rotate_all, [("one", 0.0), ("two", 0.0)])
        for per_family in zip(*answers, strict=True):
            assert_one_winner([outcome for outcomes in per_family for outcome in outcomes])

    @proves("R-29", "holds")
    async def test_within_the_leeway_all_processes_get_the_same_child(self, opened: Opened[RefreshTokenStore]) -> None:
        """2 processes with 8 tasks each, 10 families."""
        async with opened() as store:
            for number in range(10):
                await store.create(a_family(f"family-{number}"), families_per_subject=50, now=NOW)
        answers = await in_processes(opened, rotate_all, [("one", LEEWAY), ("two", LEEWAY)])
        for per_family in zip(*answers, strict=True):
            assert_one_child([outcome for outcomes in per_family for outcome in outcomes])

    @proves("R-27", "refuses")
    async def test_a_rotation_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[RefreshTokenStore]]]
    ) -> None:
        """It decides over the row the first left, finds the reuse, and the child of the first is dead."""
        async with held_open() as held:
            await held.second.create(a_family(), families_per_subject=50, now=NOW)
            first = await held.begin(present(held.first, "R1", child="R2", call="call-1"))
            second = asyncio.create_task(present(held.second, "R1", child="X", call="call-2"))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert kinds([await first, await second]) == {"Advanced": 1, "Reused": 1}
            assert isinstance(await present(held.second, "R2", child="R3", call="call-3"), Expired)

    @proves("R-30", "refuses")
    async def test_a_sign_in_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[RefreshTokenStore]]]
    ) -> None:
        """The second counts the family of the first, so the cap is never passed."""
        async with held_open() as held:
            one, two = a_family("one", created_at=NOW), a_family("two", created_at=NOW + 1)
            first = await held.begin(held.first.create(one, families_per_subject=1, now=NOW))
            second = asyncio.create_task(held.second.create(two, families_per_subject=1, now=NOW))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == ((), ("one",))


async def rotate(store: RefreshTokenStore, token: str, caller: str, leeway: float) -> Advancement | None:
    """Present a token, offering a child of this caller's own."""
    return await present(store, token, child=f"child of {caller}", call=f"call of {caller}", leeway=leeway)


async def rotate_all(store: RefreshTokenStore, process: str, leeway: float) -> list[list[Advancement | None]]:
    """Present the live token of ten families, eight times each at once."""
    return [
        await together(
            present(
                store,
                "R1",
                child=f"child of {process} {task}",
                call=f"call of {process} {task}",
                family=a_family(f"family-{number}"),
                leeway=leeway,
            )
            for task in range(8)
        )
        for number in range(10)
    ]


def assert_one_winner(outcomes: list[Advancement | None]) -> None:
    """One advanced; all others are reuse, one of them the first."""
    assert kinds(outcomes) == {"Advanced": 1, "Reused": len(outcomes) - 1}
    assert sum(isinstance(outcome, Reused) and outcome.first for outcome in outcomes) == 1


def assert_one_child(outcomes: list[Advancement | None]) -> None:
    """One advanced; all others hold the family as that one left it."""
    assert kinds(outcomes) == {"Advanced": 1, "Repeated": len(outcomes) - 1}
    assert len({outcome.family for outcome in outcomes if outcome is not None}) == 1
