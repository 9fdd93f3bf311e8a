"""Families, tokens and outcomes that the tests of a ``RefreshTokenStore`` speak of."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from asgi_auth.refresh_tokens import Advancement, RefreshFamily, RefreshTokenStore
from asgi_auth.testing.contract.races import Opened

__all__ = ["LEEWAY", "NOW", "WithStore", "a_family", "digest", "kinds", "present", "stored"]

NOW = 1_800_000_000.25
LEEWAY = 10.0


def digest(name: str) -> bytes:
    """What stands for the digest of a secret, salt or call of that name."""
    return hashlib.sha256(name.encode()).digest()


def a_family(family_id: str = "family-1", **state: Any) -> RefreshFamily:
    """A family as sign-in makes it: its live token is R1."""
    family = RefreshFamily(
        family_id=family_id,
        subject="subject-1",
        client_id="first-party",
        scopes=frozenset({"read:articles", "größe"}),
        epoch=3,
        authenticated_at=NOW - 5,
        member_digest=digest(f"member of {family_id}"),
        current_digest=digest("R1"),
        created_at=NOW,
        rotated_at=NOW,
        idle_expires_at=NOW + 1000,
        expires_at=NOW + 5000,
    )
    return replace(family, **state)


async def present(
    store: RefreshTokenStore,
    token: str,
    *,
    child: str = "R2",
    call: str = "call-1",
    family: RefreshFamily | None = None,
    leeway: float = 0,
    now: float = NOW + 100,
    idle_expires_at: float = NOW + 1100,
) -> Advancement | None:
    """Present the token of that name and offer a child."""
    family = family or a_family()
    return await store.advance(
        family.family_id,
        client_id=family.client_id,
        member_digest=family.member_digest,
        presented_digest=digest(token),
        child_digest=digest(child),
        salt=digest(f"salt of {child}"),
        call_id=digest(call),
        idle_expires_at=idle_expires_at,
        reuse_leeway=leeway,
        now=now,
    )


def kinds(outcomes: list[Advancement | None]) -> Counter[str]:
    """How many outcomes there are of each kind."""
    return Counter(type(outcome).__name__ for outcome in outcomes)


async def stored(store: RefreshTokenStore, family_id: str = "family-1") -> RefreshFamily | None:
    """The family as it is stored; it is over afterwards, so ask at the end."""
    return await store.revoke(family_id, member_digest=None, now=NOW)


class WithStore:
    """Tests of one instance."""

    @pytest.fixture
    async def store(self, opened: Opened[RefreshTokenStore]) -> AsyncIterator[RefreshTokenStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store
