"""What an ``APIKeyStore`` refuses."""

from typing import Any

import pytest

from asgi_auth.api_keys import APIKeyStore
from asgi_auth.testing.contract.accounts import HOSTILE
from asgi_auth.testing.contract.api_keys.programs import NOW, WithStore, a_key, rotate, store_all
from asgi_auth.testing.contract.races import proves

__all__ = ["APIKeyStoreRefuses"]


class APIKeyStoreRefuses(WithStore):
    """What the verbs refuse."""

    async def test_an_unknown_key_is_none(self, store: APIKeyStore) -> None:
        """No verb makes one."""
        await store_all(store, a_key("other"))
        assert await store.get("key-1") is None
        assert await store.revoke("key-1", subject=None, now=NOW) is None
        assert not await rotate(store)
        await store.record_use("key-1", at=NOW)
        assert await store.list("subject-1") == (a_key("other"),)

    @proves("R-34", "refuses")
    async def test_an_id_that_is_taken_is_never_overwritten(self, store: APIKeyStore) -> None:
        """Also where the key that has it is over, and by another subject."""
        await store_all(store, a_key(), a_key("over", revoked_at=NOW))
        for key_id in ("key-1", "over"):
            assert not await store.create(a_key(key_id, subject="subject-2"), keys_per_subject=100, now=NOW)
        assert await store.get("key-1") == a_key()
        assert await store.get("over") == a_key("over", revoked_at=NOW)

    @proves("R-35", "refuses")
    @pytest.mark.parametrize("limit", [0, 1, 2])
    async def test_beyond_the_limit_nothing_is_stored(self, store: APIKeyStore, limit: int) -> None:
        """Also where the limit was lowered below what there is; another subject has a limit of its own."""
        await store_all(store, a_key(), a_key("key-2"))
        assert not await store.create(a_key("key-3"), keys_per_subject=limit, now=NOW)
        assert await store.get("key-3") is None
        assert await store.create(a_key("other", subject="subject-2"), keys_per_subject=1, now=NOW)

    @proves("R-36", "refuses")
    async def test_nobody_touches_the_key_of_another(self, store: APIKeyStore) -> None:
        """It is neither revoked nor rotated, and the answer is that of an unknown one."""
        await store_all(store, a_key())
        assert await store.revoke("key-1", subject="subject-2", now=NOW) is None
        assert await store.revoke("key-1", subject="", now=NOW) is None
        assert not await rotate(store, key=a_key(subject="subject-2"))
        assert await store.get("key-1") == a_key()
        assert await store.get("key-2") is None

    @proves("R-35", "refuses")
    @pytest.mark.parametrize(
        "over",
        [{"revoked_at": NOW}, {"revoked_at": NOW + 99}, {"expires_at": NOW + 10}, {"successor_id": "key-9"}],
        ids=["revoked", "revoked by a clock ahead", "expired", "rotated before"],
    )
    async def test_a_key_that_is_over_or_was_rotated_is_not_rotated(
        self, store: APIKeyStore, over: dict[str, Any]
    ) -> None:
        """It is left as it is, and no successor is stored."""
        await store_all(store, a_key(**over))
        assert not await rotate(store)
        assert await store.get("key-1") == a_key(**over)
        assert await store.get("key-2") is None

    @proves("R-34", "refuses")
    @pytest.mark.parametrize("taken", ["key-1", "key-2"])
    async def test_a_successor_never_takes_an_id(self, store: APIKeyStore, taken: str) -> None:
        """Neither that of a third nor that of the key itself; nothing happens."""
        await store_all(store, a_key(), a_key("key-2", subject="subject-2"))
        assert not await rotate(store, taken)
        assert await store.get("key-1") == a_key()
        assert await store.get("key-2") == a_key("key-2", subject="subject-2")

    @proves("R-93", "refuses")
    @pytest.mark.parametrize("text", HOSTILE)
    async def test_hostile_text_is_text(self, store: APIKeyStore, text: str) -> None:
        """It finds nothing, and stored it comes back letter for letter."""
        await store_all(store, a_key())
        assert await store.get(text) is None
        assert await store.list(text) == ()
        assert await store.revoke(text, subject=text, now=NOW) is None
        assert not await rotate(store, text, key=a_key(text, subject=text))
        await store.record_use(text, at=NOW)
        hostile = a_key(text, subject=text, name=text, scopes=frozenset({text}))
        await store_all(store, hostile)
        assert await store.list(text) == (await store.get(text),) == (hostile,)
        assert await store.get("key-1") == a_key()
