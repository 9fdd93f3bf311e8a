"""What an ``APIKeyStore`` promises to callers that race, and to the next process."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from asgi_auth.api_keys import APIKeyStore
from asgi_auth.testing.contract.api_keys.programs import NOW, WithStore, a_key, rotate, store_all
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together

__all__ = ["APIKeyStoreRaces", "SharedAPIKeyStoreContract"]


class APIKeyStoreRaces(WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-35", "holds")
    async def test_of_many_keys_made_at_once_the_limit_remains(self, store: APIKeyStore) -> None:
        """24 tasks under a limit of 4: 4 keys, those whose callers were told so."""
        made = await together(store.create(a_key(f"key-{number}"), keys_per_subject=4, now=NOW) for number in range(24))
        assert sum(made) == 4
        told = {f"key-{number}" for number, won in enumerate(made) if won}
        assert {key.key_id for key in await store.list("subject-1")} == told

    @proves("R-34", "holds")
    async def test_of_many_keys_with_one_id_one_is_stored(self, store: APIKeyStore) -> None:
        """24 tasks, 1 key."""
        keys = [a_key(subject=f"subject-{number}") for number in range(24)]
        made = await together(store.create(key, keys_per_subject=1, now=NOW) for key in keys)
        (winner,) = [key for key, won in zip(keys, made, strict=True) if won]
        assert await store.get("key-1") == winner

    @proves("R-90", "holds")
    async def test_of_many_rotations_of_one_key_one_wins(self, store: APIKeyStore) -> None:
        """24 tasks: 1 successor, which the old key names."""
        await store_all(store, a_key())
        won = await together(rotate(store, f"new-{number}") for number in range(24))
        assert sum(won) == 1
        keys = {key.key_id: key.successor_id for key in await store.list("subject-1")}
        assert keys == {"key-1": f"new-{won.index(True)}", f"new-{won.index(True)}": None}

    @proves("R-90", "holds")
    async def test_a_revocation_and_a_rotation_at_once_leave_one_order(self, store: APIKeyStore) -> None:
        """The old key is revoked in any case; a successor is stored iff the rotation was first, and is live."""
        for number in range(20):
            key = a_key(f"key-{number}")
            await store_all(store, key)
            rotated, revoked = await asyncio.gather(
                rotate(store, f"new-{number}", key=key), store.revoke(key.key_id, subject=None, now=NOW + 1)
            )
            old, successor = await store.get(key.key_id), await store.get(f"new-{number}")
            assert old == revoked
            assert revoked is not None
            assert revoked.revoked_at == NOW + 1
            assert (revoked.successor_id is not None) == (successor is not None) == rotated

    @proves("R-90", "holds")
    async def test_of_many_revocations_one_instant_is_kept(self, store: APIKeyStore) -> None:
        """24 tasks with clocks of their own get 1 answer."""
        await store_all(store, a_key())
        answers = await together(store.revoke("key-1", subject=None, now=NOW + n) for n in range(24))
        assert set(answers) == {await store.get("key-1")}

    async def test_of_many_uses_the_latest_stays(self, store: APIKeyStore) -> None:
        """In whatever order they are noted."""
        await store_all(store, a_key())
        await together(store.record_use("key-1", at=NOW + at) for at in (5, 1, 9, 3, 7))
        assert await store.get("key-1") == a_key(last_used_at=NOW + 9)

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: APIKeyStore) -> None:
        """Calls of one and of several statements cancelled at random awaits; each next answer is its caller's own."""

        async def create_and_rotate(number: int) -> None:
            key = a_key(f"key-{number}-{id(asyncio.current_task())}", subject=f"subject-{number}")
            await store_all(store, key)
            assert await rotate(store, f"new of {key.key_id}", key=key)
            found = await store.get(key.key_id)
            assert found is not None
            assert found.successor_id == f"new of {key.key_id}"

        await cancel_at_random(create_and_rotate, 200)


class SharedAPIKeyStoreContract:
    """What an ``APIKeyStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "refuses")
    async def test_a_restart_revives_nothing(self, opened: Opened[APIKeyStore]) -> None:
        """Revoked stays revoked and rotated stays rotated for the next instance."""
        async with opened() as store:
            await store_all(store, a_key(), a_key("revoked"))
            await store.revoke("revoked", subject=None, now=NOW)
            await rotate(store)
        async with opened() as store:
            assert await store.get("revoked") == a_key("revoked", revoked_at=NOW)
            assert not await rotate(store, "key-3")
            assert not await rotate(store, "key-3", key=a_key("revoked"))
            assert await store.get("key-1") == a_key(successor_id="key-2", expires_at=NOW + 110)

    @proves("R-35", "holds")
    async def test_the_limit_holds_over_several_processes(self, opened: Opened[APIKeyStore]) -> None:
        """3 processes with 8 tasks each, 10 subjects: 4 keys each."""
        made = await in_processes(opened, create_all, [("one",), ("two",), ("three",)])
        assert [sum(column) for column in zip(*made, strict=True)] == [4] * 10
        async with opened() as store:
            assert [len(await store.list(f"subject-{number}")) for number in range(10)] == [4] * 10

    @proves("R-90", "holds")
    async def test_of_rotations_in_several_processes_one_wins(self, opened: Opened[APIKeyStore]) -> None:
        """2 processes with 8 tasks each, 10 keys: 10 successors."""
        async with opened() as store:
            await store_all(store, *(a_key(f"key-{number}") for number in range(10)))
        won = await in_processes(opened, rotate_all, [("one",), ("two",)])
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * 10
        async with opened() as store:
            assert len(await store.list("subject-1")) == 20

    @proves("R-35", "refuses")
    async def test_a_new_key_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[APIKeyStore]]]
    ) -> None:
        """The second counts the key of the first, so the limit is never passed."""
        async with held_open() as held:
            first = await held.begin(held.first.create(a_key("one"), keys_per_subject=1, now=NOW))
            second = asyncio.create_task(held.second.create(a_key("two"), keys_per_subject=1, now=NOW))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)
            assert await held.second.get("two") is None

    @proves("R-90", "refuses")
    async def test_a_rotation_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[APIKeyStore]]]
    ) -> None:
        """It decides over the row the first left, and is refused; no reader sees half of the first."""
        async with held_open() as held:
            await store_all(held.second, a_key())
            first = await held.begin(rotate(held.first, "one"))
            second = asyncio.create_task(rotate(held.second, "two"))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            assert await held.second.list("subject-1") == (a_key(),)
            held.commit()
            assert (await first, await second) == (True, False)
            assert {key.key_id for key in await held.second.list("subject-1")} == {"key-1", "one"}


async def create_all(store: APIKeyStore, process: str) -> list[int]:
    """Create eight keys at once for each of ten subjects, under a limit of four; how many each got."""
    return [
        sum(
            await together(
                store.create(
                    a_key(f"{process} {number} {task}", subject=f"subject-{number}"), keys_per_subject=4, now=NOW
                )
                for task in range(8)
            )
        )
        for number in range(10)
    ]


async def rotate_all(store: APIKeyStore, process: str) -> list[int]:
    """Rotate ten keys, eight times each at once; how many rotations of each won."""
    return [
        sum(
            await together(rotate(store, f"{process} {number} {task}", key=a_key(f"key-{number}")) for task in range(8))
        )
        for number in range(10)
    ]
