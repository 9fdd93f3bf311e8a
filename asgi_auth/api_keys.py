"""API keys: long-lived credentials for programs, shown once, stored as digests, never wider than their owner.

Left out: keys in query strings, and keys without an owner (see OAuth clients).
"""

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["APIKey", "APIKeyStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class APIKey:
    """One key as its store holds it."""

    key_id: str
    """Public: it stands in the key itself. Safe to log."""
    secret_digest: bytes = field(repr=False)
    """SHA-256 of the secret."""
    subject: str
    """The owner."""
    name: str
    """What the owner calls it."""
    scopes: frozenset[str] | None
    """The most it may do; None: whatever its owner may."""
    created_at: float
    expires_at: float | None = None
    """Seconds since the epoch; None: it lives until it is revoked."""
    last_used_at: float | None = None
    """Within a minute, seconds since the epoch."""
    successor_id: str | None = None
    """The key that it was rotated to."""
    revoked_at: float | None = None

    def is_live(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class APIKeyStore(Protocol):
    """What must be remembered of API keys: digests only. Every verb is atomic alone and durable when it answers.

    All verbs raise ``StoreUnavailable`` where the backend does not answer in time.
    """

    async def create(self, key: APIKey, *, keys_per_subject: int, now: float) -> bool:
        """Store a new key. False, and nothing stored, where the id is taken or the subject has so many live ones.

        However many concurrent calls, at most ``keys_per_subject`` live keys of a subject come to be.
        """
        ...

    async def get(self, key_id: str) -> APIKey | None:
        """The key with this id, live or not, or None."""
        ...

    async def list(self, subject: str) -> tuple[APIKey, ...]:
        """The subject's keys, live or not, the newest first."""
        ...

    async def revoke(self, key_id: str, *, subject: str | None, now: float) -> APIKey | None:
        """End one key and return it; also when it had ended before (``revoked_at`` is kept).

        None, and nothing happens, for an unknown id, and for a key of another subject than ``subject`` unless that is
        None (an administrator).
        """
        ...

    async def rotate(self, key_id: str, *, subject: str, successor: APIKey, ends_at: float, now: float) -> bool:
        """Store ``successor`` and let the old key end at ``ends_at``, or earlier where it would have: one step.

        Only where the old key is the subject's, live, and was not rotated before; else False, and nothing happens. Of
        any concurrent calls for one key one returns True.
        """
        ...

    async def record_use(self, key_id: str, *, at: float) -> None:
        """Note that the key was used: the greater of ``at`` and what is known is kept. Nothing for an unknown id."""
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` keys that expired, or were revoked, at ``now`` or before; how many."""
        ...
