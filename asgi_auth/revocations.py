"""Revocations: what ended before its time, known to every worker without I/O per request.

Each worker holds the live revocations in memory and follows its store's feed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Changes", "Cursor", "Revocation", "RevocationKind", "RevocationStore"]


class RevocationKind(StrEnum):
    """What a revocation ends."""

    TOKEN = "token"
    """One access token, by ``jti``."""
    SESSION = "session"
    """Everything that came from one session or refresh family, by ``sid``."""
    API_KEY = "api_key"
    """One API key, by its id."""
    CLIENT = "client"
    """Everything issued to one OAuth client, by ``client_id``."""
    SUBJECT = "subject"
    """Everything of one subject below an epoch."""
    CHANGED = "changed"
    """Nothing ends; a subject's roles or rights changed, so caches drop it."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One live revocation."""

    kind: RevocationKind
    id: str
    epoch: int | None
    """For ``subject``: the lowest epoch that is still accepted; else None."""
    until: float
    """When the last credential it can concern has expired by itself; seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has followed a feed."""

    feed_id: str
    """Random; a new store, or one restored from a backup that the operator renewed, has another."""
    number: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader does not know yet."""

    items: tuple[Revocation, ...]
    cursor: Cursor
    restart: bool
    """True: ``items`` are the whole live set; whatever the reader knew before is void."""


class RevocationStore(Protocol):
    """A feed of revocations. Every verb is atomic alone and durable when it answers.

    The number of a change comes from one head row that the same transaction updates: a change with a lower
    number is never committed after a higher one was read. All verbs raise ``StoreUnavailable`` where the
    backend does not answer in time.
    """

    poll_interval: float
    """Seconds after which a reader should ask again where asking is cheap."""

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        """Add or extend one revocation: of ``epoch`` and of ``until`` the greater is kept; it gets a new number."""
        ...

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        """Every revocation numbered after ``cursor``, in order; the cursor to ask with next.

        A ``restart`` where ``cursor`` is None, names another feed, is ahead of the head, or lies before what was
        purged. An item that was extended appears once, with its newest number. Nothing committed before the call
        is missed.
        """
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` revocations whose ``until`` has passed; how many."""
        ...
