"""Values that are put once and taken once: one-time tokens, and identifiers that must not be seen twice.

Left out: tokens that carry their value themselves, since nothing could say that they were used.
"""

import hashlib
from typing import Protocol

from .clock import SKEW_BUDGET, SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, StoreUnavailable
from .tokens import is_secret, mint_secret

__all__ = ["LONGEST_LIFETIME", "OneTimeStore", "OneTimeTokens"]

LONGEST_LIFETIME = 3600.0
"""Seconds. What is mailed or carried through a browser is used within the hour or never."""


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


class OneTimeTokens:
    """Opaque tokens that are good for one use, and a guard against what was used before. Digests alone are stored.

    ``purpose`` is a fixed word of the caller's, as in ``"password-reset"``: what was issued for one purpose is nothing
    to another, nor do identifiers and tokens of one purpose meet. All verbs raise StoreUnavailable (503) where the
    store does.
    """

    def __init__(self, store: OneTimeStore, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._clock = clock

    async def issue(self, purpose: str, value: str, *, lifetime: float) -> str:
        """A new token for ``value``: 43 characters of base62, 256 bits, to be shown once and logged never.

        ``lifetime`` is in seconds, at most an hour; any other is a ConfigurationError. The value is stored as it is.
        """
        if not 0 < lifetime <= LONGEST_LIFETIME:
            raise ConfigurationError("the lifetime of a one-time token is more than 0 and at most 3600 seconds")
        token, now = mint_secret(), self._clock.now()
        if not await self._store.put(_key("token", purpose, token), value, expires_at=now + lifetime, now=now):
            raise StoreUnavailable
        return token

    async def take(self, purpose: str, token: str) -> str | None:
        """The value of a token, which is used up by that; None for a used, expired or unknown one and for junk.

        Of any number of concurrent calls, in whatever process, one gets the value. Junk is refused without I/O. A
        caller that is cancelled may have used the token up.
        """
        if not is_secret(token):
            return None
        return await self._store.take(_key("token", purpose, token), now=self._clock.now())

    async def first_use(self, purpose: str, identifier: str, *, until: float) -> bool:
        """Whether nobody used this identifier before, as the ``jti`` of a signed assertion; from now on it is used.

        ``until``, in seconds since the epoch, is when its bearer is refused for its age, any leeway included: so long
        it is remembered, and the skew budget longer. False where that has passed. Of any number of concurrent calls,
        in whatever process, one returns True.
        """
        now = self._clock.now()
        if not now < until:
            return False
        return await self._store.put(_key("used", purpose, identifier), "", expires_at=until + SKEW_BUDGET, now=now)


def _key(kind: str, purpose: str, text: str) -> bytes:
    # The length in front keeps one purpose from being the beginning of another; an identifier may hold anything.
    name = f"{kind} {purpose}".encode(errors="surrogatepass")
    return hashlib.sha256(len(name).to_bytes(8) + name + text.encode(errors="surrogatepass")).digest()
