"""Sessions, and what becomes of them, that the tests of a ``SessionStore`` speak of."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from asgi_auth.sessions import Session, SessionStore
from asgi_auth.testing.contract.races import Opened

__all__ = ["NOW", "WithStore", "a_session", "digest", "renew", "store_all"]

NOW = 1_800_000_000.25


def digest(name: str) -> bytes:
    """What stands for the digest of a secret of that name."""
    return hashlib.sha256(name.encode()).digest()


def a_session(session_id: str = "session-1", **state: Any) -> Session:
    """A session of somebody who is signed in, with every field set."""
    session = Session(
        session_id=session_id,
        secret_digest=digest(f"secret of {session_id}"),
        subject="subject-1",
        epoch=3,
        roles=frozenset({"user", "größe", 'a"b'}),
        authenticated_at=NOW - 5,
        device="Firefox on Linux",
        data='{"cart":["ü€😀"]}',
        version=7,
        created_at=NOW,
        last_seen_at=NOW,
        idle_expires_at=NOW + 1000,
        expires_at=NOW + 5000,
    )
    return replace(session, **state)


async def store_all(store: SessionStore, *sessions: Session) -> None:
    """Create each."""
    for session in sessions:
        assert await store.create(session)


async def renew(store: SessionStore, old: Session, now: float = NOW + 10, **state: Any) -> bool:
    """Replace the session by one that differs in ``state`` and is newer by a version."""
    new = replace(old, **{"version": old.version + 1, **state})
    return await store.replace(old.session_id, secret_digest=old.secret_digest, version=old.version, new=new, now=now)


class WithStore:
    """Tests of one instance."""

    @pytest.fixture
    async def store(self, opened: Opened[SessionStore]) -> AsyncIterator[SessionStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store
