"""Access tokens: issued, verified, revoked, and the cache of those that were verified before (RFC 9068).

The warm path does no I/O and awaits nothing. Left out: tokens of other issuers than the one configured,
introspection, sender-constrained tokens.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .clock import SKEW_BUDGET, SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, InvalidToken, Reason
from .jwt import JWTIssuer, JWTVerifier, VerifiedToken
from .keys import VerificationKeys
from .live import LiveConnections, LiveCredential
from .principal import Principal
from .revocations import Revocable, RevocationKind, Revocations
from .tokens import mint_id

__all__ = ["AccessToken", "AccessTokens"]


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token that was just issued."""

    value: str = field(repr=False)
    jti: str
    expires_at: int
    """Seconds since the epoch."""
    expires_in: int
    """Seconds from now."""


@dataclass(slots=True)
class _Verified:
    """A cached token: its signature and its claims hold; what may change since then is asked again."""

    principal: Principal
    revocable: Revocable
    begins_at: float
    ends_at: float
    version: int


class AccessTokens:
    """Issues access tokens with ``issuer``, verifies them with ``verifier`` and ``keys``, revokes them.

    ``lifetime`` is in whole seconds. At most ``cache_size`` verified tokens are kept, by their digest; expiry, start,
    epoch and revocation are checked on every hit. ``revocations=None``, by name, means that a token lives until it
    expires, and that nothing is cached.

    ConfigurationError where issuer and verifier do not mean the same issuer, for a lifetime below one second, and for
    a cache without room.
    """

    def __init__(
        self,
        issuer: JWTIssuer,
        verifier: JWTVerifier,
        keys: VerificationKeys,
        revocations: Revocations | None,
        *,
        lifetime: float = 900,
        cache_size: int = 10_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if issuer.issuer != verifier.issuer:
            raise ConfigurationError("the issuer that signs and the one that is verified differ: no token would pass")
        if not 1 <= lifetime < math.inf:
            raise ConfigurationError("access_token_lifetime is at least 1 second; 900 is usual")
        if cache_size < 1:
            raise ConfigurationError("the cache of verified tokens has room for at least one")
        self.realm = issuer.issuer
        """The realm of challenges: the issuer."""
        self.lifetime = int(lifetime)
        """Seconds from issue to expiry."""
        self.revocation_lifetime = self.lifetime + verifier.expiry_leeway + SKEW_BUDGET
        """Seconds after which no token issued before is accepted by any process: how long a revocation must live."""
        self._issuer = issuer
        self._verifier = verifier
        self._keys = keys
        self._revocations = revocations
        self._live = None if revocations is None else LiveConnections(revocations, clock=clock)
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._cache_size = cache_size

    def issue(
        self,
        *,
        subject: str,
        client_id: str,
        scopes: Iterable[str],
        roles: Iterable[str],
        epoch: int,
        auth_time: float | None = None,
        sid: str | None = None,
    ) -> AccessToken:
        """A token with the claims of RFC 9068 §2.2, and ``epoch`` and ``sid`` of ours.

        ``roles`` belong only into a token whose scopes were not narrowed. ``auth_time``: when the subject proved
        itself, seconds since the epoch. ``sid``: the session or family the token comes from.
        """
        issued_at = int(self._now())
        expires_at = issued_at + self.lifetime
        jti = mint_id()
        claims: dict[str, Any] = {
            "sub": subject,
            "aud": self._verifier.audience,
            "exp": expires_at,
            "iat": issued_at,
            "jti": jti,
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "roles": sorted(roles),
            "epoch": epoch,
        }
        if auth_time is not None:
            claims["auth_time"] = int(auth_time)
        if sid is not None:
            claims["sid"] = sid
        return AccessToken(self._issuer.issue(claims), jti, expires_at, self.lifetime)

    def cached(self, token: bytes) -> Principal | None:
        """The principal of a token verified before, if every condition holds now; None where it must be verified.

        No I/O and no await, whatever the bytes; raises nothing.
        """
        entry, revocations = self._cache.get(sha256(token).digest()), self._revocations
        if entry is None or revocations is None:
            return None
        if not (entry.begins_at <= self._now() < entry.ends_at and self._monotonic() <= revocations.fresh_until):
            return None
        if entry.version != revocations.version:
            if revocations.has_ended(entry.revocable):
                return None
            entry.version = revocations.version
        return entry.principal

    async def verify(self, token: str | bytes, *, expired_for: float = 0) -> Principal:
        """The token's principal, from its signature up.

        Raises InvalidToken for whatever is not a valid, living token of ours, and Stale where revocations cannot be
        known. ``expired_for``: seconds after its expiry for which a token is accepted; only a logout has a use for it.
        """
        verified = self._verifier.verify(token, self._keys, self._now(), expired_for=expired_for)
        if self._revocations is None:
            return _principal(verified)
        if not self._revocations.is_fresh():
            await self._revocations.ensure_fresh()
            # Time has passed meanwhile.
            verified = self._verifier.verify(token, self._keys, self._now(), expired_for=expired_for)
        principal = _principal(verified)
        if self._revocations.has_ended(revocable := _revocable(principal)):
            raise InvalidToken(Reason.TOKEN_REVOKED)
        begins_at = max(verified.issued_at or 0.0, verified.not_before or 0.0) - self._verifier.leeway
        ends_at = verified.expires_at + self._verifier.expiry_leeway
        self._keep(token, _Verified(principal, revocable, begins_at, ends_at, self._revocations.version))
        return principal

    def watch(self, principal: Principal, end: Callable[[], None]) -> Callable[[], None]:
        """Call ``end`` once, when the token of ``principal`` expires or is revoked, or its subject's epoch rises.

        Call what is returned when nobody waits for it any more. Without revocations nothing is ever ended.
        """
        if self._live is None or principal.expires_at is None:
            return _nothing
        ends_at = principal.expires_at + self._verifier.expiry_leeway
        return self._live.add(LiveCredential(_revocable(principal), ends_at), end)

    async def revoke(self, principal: Principal) -> None:
        """End the token that ``principal`` was read from: here at once, elsewhere within ``max_staleness``.

        Durable when it returns. Raises StoreUnavailable; ConfigurationError without revocations, and for a principal
        that does not come from a token with an id.
        """
        if self._revocations is None:
            raise ConfigurationError("without revocations an access token cannot be ended: give AccessTokens a feed")
        if principal.scheme != "bearer" or principal.credential_id is None or principal.expires_at is None:
            raise ConfigurationError("only a principal that comes from an access token with a jti can be revoked here")
        until = principal.expires_at + self._verifier.expiry_leeway + SKEW_BUDGET
        if until > self._now():
            await self._revocations.revoke(RevocationKind.TOKEN, principal.credential_id, until=until)

    def _keep(self, token: str | bytes, entry: _Verified) -> None:
        raw = token if isinstance(token, bytes) else token.encode()
        self._cache[sha256(raw).digest()] = entry
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)


def _principal(token: VerifiedToken) -> Principal:
    return Principal(
        subject=token.subject,
        scheme="bearer",
        scopes=token.scopes,
        roles=token.roles,
        client_id=token.client_id,
        credential_id=token.jti,
        authenticated_at=token.auth_time,
        expires_at=token.expires_at,
        claims=token.claims,
    )


def _revocable(principal: Principal) -> Revocable:
    ids = (
        (RevocationKind.TOKEN, principal.credential_id),
        (RevocationKind.SESSION, principal.claims.get("sid")),
        (RevocationKind.CLIENT, principal.client_id),
    )
    epoch: int = principal.claims.get("epoch") or 0
    return Revocable(tuple((kind, id) for kind, id in ids if id is not None), principal.subject, epoch)


def _nothing() -> None:
    pass
