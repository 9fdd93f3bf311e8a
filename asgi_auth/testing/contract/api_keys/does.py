"""What an ``APIKeyStore`` does for one caller."""

import pytest

from asgi_auth.api_keys import APIKey, APIKeyStore
from asgi_auth.testing.contract.api_keys.programs import NOW, WithStore, a_key, rotate, store_all
from asgi_auth.testing.contract.races import proves

__all__ = ["APIKeyStoreDoes"]


class APIKeyStoreDoes(WithStore):
    """What the verbs do for one caller."""

    @proves("R-35", "holds")
    @pytest.mark.parametrize(
        "key",
        [
            a_key(expires_at=NOW + 9, last_used_at=NOW + 1, successor_id="key-2", revoked_at=NOW + 3),
            a_key(scopes=None, name=""),
            a_key(scopes=frozenset()),
        ],
        ids=["full", "bare", "without scopes"],
    )
    async def test_a_key_comes_back_as_it_was_stored(self, store: APIKeyStore, key: APIKey) -> None:
        """Every field equal; no scopes and all scopes are two things."""
        assert await store.create(key, keys_per_subject=1, now=NOW)
        assert await store.get("key-1") == key
        assert await store.list("subject-1") == (key,)

    async def test_the_keys_of_a_subject_are_listed_the_newest_first(self, store: APIKeyStore) -> None:
        """Live or not, and nobody else's."""
        mine = [
            a_key("b", created_at=NOW + 1),
            a_key("c", created_at=NOW + 1, revoked_at=NOW + 1),
            a_key("a", created_at=NOW + 2, expires_at=NOW + 2),
        ]
        await store_all(store, *mine, a_key("other", subject="subject-2"))
        assert await store.list("subject-1") == (mine[2], mine[1], mine[0])
        assert await store.list("subject-3") == ()

    @proves("R-35", "holds")
    async def test_only_live_keys_count_towards_the_limit(self, store: APIKeyStore) -> None:
        """A key that ended makes room, as does somebody else's; an end that is now has passed."""
        await store_all(
            store,
            a_key("revoked", revoked_at=NOW),
            a_key("over", expires_at=NOW + 5),
            a_key("other", subject="subject-2"),
            a_key("live", expires_at=NOW + 5.25),
        )
        assert await store.create(a_key("new"), keys_per_subject=2, now=NOW + 5)
        assert not await store.create(a_key("newer"), keys_per_subject=2, now=NOW + 5)

    @proves("R-35", "holds")
    @pytest.mark.parametrize("subject", ["subject-1", None], ids=["by its owner", "by an administrator"])
    async def test_a_key_is_revoked_once(self, store: APIKeyStore, subject: str | None) -> None:
        """The second time it is returned as the first time left it; nothing else changes."""
        await store_all(store, a_key(), a_key("key-2"))
        first = await store.revoke("key-1", subject=subject, now=NOW + 1)
        second = await store.revoke("key-1", subject=subject, now=NOW + 2)
        assert first == second == await store.get("key-1") == a_key(revoked_at=NOW + 1)
        assert await store.get("key-2") == a_key("key-2")

    @proves("R-35", "holds")
    @pytest.mark.parametrize(("before", "after"), [(None, 110), (500, 110), (50, 50)])
    async def test_a_rotated_key_lives_on_for_the_overlap(
        self, store: APIKeyStore, before: float | None, after: float
    ) -> None:
        """It names its successor and never lives longer than it would have."""
        await store_all(store, a_key(expires_at=None if before is None else NOW + before))
        assert await rotate(store)
        assert await store.get("key-1") == a_key(successor_id="key-2", expires_at=NOW + after)
        assert await store.get("key-2") == a_key("key-2")

    async def test_a_rotation_needs_no_room(self, store: APIKeyStore) -> None:
        """Whoever has as many keys as he may have can still change each; the next key waits for the overlap's end."""
        assert await store.create(a_key(), keys_per_subject=1, now=NOW)
        assert await rotate(store)
        assert not await store.create(a_key("key-3"), keys_per_subject=1, now=NOW + 110)
        assert await store.create(a_key("key-3"), keys_per_subject=2, now=NOW + 110)

    @proves("R-35", "holds")
    async def test_the_latest_use_is_kept(self, store: APIKeyStore) -> None:
        """Also where the caller's clock is behind another's; also of a key that ended meanwhile."""
        await store_all(store, a_key(revoked_at=NOW))
        seen = []
        for at in (NOW + 5, NOW + 3, NOW + 9):
            await store.record_use("key-1", at=at)
            key = await store.get("key-1")
            assert key is not None
            seen.append(key.last_used_at)
        assert seen == [NOW + 5, NOW + 5, NOW + 9]
        assert await store.get("key-1") == a_key(revoked_at=NOW, last_used_at=NOW + 9)

    @proves("R-93", "holds")
    async def test_keys_that_are_over_are_purged_in_batches(self, store: APIKeyStore) -> None:
        """Expired or revoked; each call deletes at most its limit; an end that is now has passed."""
        expired = [a_key(f"expired-{number}", expires_at=NOW + number) for number in range(3)]
        revoked = [a_key(f"revoked-{number}", revoked_at=NOW + number) for number in range(3)]
        live = [a_key(), a_key("live", expires_at=NOW + 2.25), a_key("later", revoked_at=NOW + 2.25)]
        await store_all(store, *expired, *revoked, a_key("both", expires_at=NOW, revoked_at=NOW), *live)
        assert [await store.purge(now=NOW + 2, limit=4) for _ in range(3)] == [4, 3, 0]
        assert {key.key_id for key in await store.list("subject-1")} == {"key-1", "live", "later"}
