"""What a ``SessionStore`` does for one caller."""

from typing import Any

import pytest

from asgi_auth.sessions import Session, SessionStore
from asgi_auth.testing.contract.races import proves
from asgi_auth.testing.contract.sessions.browsers import NOW, WithStore, a_session, digest, renew, store_all

__all__ = ["SessionStoreDoes"]


class SessionStoreDoes(WithStore):
    """What the verbs do for one caller."""

    @pytest.mark.parametrize(
        "session",
        [
            a_session(),
            a_session(subject=None, epoch=0, roles=frozenset(), authenticated_at=None, device="", data="{}", version=0),
        ],
        ids=["full", "bare"],
    )
    async def test_a_session_comes_back_as_it_was_stored(self, store: SessionStore, session: Session) -> None:
        """Every field equal; nobody and somebody are two things."""
        assert await store.create(session)
        assert await store.get("session-1") == session

    @proves("R-47", "holds")
    async def test_a_save_writes_the_data_and_raises_the_version(self, store: SessionStore) -> None:
        """Nothing else changes, and the next save needs the new version."""
        await store_all(store, a_session(), a_session("session-2"))
        assert await store.save("session-1", version=7, data='{"a":1}', now=NOW)
        assert await store.save("session-1", version=8, data='{"a":2}', now=NOW)
        assert await store.get("session-1") == a_session(data='{"a":2}', version=9)
        assert await store.get("session-2") == a_session("session-2")

    @proves("R-40", "holds")
    async def test_a_use_moves_the_idle_end_and_leaves_the_version(self, store: SessionStore) -> None:
        """A save that read the session before loses nothing by it."""
        await store_all(store, a_session())
        await store.touch("session-1", last_seen_at=NOW + 60, idle_expires_at=NOW + 1060, now=NOW + 60)
        assert await store.get("session-1") == a_session(last_seen_at=NOW + 60, idle_expires_at=NOW + 1060)
        assert await store.save("session-1", version=7, data="{}", now=NOW + 60)

    async def test_stored_times_never_move_back(self, store: SessionStore) -> None:
        """Of each instant the greater is kept, also where the caller's clock is behind another's."""
        await store_all(store, a_session())
        await store.touch("session-1", last_seen_at=NOW - 1, idle_expires_at=NOW + 1060, now=NOW)
        await store.touch("session-1", last_seen_at=NOW + 1, idle_expires_at=NOW + 1, now=NOW)
        assert await store.get("session-1") == a_session(last_seen_at=NOW + 1, idle_expires_at=NOW + 1060)

    @proves("R-40", "holds")
    async def test_no_use_passes_the_end_of_the_session(self, store: SessionStore) -> None:
        """The idle end is cut at the absolute one."""
        await store_all(store, a_session())
        await store.touch("session-1", last_seen_at=NOW, idle_expires_at=NOW + 9000, now=NOW)
        assert await store.get("session-1") == a_session(idle_expires_at=NOW + 5000)

    @proves("R-39", "holds")
    async def test_a_replacement_may_keep_the_id(self, store: SessionStore) -> None:
        """Every other field is the new one's, and the old secret is nobody's."""
        await store_all(store, a_session(subject=None, authenticated_at=None))
        new = a_session(secret_digest=digest("new"), version=8, data='{"kept":true}', created_at=NOW + 10)
        assert await store.replace(
            "session-1", secret_digest=a_session().secret_digest, version=7, new=new, now=NOW + 10
        )
        assert await store.get("session-1") == new

    @proves("R-39", "holds")
    async def test_a_replacement_may_have_an_id_of_its_own(self, store: SessionStore) -> None:
        """The old id is unknown from then on."""
        await store_all(store, a_session())
        assert await renew(store, a_session(), session_id="session-2", subject="subject-2")
        assert await store.get("session-1") is None
        assert await store.get("session-2") == a_session(
            session_id="session-2", secret_digest=a_session().secret_digest, subject="subject-2", version=8
        )

    @proves("R-46", "holds")
    async def test_the_live_sessions_of_a_subject_are_listed_the_newest_first(self, store: SessionStore) -> None:
        """Not those of others or of nobody, and none whose time is over."""
        mine = [a_session(name, created_at=NOW + age) for name, age in (("b", 1), ("c", 1), ("a", 2))]
        await store_all(
            store,
            *mine,
            a_session("other", subject="subject-2"),
            a_session("nobody", subject=None),
            a_session("idle", idle_expires_at=NOW + 3),
            a_session("over", expires_at=NOW + 3),
        )
        assert [session.session_id for session in await store.list("subject-1", now=NOW + 3)] == ["a", "c", "b"]
        assert await store.list("subject-2", now=NOW + 3) == (a_session("other", subject="subject-2"),)
        assert await store.list("subject-3", now=NOW + 3) == ()

    @proves("R-46", "holds")
    @pytest.mark.parametrize("subject", ["subject-1", None])
    async def test_a_session_is_deleted_once(self, store: SessionStore, subject: str | None) -> None:
        """Somebody's, or nobody's; also one whose time is over."""
        await store_all(store, a_session(subject=subject), a_session("over", subject=subject, expires_at=NOW))
        for session_id in ("session-1", "over"):
            assert await store.delete(session_id, subject=subject)
            assert await store.get(session_id) is None
            assert not await store.delete(session_id, subject=subject)

    @proves("R-46", "holds")
    @pytest.mark.parametrize(("keep", "deleted"), [("a", ["b", "c"]), (None, ["a", "b", "c"]), ("x", ["a", "b", "c"])])
    async def test_all_sessions_of_a_subject_but_one_are_deleted(
        self, store: SessionStore, keep: str | None, deleted: list[str]
    ) -> None:
        """Those of others and of nobody stay, and an id to keep that is another's keeps nothing."""
        await store_all(store, *(a_session(name) for name in "abc"))
        await store_all(store, a_session("x", subject="subject-2"), a_session("y", subject=None))
        assert sorted(await store.delete_all("subject-1", keep=keep)) == deleted
        left = [name for name in "abcxy" if await store.get(name) is not None]
        assert left == [name for name in "abcxy" if name not in deleted]
        assert await store.delete_all("subject-1", keep=keep) == ()

    @proves("R-46", "holds")
    async def test_the_sessions_below_an_epoch_are_deleted_together(self, store: SessionStore) -> None:
        """All of them, of which the live ones are counted; not those of the epoch itself, of others, of nobody."""
        sessions: dict[str, dict[str, Any]] = {
            "low": {"epoch": 1},
            "lower": {"epoch": 0},
            "at": {"epoch": 2},
            "other": {"epoch": 1, "subject": "subject-2"},
            "nobody": {"epoch": 0, "subject": None},
            "over": {"epoch": 1, "expires_at": NOW + 1},
            "idle": {"epoch": 1, "idle_expires_at": NOW + 1},
        }
        await store_all(store, *(a_session(name, **state) for name, state in sessions.items()))
        assert await store.revoke_subject("subject-1", below_epoch=2, now=NOW + 1) == 2
        assert await store.revoke_subject("subject-1", below_epoch=2, now=NOW + 1) == 0
        assert [name for name in sessions if await store.get(name)] == ["at", "other", "nobody"]

    @proves("R-93", "holds")
    async def test_sessions_that_are_over_are_purged_in_batches(self, store: SessionStore) -> None:
        """Whichever end came first; each call deletes at most its limit; an end that is now has passed."""
        over = [a_session(f"over-{number}", expires_at=NOW + number) for number in range(3)]
        idle = [a_session(f"idle-{number}", idle_expires_at=NOW + number) for number in range(3)]
        live = [a_session("live", idle_expires_at=NOW + 2.25), a_session("too", expires_at=NOW + 2.25)]
        await store_all(store, *over, *idle, *live)
        assert [await store.purge(now=NOW + 2, limit=4) for _ in range(3)] == [4, 2, 0]
        assert [await store.get(session.session_id) for session in (*over, *idle)] == [None] * 6
        assert [await store.get(session.session_id) for session in live] == live

    async def test_a_session_that_is_over_is_found_until_it_is_purged(self, store: SessionStore) -> None:
        """What its end means is its reader's to say."""
        over = a_session(expires_at=NOW - 1, idle_expires_at=NOW - 1)
        await store_all(store, over)
        assert await store.get("session-1") == over
