"""What a session is, what must be remembered of it, and what the service tells of one."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from .accounts import Account
from .principal import Principal

__all__ = ["Found", "Lost", "Renewal", "Session", "SessionStore", "SignedIn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session as its store holds it."""

    session_id: str
    """Public, the ``sid`` of its principal: safe to log, enough to end it. It stays when the secret is renewed."""
    secret_digest: bytes = field(repr=False)
    """SHA-256 of the secret in the cookie."""
    subject: str | None
    """Who is signed in; None in a session that only holds data."""
    epoch: int
    """The subject's epoch, read together with what proved it."""
    roles: frozenset[str]
    """The subject's roles when the secret was made: where they have changed since, it is renewed."""
    authenticated_at: float | None
    """When the subject proved itself; seconds since the epoch."""
    device: str
    """What the browser said it was, shortened: for the owner's eyes only."""
    data: str = field(repr=False)
    """The application's data, a JSON object."""
    version: int
    """Rises with every ``save`` and ``replace``."""
    created_at: float
    last_seen_at: float
    """Coalesced; seconds since the epoch."""
    idle_expires_at: float
    """When it ends unless it is used before; seconds since the epoch."""
    expires_at: float
    """When it ends whatever happens; seconds since the epoch."""

    def is_live(self, now: float) -> bool:
        """Whether neither of its two ends has passed."""
        return now < self.expires_at and now < self.idle_expires_at


class SessionStore(Protocol):
    """What must be remembered of sessions: digests only. Every verb is atomic alone and durable when it answers.

    *Live*: neither ``expires_at`` nor ``idle_expires_at`` has passed at ``now``. All verbs raise ``StoreUnavailable``
    where the backend does not answer in time.
    """

    async def create(self, session: Session) -> bool:
        """Store a new session. False, and nothing stored, where the id is taken."""
        ...

    async def get(self, session_id: str) -> Session | None:
        """The session with this id, live or not, or None."""
        ...

    async def save(self, session_id: str, *, version: int, data: str, now: float) -> bool:
        """Compare and set, in one statement: write ``data`` iff the session is live and still has ``version``.

        The version rises by one. False where it is another or the session is gone: a save never brings back what was
        deleted. Of two concurrent calls with one version one wins.
        """
        ...

    async def touch(self, session_id: str, *, last_seen_at: float, idle_expires_at: float, now: float) -> None:
        """Note that a live session was used: of each instant the greater is kept; the version stays.

        ``idle_expires_at`` never goes beyond ``expires_at``. Nothing for a session that is not live.
        """
        ...

    async def replace(self, session_id: str, *, secret_digest: bytes, version: int, new: Session, now: float) -> bool:
        """Compare and set, in one statement: put ``new`` in the place of a session.

        Only where that is live, its secret is ``secret_digest`` and its version still ``version``: data that was saved
        meanwhile is not lost. ``new.session_id`` may be the same or another one, ``new.version`` is greater. False, and
        nothing happens, else, and where the new id is taken by a third. Of any concurrent calls for one secret one
        returns True; the old secret, and an old id, are dead from then on.
        """
        ...

    async def list(self, subject: str, *, now: float) -> tuple[Session, ...]:
        """The subject's live sessions, the newest first."""
        ...

    async def delete(self, session_id: str, *, subject: str | None) -> bool:
        """Delete the session iff it is ``subject``'s (None: nobody is signed in); whether there was one."""
        ...

    async def delete_all(self, subject: str, *, keep: str | None) -> tuple[str, ...]:
        """Delete all sessions of ``subject`` but the one whose id is ``keep``; the ids of those it deleted."""
        ...

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """Delete every session of ``subject`` whose ``epoch`` is lower than ``below_epoch``; how many were live."""
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` sessions that are not live; how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A living session, whose cookie was good."""

    session: Session
    account: Account | None
    principal: Principal | None
    """Who is signed in; its rights are those of the account now."""
    other_roles: frozenset[str] | None
    """The account's roles, where they have changed since the secret was made: it must be renewed."""
    is_due: bool
    """Whether the last use that was written is so long ago that this one must be."""
    good_until: float
    """Until when the clock says nothing against it."""
    feed: int
    """The version of the feed that said nothing against it."""


class Lost(Enum):
    """Why a cookie has no session."""

    OVER = "over"
    """It is none of ours, or its session has ended: the browser should forget it."""
    SUPERSEDED = "superseded"
    """The session lives with another secret. Another request may just have renewed it: the browser has that by now."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has just begun, and its secret."""

    session: Session
    principal: Principal
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new secret that a session gets since its subject has other roles now."""

    secret: str = field(repr=False)
    roles: frozenset[str]
