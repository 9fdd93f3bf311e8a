"""What a ``RevocationStore`` promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from asgi_auth.revocations import Cursor, Revocation, RevocationKind, RevocationStore
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together

__all__ = ["RevocationStoreContract", "SharedRevocationStoreContract"]

NOW = 1_800_000_000.25


def a_revocation(id: str, kind: RevocationKind = RevocationKind.TOKEN, until: float = NOW + 900) -> Revocation:
    """A revocation without an epoch."""
    return Revocation(kind=kind, id=id, epoch=None, until=until)


async def revoke(store: RevocationStore, *items: Revocation) -> None:
    """Revoke each, in order."""
    for item in items:
        await store.revoke(item.kind, item.id, epoch=item.epoch, until=item.until)


class _WithStore:
    @pytest.fixture
    async def store(self, opened: Opened[RevocationStore]) -> AsyncIterator[RevocationStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store


class RevocationStoreDoes(_WithStore):
    """What the verbs do for one caller."""

    async def test_a_store_says_how_often_to_ask(self, store: RevocationStore) -> None:
        """Some seconds, more than none."""
        assert 0 < store.poll_interval < 60

    async def test_the_first_question_is_answered_with_everything(self, store: RevocationStore) -> None:
        """Without a cursor the whole live set comes, of every kind, in order; an empty store has one too."""
        empty = await store.changes_since(None)
        assert (empty.items, empty.restart) == ((), True)
        items = [a_revocation("ü' --", kind) for kind in RevocationKind]
        await revoke(store, *items)
        assert list((await store.changes_since(None)).items) == items

    async def test_a_reader_gets_each_change_once_and_in_order(self, store: RevocationStore) -> None:
        """And nothing where nothing changed."""
        start = await store.changes_since(None)
        await revoke(store, a_revocation("a"), a_revocation("b"))
        first = await store.changes_since(start.cursor)
        await revoke(store, a_revocation("c"))
        second = await store.changes_since(first.cursor)
        third = await store.changes_since(second.cursor)
        assert [[item.id for item in changes.items] for changes in (first, second, third)] == [["a", "b"], ["c"], []]
        assert not any(changes.restart for changes in (first, second, third))
        assert second.cursor == third.cursor

    @pytest.mark.parametrize(("first", "second", "kept"), [(3, 5, 5), (5, 3, 5), (None, 3, 3), (3, None, 3)])
    async def test_of_epoch_and_end_the_greater_is_kept(
        self, store: RevocationStore, first: int | None, second: int | None, kept: int
    ) -> None:
        """An extended revocation appears once, behind what came in between."""
        start = await store.changes_since(None)
        item = a_revocation("s", RevocationKind.SUBJECT)
        await revoke(store, replace(item, epoch=first), a_revocation("between"))
        await revoke(store, replace(item, epoch=second, until=NOW + 100))
        expected = (a_revocation("between"), replace(item, epoch=kept))
        assert (await store.changes_since(start.cursor)).items == expected
        await revoke(store, replace(item, epoch=0, until=NOW + 5000))
        assert (await store.changes_since(None)).items[-1] == replace(item, epoch=kept, until=NOW + 5000)

    async def test_one_id_of_two_kinds_is_two_revocations(self, store: RevocationStore) -> None:
        """A token's end says nothing of a session that has the same id."""
        await revoke(store, a_revocation("x"), a_revocation("x", RevocationKind.SESSION))
        assert len((await store.changes_since(None)).items) == 2

    @proves("R-93", "holds")
    async def test_what_is_over_is_purged_in_batches(self, store: RevocationStore) -> None:
        """Each call deletes at most its limit; an end that is now has passed; what lives stays."""
        await revoke(store, *(a_revocation(f"over-{number}", until=NOW + number) for number in range(5)))
        await revoke(store, a_revocation("live", until=NOW + 4.25))
        assert [await store.purge(now=NOW + 4, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert [item.id for item in (await store.changes_since(None)).items] == ["live"]


class RevocationStoreRefuses(_WithStore):
    """Which cursors are not followed."""

    @proves("R-91", "refuses")
    async def test_a_cursor_of_another_feed_starts_again(self, store: RevocationStore) -> None:
        """Whatever its number, even one that this feed has reached."""
        await revoke(store, a_revocation("a"), a_revocation("b"))
        cursor = (await store.changes_since(None)).cursor
        changes = await store.changes_since(replace(cursor, feed_id="another"))
        assert changes.restart
        assert [item.id for item in changes.items] == ["a", "b"]
        assert changes.cursor == cursor

    @proves("R-91", "refuses")
    async def test_a_cursor_ahead_of_the_head_starts_again(self, store: RevocationStore) -> None:
        """The store was set back, so what the reader knows may never have been."""
        await revoke(store, a_revocation("a"))
        cursor = (await store.changes_since(None)).cursor
        changes = await store.changes_since(replace(cursor, number=cursor.number + 1))
        assert (changes.restart, changes.cursor) == (True, cursor)
        assert [item.id for item in changes.items] == ["a"]

    @proves("R-91", "refuses")
    async def test_a_cursor_before_what_was_purged_starts_again(self, store: RevocationStore) -> None:
        """A reader that saw all that was purged goes on; one that did not gets everything, also what it knew."""
        await revoke(store, a_revocation("known"))
        old = (await store.changes_since(None)).cursor
        await revoke(store, a_revocation("over", until=NOW), a_revocation("live"))
        followed = (await store.changes_since(old)).cursor
        await store.purge(now=NOW, limit=10)
        changes = await store.changes_since(old)
        assert changes.restart
        assert [item.id for item in changes.items] == ["known", "live"]
        assert await store.changes_since(followed) == replace(changes, items=(), restart=False)

    @proves("R-32", "refuses")
    async def test_a_number_is_never_given_twice(self, store: RevocationStore) -> None:
        """Also after the newest change was purged: a reader at the head still sees what comes next."""
        await revoke(store, a_revocation("over", until=NOW))
        head = (await store.changes_since(None)).cursor
        await store.purge(now=NOW, limit=10)
        await revoke(store, a_revocation("next"))
        changes = await store.changes_since(head)
        assert changes.cursor.number > head.number
        assert [item.id for item in changes.items] == ["next"]


class RevocationStoreRaces(_WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-90", "holds")
    async def test_a_reader_misses_nothing_while_others_write(self, store: RevocationStore) -> None:
        """Eight writers; every revocation is seen, whoever commits first."""
        writers = asyncio.gather(*(write_many(store, f"writer-{number}", 10) for number in range(8)))
        assert await follow(store, 80) == {f"writer-{writer} {number}" for writer in range(8) for number in range(10)}
        await writers

    @proves("R-90", "holds")
    async def test_of_many_epochs_at_once_the_greatest_stays(self, store: RevocationStore) -> None:
        """One revocation of the subject remains, whatever the order."""
        epochs = [5, 1, 9, 3, 7]
        await together(store.revoke(RevocationKind.SUBJECT, "s", epoch=epoch, until=NOW + epoch) for epoch in epochs)
        (item,) = (await store.changes_since(None)).items
        assert (item.epoch, item.until) == (9, NOW + 9)

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: RevocationStore) -> None:
        """Calls of several statements cancelled at random awaits; the next revocation is whole and seen."""

        async def revoke_and_look(number: int) -> None:
            before = (await store.changes_since(None)).cursor
            await revoke(store, a_revocation(f"token-{number}"))
            assert f"token-{number}" in {item.id for item in (await store.changes_since(before)).items}

        await cancel_at_random(revoke_and_look, 200)


class RevocationStoreContract(RevocationStoreDoes, RevocationStoreRefuses, RevocationStoreRaces):
    """Everything every ``RevocationStore`` promises."""


class SharedRevocationStoreContract:
    """What a ``RevocationStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "holds")
    async def test_a_feed_goes_on_after_a_restart(self, opened: Opened[RevocationStore]) -> None:
        """The cursor of a reader is good for the next instance, and nothing is missed in between."""
        async with opened() as store:
            await revoke(store, a_revocation("a"))
            cursor = (await store.changes_since(None)).cursor
            await revoke(store, a_revocation("b"))
        async with opened() as store:
            changes = await store.changes_since(cursor)
            assert ([item.id for item in changes.items], changes.restart) == (["b"], False)

    @proves("R-90", "holds")
    async def test_a_reader_misses_nothing_that_other_processes_write(self, opened: Opened[RevocationStore]) -> None:
        """A process that follows sees each change of two that write, and restarts at the beginning only."""
        everything = {f"{process} {number}" for process in ("one", "two") for number in range(40)}
        shares = [("reader", 80), ("one", 40), ("two", 40)]
        assert (await in_processes(opened, read_or_write, shares))[0] == everything

    @proves("R-90", "refuses")
    async def test_a_change_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[RevocationStore]]]
    ) -> None:
        """A higher number is never seen while a lower one may still come."""
        async with held_open() as held:
            start: Cursor = (await held.second.changes_since(None)).cursor
            first = await held.begin(revoke(held.first, a_revocation("first")))
            second = asyncio.create_task(revoke(held.second, a_revocation("second")))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            assert (await held.second.changes_since(start)).items == ()
            held.commit()
            await together([first, second])
            assert [item.id for item in (await held.second.changes_since(start)).items] == ["first", "second"]


async def write_many(store: RevocationStore, writer: str, count: int) -> set[str]:
    """Revoke so many tokens, one after the other."""
    await revoke(store, *(a_revocation(f"{writer} {number}") for number in range(count)))
    return set()


async def follow(store: RevocationStore, count: int) -> set[str]:
    """Follow the feed from its beginning until so many were seen; what was seen."""
    changes = await store.changes_since(None)
    seen = [item.id for item in changes.items]
    while len(seen) < count:
        changes = await store.changes_since(changes.cursor)
        assert not changes.restart
        seen += [item.id for item in changes.items]
        await asyncio.sleep(0)
    assert len(seen) == len(set(seen))
    return set(seen)


async def read_or_write(store: RevocationStore, role: str, count: int) -> set[str]:
    """What one of several processes does."""
    return await (follow(store, count) if role == "reader" else write_many(store, role, count))
