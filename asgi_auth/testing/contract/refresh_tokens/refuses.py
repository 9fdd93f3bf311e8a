"""What a ``RefreshTokenStore`` refuses."""

from typing import Any

import pytest

from asgi_auth.errors import StoreUnavailable
from asgi_auth.refresh_tokens import Advanced, Expired, RefreshTokenStore, Reused
from asgi_auth.testing.contract.races import proves
from asgi_auth.testing.contract.refresh_tokens.families import LEEWAY, NOW, WithStore, a_family, digest, present, stored

__all__ = ["RefreshTokenStoreRefuses"]


class RefreshTokenStoreRefuses(WithStore):
    """What the verbs refuse."""

    @proves("R-26", "refuses")
    @pytest.mark.parametrize(
        "stranger",
        [
            {"family_id": "family-2"},
            {"client_id": "other"},
            {"member_digest": digest("guess")},
            {"member_digest": b""},
            {"family_id": "' OR '1'='1"},
        ],
        ids=["another id", "another client", "another member secret", "no member secret", "hostile id"],
    )
    @pytest.mark.parametrize("token", ["R1", "guess"])
    async def test_a_stranger_does_nothing(
        self, store: RefreshTokenStore, stranger: dict[str, Any], token: str
    ) -> None:
        """Without the family's client and member secret nothing is answered and nothing happens."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        assert await present(store, token, family=a_family(**stranger)) is None
        assert await stored(store) == a_family(revoked_at=NOW)

    @proves("R-26", "refuses")
    async def test_a_stranger_revokes_nothing(self, store: RefreshTokenStore) -> None:
        """Neither an unknown id nor a guessed member secret ends a family."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        assert await store.revoke("family-2", member_digest=None, now=NOW + 1) is None
        assert await store.revoke("family-1", member_digest=digest("guess"), now=NOW + 1) is None
        assert isinstance(await present(store, "R1"), Advanced)

    @proves("R-28", "holds")
    async def test_a_spent_token_ends_the_family(self, store: RefreshTokenStore) -> None:
        """The first presentation ends it, every other one is told the same; its live token is dead too."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        await present(store, "R1", child="R2", call="call-1")
        ended = a_family(
            parent_digest=digest("R1"),
            current_digest=digest("R2"),
            rotated_at=NOW + 100,
            idle_expires_at=NOW + 1100,
            revoked_at=NOW + 101,
            revoked_by=digest("call-2"),
        )
        assert await present(store, "R1", child="X", call="call-2", now=NOW + 101) == Reused(ended, first=True)
        assert await present(store, "R1", child="Y", call="call-3", now=NOW + 102) == Reused(ended, first=False)
        assert await present(store, "R2", child="R3", call="call-4", now=NOW + 103) == Expired(ended)

    @proves("R-28", "refuses")
    @pytest.mark.parametrize("leeway", [0.0, LEEWAY])
    async def test_nothing_is_minted_into_a_dead_family(self, store: RefreshTokenStore, leeway: float) -> None:
        """Neither by its live token nor, within the leeway, by that one's parent."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        await present(store, "R1", child="R2", leeway=leeway)
        await store.revoke("family-1", member_digest=None, now=NOW + 100)
        assert isinstance(await present(store, "R2", child="R3", call="call-2", leeway=leeway), Expired)
        reused = await present(store, "R1", child="R3", call="call-3", leeway=leeway)
        assert isinstance(reused, Reused)
        assert not reused.first
        assert reused.family.current_digest == digest("R2")

    @proves("R-28", "refuses")
    async def test_a_guess_under_a_true_member_secret_is_reuse(self, store: RefreshTokenStore) -> None:
        """Whoever knows the member secret held a token of the family once."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        reused = await present(store, "never issued")
        assert isinstance(reused, Reused)
        assert reused.first

    @proves("R-29", "refuses")
    @pytest.mark.parametrize("leeway", [0.0, LEEWAY])
    async def test_an_ancestor_is_never_repeated(self, store: RefreshTokenStore, leeway: float) -> None:
        """R1, R2, R3, then R1 again within the leeway: only the direct parent is forgiven; the family is dead."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        await present(store, "R1", child="R2", call="call-1", leeway=LEEWAY)
        await present(store, "R2", child="R3", call="call-2", leeway=LEEWAY)
        reused = await present(store, "R1", child="X", call="call-3", leeway=leeway)
        assert isinstance(reused, Reused)
        assert reused.first
        assert isinstance(await present(store, "R3", child="R4", call="call-4", leeway=leeway), Expired)

    @proves("R-29", "refuses")
    @pytest.mark.parametrize(
        ("kept", "asked", "later"),
        [(LEEWAY, LEEWAY, LEEWAY), (LEEWAY, 0.0, 0.0), (0.0, LEEWAY, 0.0), (LEEWAY, LEEWAY, 2000.0)],
        ids=["too late", "no leeway now", "no leeway then", "family over"],
    )
    async def test_the_parent_is_reuse_where_no_leeway_covers_it(
        self, store: RefreshTokenStore, kept: float, asked: float, later: float
    ) -> None:
        """The leeway ends at its very second, and it must have been set at both calls."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        await present(store, "R1", child="R2", call="call-1", leeway=kept)
        reused = await present(store, "R1", child="X", call="call-2", leeway=asked, now=NOW + 100 + later)
        assert isinstance(reused, Reused)
        assert reused.first

    @proves("R-30", "refuses")
    @pytest.mark.parametrize(
        "over", [{"expires_at": NOW + 100}, {"idle_expires_at": NOW + 100}], ids=["family", "idle"]
    )
    async def test_a_token_whose_time_is_over_is_not_exchanged(
        self, store: RefreshTokenStore, over: dict[str, Any]
    ) -> None:
        """An end that is now has passed; the family is left as it is, and a spent token is reuse still."""
        await store.create(a_family(**over), families_per_subject=50, now=NOW)
        assert await present(store, "R1", now=NOW + 100) == Expired(a_family(**over))
        reused = await present(store, "R0", now=NOW + 100)
        assert reused == Reused(a_family(**over, revoked_at=NOW + 100, revoked_by=digest("call-1")), first=True)

    @proves("R-30", "refuses")
    async def test_a_leeway_does_not_outlive_the_family(self, store: RefreshTokenStore) -> None:
        """Within the leeway, but after the family's end: nothing is repeated."""
        await store.create(a_family(expires_at=NOW + 105), families_per_subject=50, now=NOW)
        assert isinstance(await present(store, "R1", leeway=LEEWAY), Advanced)
        late = await present(store, "R1", child="X", call="call-2", leeway=LEEWAY, now=NOW + 105)
        assert isinstance(late, Reused)

    async def test_an_id_that_is_taken_is_never_overwritten(self, store: RefreshTokenStore) -> None:
        """The family that has it stays as it is, and no other is ended for the one that was not stored."""
        await store.create(a_family(), families_per_subject=1, now=NOW)
        with pytest.raises(StoreUnavailable):
            await store.create(a_family(subject="subject-2"), families_per_subject=1, now=NOW)
        assert await stored(store) == a_family(revoked_at=NOW)
