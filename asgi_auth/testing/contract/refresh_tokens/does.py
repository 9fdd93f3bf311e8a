"""What a ``RefreshTokenStore`` does for one caller."""

from typing import Any

import pytest

from asgi_auth.refresh_tokens import Advanced, RefreshFamily, RefreshTokenStore, Repeated
from asgi_auth.testing.contract.races import proves
from asgi_auth.testing.contract.refresh_tokens.families import LEEWAY, NOW, WithStore, a_family, digest, present, stored

__all__ = ["RefreshTokenStoreDoes"]


class RefreshTokenStoreDoes(WithStore):
    """What the verbs do for one caller."""

    @pytest.mark.parametrize(
        "family",
        [
            a_family(parent_digest=digest("R0"), salt=b"salt", revoked_at=NOW + 0.5, revoked_by=b"call"),
            a_family(scopes=None, epoch=0, revoked_at=NOW),
            a_family(scopes=frozenset(), revoked_at=NOW),
        ],
        ids=["full", "bare", "without scopes"],
    )
    async def test_a_family_comes_back_as_it_was_stored(self, store: RefreshTokenStore, family: RefreshFamily) -> None:
        """Every field equal; no scopes and all scopes are two things."""
        assert await store.create(family, families_per_subject=50, now=NOW) == ()
        assert await store.revoke("family-1", member_digest=family.member_digest, now=NOW + 9) == family

    @proves("R-27", "holds")
    async def test_the_live_token_is_exchanged_for_its_child(self, store: RefreshTokenStore) -> None:
        """The presented one becomes the parent; nothing but the rotation's own fields changes."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        outcome = await present(store, "R1")
        assert outcome == Advanced(
            a_family(
                parent_digest=digest("R1"),
                current_digest=digest("R2"),
                rotated_at=NOW + 100,
                idle_expires_at=NOW + 1100,
            )
        )

    async def test_a_salt_is_kept_only_where_a_leeway_is_set(self, store: RefreshTokenStore) -> None:
        """A rotation without leeway drops the salt of the one before."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        with_leeway = await present(store, "R1", child="R2", leeway=LEEWAY)
        without = await present(store, "R2", child="R3")
        assert isinstance(with_leeway, Advanced)
        assert isinstance(without, Advanced)
        assert (with_leeway.family.salt, without.family.salt) == (digest("salt of R2"), None)

    async def test_stored_times_never_move_back(self, store: RefreshTokenStore) -> None:
        """Also where the caller's clock is behind the one that rotated before."""
        await store.create(a_family(rotated_at=NOW + 50), families_per_subject=50, now=NOW)
        outcome = await present(store, "R1", now=NOW + 40)
        assert isinstance(outcome, Advanced)
        assert outcome.family.rotated_at == NOW + 50

    @proves("R-29", "holds")
    async def test_within_the_leeway_the_parent_gets_the_same_child_again(self, store: RefreshTokenStore) -> None:
        """As often as it is asked; nothing is written, so the answer stays the same."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        first = await present(store, "R1", child="R2", leeway=LEEWAY)
        assert isinstance(first, Advanced)
        for call in ("call-2", "call-3"):
            again = await present(
                store, "R1", child=f"other of {call}", call=call, leeway=LEEWAY, now=NOW + 100 + LEEWAY - 0.25
            )
            assert again == Repeated(first.family)
        assert isinstance(await present(store, "R2", child="R3", call="call-4", leeway=LEEWAY), Advanced)

    @proves("R-30", "holds")
    async def test_sliding_never_passes_the_end_of_the_family(self, store: RefreshTokenStore) -> None:
        """The live token's end is cut at the family's."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        outcome = await present(store, "R1", idle_expires_at=NOW + 9000)
        assert isinstance(outcome, Advanced)
        assert outcome.family.idle_expires_at == outcome.family.expires_at == NOW + 5000

    @proves("R-30", "holds")
    async def test_beyond_the_cap_the_oldest_live_families_end(self, store: RefreshTokenStore) -> None:
        """Only this subject's, only live ones, in the same step; the new one always lives."""
        await store.create(a_family("other", subject="subject-2"), families_per_subject=2, now=NOW)
        await store.create(a_family("dead", created_at=NOW - 9, revoked_at=NOW), families_per_subject=2, now=NOW)
        await store.create(a_family("over", created_at=NOW - 9, idle_expires_at=NOW), families_per_subject=2, now=NOW)
        ended = [
            await store.create(a_family(name, created_at=NOW + age), families_per_subject=2, now=NOW)
            for name, age in (("b", 2), ("a", 1), ("c", 3), ("clock set back", -5))
        ]
        assert ended == [(), (), ("a",), ("b",)]
        for name in ("c", "clock set back"):
            family = await stored(store, name)
            assert family is not None
            assert family.revoked_at == NOW
            assert family.revoked_by is None

    async def test_a_lowered_cap_ends_several_at_once(self, store: RefreshTokenStore) -> None:
        """All that are beyond it, whatever the cap was when they were made."""
        for age, name in enumerate("abcd"):
            await store.create(a_family(name, created_at=NOW + age), families_per_subject=50, now=NOW)
        ended = await store.create(a_family("e", created_at=NOW + 9), families_per_subject=2, now=NOW)
        assert sorted(ended) == ["a", "b", "c"]

    async def test_a_family_is_revoked_once(self, store: RefreshTokenStore) -> None:
        """The second time it is returned as the first time left it."""
        await store.create(a_family(), families_per_subject=50, now=NOW)
        first = await store.revoke("family-1", member_digest=a_family().member_digest, now=NOW + 1)
        second = await store.revoke("family-1", member_digest=None, now=NOW + 2)
        assert first == second == a_family(revoked_at=NOW + 1)

    async def test_the_live_families_below_an_epoch_are_revoked_together(self, store: RefreshTokenStore) -> None:
        """Not those of the epoch itself, of other subjects, or over already."""
        families: dict[str, dict[str, Any]] = {
            "low": {"epoch": 1},
            "lower": {"epoch": 0},
            "at": {"epoch": 2},
            "other": {"epoch": 1, "subject": "subject-2"},
            "dead": {"epoch": 1, "revoked_at": NOW},
            "idle": {"epoch": 1, "idle_expires_at": NOW + 1},
        }
        for name, state in families.items():
            await store.create(a_family(name, **state), families_per_subject=50, now=NOW)
        assert await store.revoke_subject("subject-1", below_epoch=2, now=NOW + 1) == 2
        assert await store.revoke_subject("subject-1", below_epoch=2, now=NOW + 1) == 0
        revoked = {name: await stored(store, name) for name in ("low", "lower", "at", "other")}
        assert {name for name, family in revoked.items() if family and family.revoked_at == NOW + 1} == {"low", "lower"}

    @proves("R-93", "holds")
    async def test_families_that_are_over_are_purged_in_batches(self, store: RefreshTokenStore) -> None:
        """Each call deletes at most its limit; an end that is now has passed; a live family stays."""
        for number in range(5):
            await store.create(a_family(f"over-{number}", expires_at=NOW + number), families_per_subject=50, now=NOW)
        await store.create(a_family(expires_at=NOW + 4.25), families_per_subject=50, now=NOW)
        assert [await store.purge(now=NOW + 4, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert await stored(store, "over-4") is None
        assert await stored(store) is not None
