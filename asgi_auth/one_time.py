"""Values that are put once and taken once: one-time tokens, and identifiers that must not be seen twice."""

from typing import Protocol

__all__ = ["OneTimeStore"]


class OneTimeStore(Protocol):
    """What must be remembered until it is used. Every verb is atomic alone and durable when it answers.

    All verbs raise ``StoreUnavailable`` where the backend does not answer in time.
    """

    async def put(self, key: bytes, value: str, *, expires_at: float, now: float) -> bool:
        """Store ``value`` under ``key`` unless one is there that has not expired at ``now``: the first writer wins.

        False, and nothing stored, where it did not. Of any number of concurrent calls with one key one returns True.
        """
        ...

    async def take(self, key: bytes, *, now: float) -> str | None:
        """The value under ``key``, which is gone by that; None where there is none or it has expired.

        Of any number of concurrent calls exactly one gets it.
        """
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` values whose ``expires_at`` has passed; how many."""
        ...
