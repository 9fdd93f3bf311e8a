"""What a ``SessionStore`` refuses."""

from typing import Any

import pytest

from asgi_auth.sessions import SessionStore
from asgi_auth.testing.contract.accounts import HOSTILE
from asgi_auth.testing.contract.races import proves
from asgi_auth.testing.contract.sessions.browsers import NOW, WithStore, a_session, digest, renew, store_all

__all__ = ["SessionStoreRefuses"]


class SessionStoreRefuses(WithStore):
    """What the verbs refuse."""

    @proves("R-38", "refuses")
    async def test_an_unknown_id_is_never_adopted(self, store: SessionStore) -> None:
        """Every verb finds nothing, and there is nothing afterwards."""
        await store_all(store, a_session("session-2"))
        assert await store.get("session-1") is None
        assert not await store.save("session-1", version=7, data="{}", now=NOW)
        await store.touch("session-1", last_seen_at=NOW, idle_expires_at=NOW + 1, now=NOW)
        assert not await renew(store, a_session())
        assert not await renew(store, a_session(), session_id="session-3")
        assert not await store.delete("session-1", subject="subject-1")
        assert [await store.get(session_id) for session_id in ("session-1", "session-3")] == [None, None]
        assert await store.list("subject-1", now=NOW) == (a_session("session-2"),)

    @proves("R-38", "refuses")
    async def test_an_id_that_is_taken_is_never_overwritten(self, store: SessionStore) -> None:
        """Also where the session that has it is over."""
        await store_all(store, a_session(), a_session("over", expires_at=NOW))
        for session_id in ("session-1", "over"):
            assert not await store.create(a_session(session_id, subject="subject-2", data="{}"))
        assert await store.get("session-1") == a_session()
        assert await store.get("over") == a_session("over", expires_at=NOW)

    @proves("R-47", "refuses")
    @pytest.mark.parametrize("version", [6, 8, 0, -1])
    async def test_a_save_of_another_version_is_refused(self, store: SessionStore, version: int) -> None:
        """Whoever read before somebody else wrote does not write over it."""
        await store_all(store, a_session())
        assert not await store.save("session-1", version=version, data="{}", now=NOW)
        assert await store.get("session-1") == a_session()

    @proves("R-47", "refuses")
    @pytest.mark.parametrize("how", ["delete", "delete_all", "revoke_subject", "purge"])
    async def test_nothing_brings_back_what_was_deleted(self, store: SessionStore, how: str) -> None:
        """Neither a save, a use nor a replacement by whoever read it before."""
        await store_all(store, a_session())
        if how == "delete":
            await store.delete("session-1", subject="subject-1")
        elif how == "delete_all":
            await store.delete_all("subject-1", keep=None)
        elif how == "revoke_subject":
            await store.revoke_subject("subject-1", below_epoch=4, now=NOW)
        else:
            await store.purge(now=NOW + 1000, limit=10)
        assert not await store.save("session-1", version=7, data="{}", now=NOW)
        await store.touch("session-1", last_seen_at=NOW, idle_expires_at=NOW + 2000, now=NOW)
        assert not await renew(store, a_session(), secret_digest=digest("new"))
        assert await store.get("session-1") is None
        assert await store.list("subject-1", now=NOW) == ()

    @proves("R-40", "refuses")
    @pytest.mark.parametrize("over", [{"expires_at": NOW + 9}, {"idle_expires_at": NOW + 9}], ids=["absolute", "idle"])
    async def test_a_session_that_is_over_is_left_as_it_is(self, store: SessionStore, over: dict[str, Any]) -> None:
        """An end that is now has passed: no save, no use and no replacement makes it live again."""
        await store_all(store, a_session(**over))
        assert not await store.save("session-1", version=7, data="{}", now=NOW + 9)
        await store.touch("session-1", last_seen_at=NOW + 9, idle_expires_at=NOW + 1009, now=NOW + 9)
        assert not await renew(store, a_session(**over), now=NOW + 9, expires_at=NOW + 9000)
        assert not await renew(store, a_session(**over), now=NOW + 9, session_id="session-2", expires_at=NOW + 9000)
        assert await store.get("session-1") == a_session(**over)
        assert await store.get("session-2") is None

    @proves("R-39", "refuses")
    @pytest.mark.parametrize(
        "wrong",
        [
            {"session_id": "session-2"},
            {"secret_digest": digest("guess")},
            {"secret_digest": b""},
            {"version": 6},
            {"session_id": "' OR '1'='1"},
        ],
        ids=["another id", "another secret", "no secret", "another version", "hostile id"],
    )
    async def test_a_replacement_by_a_stranger_or_of_old_data_is_refused(
        self, store: SessionStore, wrong: dict[str, Any]
    ) -> None:
        """Id, secret and version must all be the stored ones."""
        await store_all(store, a_session())
        assert not await renew(store, a_session(**wrong), session_id="session-1", secret_digest=digest("new"))
        assert not await renew(store, a_session(**wrong), session_id="session-3")
        assert await store.get("session-1") == a_session()
        assert await store.get("session-3") is None

    @proves("R-39", "refuses")
    async def test_the_replaced_is_dead_at_once(self, store: SessionStore) -> None:
        """Its secret replaces nothing a second time, and its version saves nothing."""
        await store_all(store, a_session())
        assert await renew(store, a_session(), secret_digest=digest("new"))
        renewed = a_session(secret_digest=digest("new"), version=8)
        assert not await renew(store, a_session(), secret_digest=digest("X"))
        assert not await renew(store, a_session(version=8), secret_digest=digest("X"))
        assert not await store.save("session-1", version=7, data="{}", now=NOW + 10)
        assert await store.get("session-1") == renewed
        assert await renew(store, renewed, session_id="session-2")
        assert not await renew(store, renewed, session_id="session-3")
        assert not await store.save("session-1", version=8, data="{}", now=NOW + 10)
        assert await store.get("session-1") is await store.get("session-3") is None

    @proves("R-39", "refuses")
    async def test_a_replacement_never_takes_the_id_of_a_third(self, store: SessionStore) -> None:
        """Both sessions stay as they are."""
        await store_all(store, a_session(), a_session("session-2"))
        assert not await renew(store, a_session(), session_id="session-2")
        assert await store.get("session-1") == a_session()
        assert await store.get("session-2") == a_session("session-2")

    @proves("R-46", "refuses")
    @pytest.mark.parametrize(("owner", "other"), [("subject-1", "subject-2"), ("subject-1", None), (None, "subject-1")])
    async def test_nobody_deletes_the_session_of_another(
        self, store: SessionStore, owner: str | None, other: str | None
    ) -> None:
        """Whoever is signed in, or nobody."""
        await store_all(store, a_session(subject=owner))
        assert not await store.delete("session-1", subject=other)
        assert await store.get("session-1") == a_session(subject=owner)

    @proves("R-93", "refuses")
    @pytest.mark.parametrize("text", HOSTILE)
    async def test_hostile_text_is_text(self, store: SessionStore, text: str) -> None:
        """It finds nothing, and stored it comes back letter for letter."""
        await store_all(store, a_session())
        assert await store.get(text) is None
        assert await store.list(text, now=NOW) == ()
        assert not await store.delete(text, subject=text)
        assert await store.delete_all(text, keep=text) == ()
        assert await store.revoke_subject(text, below_epoch=9, now=NOW) == 0
        hostile = a_session(text, subject=text, roles=frozenset({text}), device=text, data=text)
        await store_all(store, hostile)
        assert await store.get(text) == hostile
        assert await store.save(text, version=7, data=text, now=NOW)
        assert await store.delete_all(text, keep=None) == (text,)
        assert await store.get("session-1") == a_session()
