"""What a ``SessionStore`` promises to callers that race, and to the next process."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from asgi_auth.sessions import SessionStore
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together
from asgi_auth.testing.contract.sessions.browsers import NOW, WithStore, a_session, digest, renew, store_all

__all__ = ["SessionStoreRaces", "SharedSessionStoreContract"]


class SessionStoreRaces(WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-38", "holds")
    async def test_of_many_sessions_with_one_id_one_is_stored(self, store: SessionStore) -> None:
        """24 tasks, 1 session."""
        sessions = [a_session(data=f"[{number}]") for number in range(24)]
        created = await together(store.create(session) for session in sessions)
        (winner,) = [session for session, won in zip(sessions, created, strict=True) if won]
        assert await store.get("session-1") == winner

    @proves("R-39", "holds")
    async def test_of_many_renewals_of_one_secret_one_wins(self, store: SessionStore) -> None:
        """24 tasks: 1 new secret, which is the winner's."""
        await store_all(store, a_session())
        won = await together(renew(store, a_session(), secret_digest=digest(f"new {number}")) for number in range(24))
        assert sum(won) == 1
        assert await store.get("session-1") == a_session(secret_digest=digest(f"new {won.index(True)}"), version=8)

    @proves("R-39", "holds")
    async def test_of_many_new_ids_for_one_session_one_lives(self, store: SessionStore) -> None:
        """24 tasks: 1 new id; the old one and 23 others are unknown."""
        await store_all(store, a_session())
        won = await together(renew(store, a_session(), session_id=f"new-{number}") for number in range(24))
        assert sum(won) == 1
        (survivor,) = await store.list("subject-1", now=NOW)
        assert survivor.session_id == f"new-{won.index(True)}"
        assert await store.get("session-1") is None

    @proves("R-47", "holds")
    async def test_of_many_saves_of_one_version_one_wins(self, store: SessionStore) -> None:
        """24 tasks, 1 change."""
        await store_all(store, a_session())
        won = await together(store.save("session-1", version=7, data=f"[{n}]", now=NOW) for n in range(24))
        assert sum(won) == 1
        assert await store.get("session-1") == a_session(data=f"[{won.index(True)}]", version=8)

    @proves("R-47", "holds")
    async def test_no_write_is_lost_where_the_losers_read_again(self, store: SessionStore) -> None:
        """12 tasks, 12 keys, 12 versions."""
        await store_all(store, a_session(data="{}", version=0))
        await together(set_key(store, "session-1", f"key-{number}") for number in range(12))
        session = await store.get("session-1")
        assert session is not None
        assert (len(json.loads(session.data)), session.version) == (12, 12)

    async def test_of_many_uses_the_latest_stays(self, store: SessionStore) -> None:
        """In whatever order they are noted."""
        await store_all(store, a_session())
        await together(
            store.touch("session-1", last_seen_at=NOW + at, idle_expires_at=NOW + 1000 + at, now=NOW)
            for at in (5, 1, 9, 3, 7)
        )
        assert await store.get("session-1") == a_session(last_seen_at=NOW + 9, idle_expires_at=NOW + 1009)

    @proves("R-46", "refuses")
    async def test_an_ending_and_any_write_at_once_leave_nothing_alive(self, store: SessionStore) -> None:
        """Whichever comes first, of one session and of all; a renewal under another id escapes neither."""
        for number in range(20):
            session = a_session(f"session-{number}")
            await store_all(store, session)
            ending = (
                store.revoke_subject("subject-1", below_epoch=9, now=NOW)
                if number % 2
                else store.delete_all("subject-1", keep=None)
            )
            await together(
                [
                    renew(store, session, session_id=f"new-{number}"),
                    ending,
                    store.save(session.session_id, version=7, data="{}", now=NOW),
                    store.touch(session.session_id, last_seen_at=NOW + 1, idle_expires_at=NOW + 1001, now=NOW),
                ]
            )
            assert await store.get(session.session_id) is await store.get(f"new-{number}") is None
        assert await store.list("subject-1", now=NOW) == ()

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: SessionStore) -> None:
        """1,000 calls cancelled at random awaits; the next caller gets the session it asked for."""
        await store_all(store, *(a_session(f"session-{number}") for number in range(16)))

        async def ask(number: int) -> None:
            session_id = f"session-{number % 16}"
            assert await store.get(session_id) == a_session(session_id)
            assert not await store.save(session_id, version=0, data="{}", now=NOW)

        await cancel_at_random(ask, 1_000)


class SharedSessionStoreContract:
    """What a ``SessionStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-32", "refuses")
    async def test_a_restart_revives_nothing(self, opened: Opened[SessionStore]) -> None:
        """What was saved is there; a deleted session and a replaced secret are as dead as before."""
        async with opened() as store:
            await store_all(store, a_session(), a_session("deleted"), a_session("renewed"))
            await store.save("session-1", version=7, data="{}", now=NOW)
            await store.delete("deleted", subject="subject-1")
            await renew(store, a_session("renewed"), secret_digest=digest("new"))
        async with opened() as store:
            assert await store.get("session-1") == a_session(data="{}", version=8)
            assert await store.get("deleted") is None
            assert not await renew(store, a_session("renewed"), secret_digest=digest("X"))
            assert await store.get("renewed") == a_session("renewed", secret_digest=digest("new"), version=8)

    @proves("R-39", "holds")
    async def test_of_renewals_in_several_processes_one_wins(self, opened: Opened[SessionStore]) -> None:
        """2 processes with 8 tasks each: each of 10 sessions has 1 new secret and is known by 1 new id."""
        async with opened() as store:
            await store_all(store, *(a_session(f"session-{number}") for number in range(10)))
        won = await in_processes(opened, renew_all, [("one",), ("two",)])
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * 10
        async with opened() as store:
            assert len(await store.list("subject-1", now=NOW)) == 10
            assert [await store.get(f"session-{number}") for number in range(10)] == [None] * 10

    @proves("R-47", "holds")
    async def test_no_write_of_several_processes_is_lost(self, opened: Opened[SessionStore]) -> None:
        """2 processes with 8 tasks each, 16 keys."""
        async with opened() as store:
            await store_all(store, a_session(data="{}"))
        await in_processes(opened, set_keys, [("one",), ("two",)])
        async with opened() as store:
            session = await store.get("session-1")
            assert session is not None
            assert json.loads(session.data) == {f"{name} {n}": True for name in ("one", "two") for n in range(8)}

    @proves("R-39", "refuses")
    async def test_a_renewal_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[SessionStore]]]
    ) -> None:
        """It decides over the row the first left, and is refused."""
        async with held_open() as held:
            await store_all(held.second, a_session())
            first = await held.begin(renew(held.first, a_session(), session_id="one"))
            second = asyncio.create_task(renew(held.second, a_session(), session_id="two"))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)
            assert [await held.second.get(session_id) for session_id in ("session-1", "two")] == [None, None]

    @proves("R-47", "refuses")
    async def test_a_save_waits_for_a_deletion_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[SessionStore]]]
    ) -> None:
        """And brings nothing back."""
        async with held_open() as held:
            await store_all(held.second, a_session())
            first = await held.begin(held.first.delete("session-1", subject="subject-1"))
            second = asyncio.create_task(held.second.save("session-1", version=7, data="{}", now=NOW))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, False)
            assert await held.second.get("session-1") is None

    @proves("R-46", "refuses")
    async def test_an_ending_waits_for_a_renewal_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[SessionStore]]]
    ) -> None:
        """And ends what that leaves, under whatever id."""
        async with held_open() as held:
            await store_all(held.second, a_session())
            first = await held.begin(renew(held.first, a_session(), session_id="new"))
            second = asyncio.create_task(held.second.delete_all("subject-1", keep=None))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert (await first, await second) == (True, ("new",))
            assert await held.second.get("new") is None


async def set_key(store: SessionStore, session_id: str, key: str) -> None:
    """Set one key of the data; read again as often as somebody else was faster."""
    saved = False
    while not saved:
        session = await store.get(session_id)
        assert session is not None
        data = json.dumps(json.loads(session.data) | {key: True})
        saved = await store.save(session_id, version=session.version, data=data, now=NOW)


async def set_keys(store: SessionStore, process: str) -> None:
    """Set eight keys of one session at once."""
    await together(set_key(store, "session-1", f"{process} {number}") for number in range(8))


async def renew_all(store: SessionStore, process: str) -> list[int]:
    """Renew ten sessions, eight times each at once; how many renewals of each won."""
    return [
        sum(
            await together(
                renew(store, a_session(f"session-{number}"), session_id=f"{process} {number} {task}")
                for task in range(8)
            )
        )
        for number in range(10)
    ]
