"""What a ``OneTimeStore`` promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from asgi_auth.one_time import OneTimeStore
from asgi_auth.testing.contract.accounts import HOSTILE
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together

__all__ = ["OneTimeStoreContract", "SharedOneTimeStoreContract"]

NOW = 1_800_000_000.25


async def put(store: OneTimeStore, key: bytes = b"key", value: str = "value", now: float = NOW) -> bool:
    """Put a value that lives for 100 seconds."""
    return await store.put(key, value, expires_at=now + 100, now=now)


class _WithStore:
    @pytest.fixture
    async def store(self, opened: Opened[OneTimeStore]) -> AsyncIterator[OneTimeStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store


class OneTimeStoreDoes(_WithStore):
    """What the verbs do for one caller."""

    @proves("R-90", "holds")
    async def test_what_was_put_is_taken_once(self, store: OneTimeStore) -> None:
        """Afterwards it is gone, and the key is free again."""
        assert await put(store)
        assert await put(store, b"other", "another")
        assert [await store.take(b"key", now=NOW + 99.75) for _ in range(2)] == ["value", None]
        assert await store.take(b"other", now=NOW) == "another"
        assert await put(store, value="next")
        assert await store.take(b"key", now=NOW) == "next"

    async def test_a_value_that_has_expired_gives_its_key_free(self, store: OneTimeStore) -> None:
        """Whether or not it was purged; an end that is now has passed."""
        assert await put(store)
        assert await put(store, value="next", now=NOW + 100)
        assert await store.take(b"key", now=NOW + 199.75) == "next"

    @proves("R-93", "holds")
    @pytest.mark.parametrize("text", HOSTILE)
    async def test_hostile_keys_and_values_come_back_as_they_are(self, store: OneTimeStore, text: str) -> None:
        """Byte for byte and letter for letter; a key finds its own value alone."""
        assert await put(store)
        assert await store.take(text.encode(), now=NOW) is None
        assert await put(store, text.encode(), text)
        assert await put(store, text.encode() + b"\x00\xff", "another")
        assert await store.take(text.encode(), now=NOW) == text
        assert await store.take(b"key", now=NOW) == "value"

    @proves("R-93", "holds")
    async def test_values_that_are_over_are_purged_in_batches(self, store: OneTimeStore) -> None:
        """Each call deletes at most its limit; an end that is now has passed; what lives stays."""
        for number in range(5):
            await store.put(b"over %d" % number, "", expires_at=NOW + 1 + number, now=NOW)
        await store.put(b"live", "value", expires_at=NOW + 5.25, now=NOW)
        assert [await store.purge(now=NOW + 5, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert await store.take(b"over 4", now=NOW) is None
        assert await store.take(b"live", now=NOW) == "value"


class OneTimeStoreRefuses(_WithStore):
    """What the verbs refuse."""

    @proves("R-90", "refuses")
    async def test_the_first_writer_wins(self, store: OneTimeStore) -> None:
        """The second is told so, and changes neither the value nor its end."""
        assert await put(store)
        assert not await store.put(b"key", "other", expires_at=NOW + 9000, now=NOW + 99.75)
        assert await store.take(b"key", now=NOW + 99.75) == "value"
        assert await put(store)
        assert not await store.put(b"key", "other", expires_at=NOW + 9000, now=NOW)
        assert await store.take(b"key", now=NOW + 100) is None

    @proves("R-90", "refuses")
    async def test_a_value_that_has_expired_is_given_to_nobody(self, store: OneTimeStore) -> None:
        """An end that is now has passed. Who asks too late leaves nothing to a clock that is behind."""
        await put(store)
        assert await store.take(b"key", now=NOW + 100) is None
        assert await store.take(b"key", now=NOW) is None

    async def test_an_unknown_key_is_none(self, store: OneTimeStore) -> None:
        """No prefix, no longer key, no other case is the same key."""
        await put(store)
        for key in (b"", b"ke", b"keys", b"KEY", b"key\x00"):
            assert await store.take(key, now=NOW) is None
        assert await store.take(b"key", now=NOW) == "value"


class OneTimeStoreRaces(_WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-90", "holds")
    @pytest.mark.parametrize("before", [False, True], ids=["a new key", "a key whose value has expired"])
    async def test_of_many_writers_of_one_key_one_wins(self, store: OneTimeStore, before: bool) -> None:
        """32 tasks, 1 value."""
        if before:
            await store.put(b"key", "over", expires_at=NOW, now=NOW - 1)
        won = await together(put(store, value=f"value {number}") for number in range(32))
        assert sum(won) == 1
        assert await store.take(b"key", now=NOW) == f"value {won.index(True)}"

    @proves("R-90", "holds")
    async def test_of_many_takers_of_one_value_one_gets_it(self, store: OneTimeStore) -> None:
        """32 tasks: 1 value, 31 times nothing."""
        await put(store)
        taken = await together(store.take(b"key", now=NOW) for _ in range(32))
        assert sorted(taken, key=str) == [None] * 31 + ["value"]

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: OneTimeStore) -> None:
        """1,000 calls cancelled at random awaits; the next caller gets the value it asked for."""

        async def put_and_take(number: int) -> None:
            name = f"{number} {id(asyncio.current_task())}"
            assert await put(store, name.encode(), name)
            assert await store.take(name.encode(), now=NOW) == name

        await cancel_at_random(put_and_take, 1_000)


class OneTimeStoreContract(OneTimeStoreDoes, OneTimeStoreRefuses, OneTimeStoreRaces):
    """Everything every ``OneTimeStore`` promises."""


class SharedOneTimeStoreContract:
    """What a ``OneTimeStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "refuses")
    async def test_a_restart_revives_nothing(self, opened: Opened[OneTimeStore]) -> None:
        """What was taken stays taken, and what is there is there to the next instance."""
        async with opened() as store:
            await put(store)
            await put(store, b"taken")
            await store.take(b"taken", now=NOW)
        async with opened() as store:
            assert await store.take(b"taken", now=NOW) is None
            assert not await put(store)
            assert await store.take(b"key", now=NOW) == "value"

    @proves("R-90", "holds")
    async def test_of_writers_and_of_takers_in_several_processes_one_wins(self, opened: Opened[OneTimeStore]) -> None:
        """2 processes with 8 tasks each, 10 keys: 1 writer and then 1 taker of each."""
        for job in (put_all, take_all):
            won = await in_processes(opened, job, [("one",), ("two",)])
            assert [sum(column) for column in zip(*won, strict=True)] == [1] * 10

    @proves("R-90", "refuses")
    async def test_a_writer_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[OneTimeStore]]]
    ) -> None:
        """The second with the same key answers only afterwards, and is refused."""
        async with held_open() as held:
            first = await held.begin(put(held.first, value="first"))
            second = asyncio.create_task(put(held.second, value="second"))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)
            assert await held.second.take(b"key", now=NOW) == "first"

    @proves("R-90", "refuses")
    async def test_a_taker_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[OneTimeStore]]]
    ) -> None:
        """It finds nothing afterwards."""
        async with held_open() as held:
            await put(held.second)
            first = await held.begin(held.first.take(b"key", now=NOW))
            second = asyncio.create_task(held.second.take(b"key", now=NOW))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == ("value", None)


async def put_all(store: OneTimeStore, process: str) -> list[int]:
    """Put ten keys, eight times each at once; how many won of each."""
    return [
        sum(await together(put(store, b"key %d" % number, f"{process} {task}") for task in range(8)))
        for number in range(10)
    ]


async def take_all(store: OneTimeStore, process: str) -> list[int]:
    """Take ten keys, eight times each at once; how many got a value of each."""
    return [
        sum(value is not None for value in await together(store.take(b"key %d" % number, now=NOW) for _ in range(8)))
        for number in range(10)
    ]
