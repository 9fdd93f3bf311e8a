"""Keys, and what becomes of them, that the tests of an ``APIKeyStore`` speak of."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from asgi_auth.api_keys import APIKey, APIKeyStore
from asgi_auth.testing.contract.races import Opened

__all__ = ["NOW", "WithStore", "a_key", "rotate", "store_all"]

NOW = 1_800_000_000.25


def a_key(key_id: str = "key-1", **state: Any) -> APIKey:
    """A key that may do less than its owner and never ends by itself."""
    key = APIKey(
        key_id=key_id,
        secret_digest=hashlib.sha256(f"secret of {key_id}".encode()).digest(),
        subject="subject-1",
        name="nightly import, ü€😀",
        scopes=frozenset({"read:articles", "größe"}),
        created_at=NOW,
    )
    return replace(key, **state)


async def store_all(store: APIKeyStore, *keys: APIKey) -> None:
    """Create each."""
    for key in keys:
        assert await store.create(key, keys_per_subject=100, now=NOW)


async def rotate(
    store: APIKeyStore, successor: str = "key-2", *, key: APIKey | None = None, now: float = NOW + 10
) -> bool:
    """Rotate the key to one of that id, with an overlap of 100 seconds."""
    key = key or a_key()
    return await store.rotate(
        key.key_id, subject=key.subject, successor=a_key(successor, subject=key.subject), ends_at=NOW + 110, now=now
    )


class WithStore:
    """Tests of one instance."""

    @pytest.fixture
    async def store(self, opened: Opened[APIKeyStore]) -> AsyncIterator[APIKeyStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store
