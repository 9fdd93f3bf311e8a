"""Refresh tokens: families, rotation, reuse detection (RFC 6749 §6, §10.4; RFC 9700 §4.14).

A family is one row; a rotation is one statement over it. Left out: sender-constrained refresh tokens.
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Advanced", "Advancement", "Expired", "RefreshFamily", "RefreshTokenStore", "Repeated", "Reused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshFamily:
    """All refresh tokens that descend from one sign-in, of which at most one is live."""

    family_id: str
    """Also the ``sid`` of the access tokens issued from it: safe to log."""
    subject: str
    client_id: str
    scopes: frozenset[str] | None
    """The most its access tokens may do; None: whatever the subject's roles grant."""
    epoch: int
    """The subject's epoch, read together with what proved it."""
    authenticated_at: float
    """``auth_time``: when the subject last proved itself; seconds since the epoch."""
    member_digest: bytes
    """SHA-256 of the secret that every token of the family carries."""
    current_digest: bytes
    """SHA-256 of the secret of the one live token."""
    parent_digest: bytes | None = None
    """SHA-256 of the secret of the token that was last exchanged."""
    salt: bytes | None = None
    """Kept only where a reuse leeway is set: with the parent's secret it gives the child's again."""
    created_at: float
    rotated_at: float
    """When the live token was made; seconds since the epoch. Never moves back."""
    idle_expires_at: float
    """When the live token ends unless it is exchanged before; seconds since the epoch."""
    expires_at: float
    """When the family ends whatever happens; seconds since the epoch."""
    revoked_at: float | None = None
    revoked_by: bytes | None = None
    """The ``call_id`` of the call that found the reuse, if reuse ended the family."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The presented token was the live one and is spent; the child that was offered is live now."""

    family: RefreshFamily


@dataclass(frozen=True, slots=True)
class Repeated:
    """The presented token is the direct parent, within the leeway, its child unused.

    ``family.salt`` repeats the answer.
    """

    family: RefreshFamily


@dataclass(frozen=True, slots=True)
class Reused:
    """The presented secret was spent before. The family is dead, ``first`` iff this very call ended it."""

    family: RefreshFamily
    first: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """The presented token is the live one, but the family's time is over or it was ended."""

    family: RefreshFamily


Advancement = Advanced | Repeated | Reused | Expired


class RefreshTokenStore(Protocol):
    """What must be remembered of refresh tokens: digests only. Every verb is atomic alone and durable when it answers.

    All verbs raise ``StoreUnavailable`` where the backend does not answer in time.
    """

    async def create(self, family: RefreshFamily, *, families_per_subject: int, now: float) -> tuple[str, ...]:
        """Store a new family; in the same step end the subject's oldest live ones beyond the cap.

        Live: not revoked, and neither ``expires_at`` nor ``idle_expires_at`` passed. Returns the ids of the families
        that it ended. However many concurrent calls, at most ``families_per_subject`` live families remain.
        """
        ...

    async def advance(
        self,
        family_id: str,
        *,
        client_id: str,
        member_digest: bytes,
        presented_digest: bytes,
        child_digest: bytes,
        salt: bytes,
        call_id: bytes,
        idle_expires_at: float,
        reuse_leeway: float,
        now: float,
    ) -> Advancement | None:
        """Exchange the presented token for its child, or find the reuse: one conditional write over the family's row.

        - None, and nothing happens: no such family, another client, or not the family's member secret.
        - ``Advanced``: ``presented_digest`` was the live one, in a live family in time. Parent becomes the
          presented one, current ``child_digest``, ``rotated_at`` the greater of itself and ``now``,
          ``idle_expires_at`` as given (never beyond ``expires_at``); ``salt`` is stored only where
          ``reuse_leeway > 0``, else NULL.
        - ``Repeated``: it was the direct parent, the family is live and in time, and
          ``now < rotated_at + reuse_leeway`` and a salt is stored. Nothing is written.
        - ``Expired``: it was the live one, but ``now >= expires_at``, ``now >= idle_expires_at`` or the family
          was revoked.
        - ``Reused``: any other secret under a true member secret, also in a dead family. A family not yet
          revoked is revoked in this very statement with ``revoked_by = call_id``; ``first`` iff the row's
          ``revoked_by`` is this ``call_id``.

        ``call_id`` is random for each call. Of N concurrent calls with the live token and no leeway one is
        ``Advanced``, the others ``Reused``, one of these ``first``.
        """
        ...

    async def revoke(self, family_id: str, *, member_digest: bytes | None, now: float) -> RefreshFamily | None:
        """End one family and return it; also when it had ended before (``revoked_at`` is kept).

        With ``member_digest`` None: by its id alone (an administrator, or the subject's own list). None, and
        nothing happens, for an unknown id or another member digest.
        """
        ...

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """End every live family of ``subject`` whose ``epoch`` is lower than ``below_epoch``; how many."""
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` families whose ``expires_at`` has passed; how many. A spent token stays
        detectable as reuse until then.
        """
        ...
