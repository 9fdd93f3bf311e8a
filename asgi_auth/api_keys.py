"""API keys: long-lived credentials for programs, shown once, stored as digests, never wider than their owner.

Left out: keys in query strings, and keys without an owner (see OAuth clients).
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Protocol

from .accounts import Account
from .authorization import Roles, grants, narrow
from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, Conflict, FieldError, Invalid, InvalidToken, Reason
from .feed_cache import FeedCache, Tag
from .last_used import LastUsed
from .live import LiveConnections, LiveCredential
from .present_accounts import PresentAccounts
from .principal import Principal
from .revocations import Revocable, RevocationKind, Revocations
from .shielded import ShieldedTasks
from .tokens import SECRET_LENGTH, digest, encode, matches, mint_id, mint_secret, parse

__all__ = ["OVERLAP", "APIKey", "APIKeyStore", "APIKeys", "NewAPIKey"]

OVERLAP = 86400.0
"""Seconds for which a key that was rotated lives on, unless somebody says otherwise: a day."""

_PREFIX = re.compile(r"[A-Za-z][0-9A-Za-z_]{1,31}")
_REFRESH_TOKENS = "rt"
_NO_DIGEST = bytes(32)
_MINUTE = 60.0
"""Seconds that a verified key is kept, and between two notes of its use: a key in use is read and noted that often."""
_REVOCATION_LIFETIME = 3600.0
"""Seconds: longer than any cache keeps a key, and than its store may take to end it."""
_MAX_OVERLAP = 30 * 86400.0
_MAX_LIFETIME = 100 * 365 * 86400.0
_MAX_NAME = 100
_MAX_SCOPES_LENGTH = 4096
"""Characters of all scopes of a key together: its principal is kept in memory."""


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


@dataclass(frozen=True, slots=True)
class NewAPIKey:
    """A key that was just made. Its ``value`` is known here and nowhere else: show it once."""

    value: str = field(repr=False)
    key: APIKey


class APIKeys:
    """Creates, verifies, rotates and revokes API keys: ``<prefix>_<id>_<secret><checksum>``.

    A key may do what its owner may *now*, and never more: roles and scopes are the present ones of its account, and
    while that is disabled its keys are refused. A raised epoch (a new password) leaves keys alone.

    At most ``cache_size`` verified keys are kept, by their digest, for a minute; what ends or changes a key or its
    owner reaches them through ``revocations``: here at once, elsewhere within ``max_staleness``. ``revocations=None``,
    by name, means that every request reads the key and its owner, and that no live connection ends with a key.

    All verbs raise StoreUnavailable (503) where a store does. A prefix that is not 2 to 32 letters, digits and
    underscores, a letter first, is a ConfigurationError, and so are sizes below 1.
    """

    def __init__(
        self,
        store: APIKeyStore,
        accounts: PresentAccounts,
        revocations: Revocations | None,
        *,
        roles: Roles,
        realm: str,
        prefix: str = "ak",
        keys_per_subject: int = 100,
        cache_size: int = 10_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not _PREFIX.fullmatch(prefix) or prefix == _REFRESH_TOKENS:
            raise ConfigurationError("api_key_prefix is 2 to 32 letters, digits and underscores, as in 'ak'; not 'rt'")
        if keys_per_subject < 1:
            raise ConfigurationError("keys_per_subject is at least 1")
        self.realm = realm
        """The realm of challenges: the issuer."""
        self._store = store
        self._accounts = accounts
        self._revocations = revocations
        self._roles = roles
        self._prefix = prefix
        self._length = len(encode(prefix, mint_id(), mint_secret()))
        self._keys_per_subject = keys_per_subject
        self._clock = clock
        self._cache: FeedCache[bytes, Principal] = FeedCache(revocations, size=cache_size, max_age=_MINUTE, clock=clock)
        self._live = None if revocations is None else LiveConnections(revocations, clock=clock)
        self._uses = LastUsed(store, size=cache_size, every=_MINUTE)
        self._endings = ShieldedTasks()

    async def close(self) -> None:
        """Complete what was begun. Idempotent."""
        await self._endings.ended()
        await self._uses.written()

    async def create(
        self, subject: str, name: str, *, scopes: Iterable[str] | None = None, lifetime: float | None = None
    ) -> NewAPIKey:
        """A new key of ``subject``, called ``name``, that ends after ``lifetime`` seconds or, with None, never.

        It may do ``scopes``, as far as its owner may; with None whatever its owner may. Raises Invalid, which lists the
        fields that are not acceptable, ``scopes`` beyond what the owner has now too; Conflict where the subject has
        ``keys_per_subject`` live keys. However many concurrent calls, no more come to be.
        """
        owner = await self._owner(subject)
        wanted = None if scopes is None else frozenset(scopes)
        _check_fields(name, lifetime, wanted, self._roles.scopes(owner.roles))
        made = self._made(subject, name, wanted, lifetime)
        if not await self._store.create(made.key, keys_per_subject=self._keys_per_subject, now=made.key.created_at):
            raise Conflict(Reason.KEY_LIMIT_REACHED, detail="There are too many API keys: revoke one first.")
        return made

    def cached(self, value: bytes) -> Principal | None:
        """The principal of a key verified before, if every condition holds now; None where it must be verified.

        No I/O and no await, whatever the bytes; raises nothing.
        """
        principal = self._cache.get(sha256(value).digest())
        if principal is None or principal.expires_at is None:
            return principal
        return principal if self._clock.now() < principal.expires_at else None

    async def verify(self, value: str | bytes) -> Principal:
        """The key's principal: at most two reads, and its use is noted once a minute behind the caller's back.

        Raises InvalidToken for whatever is not a living key of an enabled account; what is no key at all costs no I/O,
        an unknown id the same work as a wrong secret. Stale where the feed cannot be known.
        """
        key_id, secret = self._parsed(value)
        since = self._cache.generation
        key = await self._proved(key_id, digest(secret))
        principal = await self._present(key)
        raw = value.encode() if isinstance(value, str) else value
        self._cache.put(sha256(raw).digest(), principal, _tags(key), since=since)
        self._uses.note(key.key_id, self._clock.now(), known=key.last_used_at)
        return principal

    def watch(self, principal: Principal, end: Callable[[], None]) -> Callable[[], None]:
        """Call ``end`` once, when the key of ``principal`` ends or is revoked, or its owner's rights change.

        Rotated, it ends with its overlap. Call what is returned when nobody waits for it any more. Without revocations
        nothing is ever ended.
        """
        if self._live is None or principal.credential_id is None:
            return _nothing
        key_id = principal.credential_id
        ends_at = math.inf if principal.expires_at is None else principal.expires_at
        revocable = Revocable(((RevocationKind.API_KEY, key_id),), principal.subject, None)
        renewed = partial(self._lives_until, principal, key_id)
        changed_by = ((RevocationKind.CHANGED, key_id), (RevocationKind.CHANGED, principal.subject))
        return self._live.add(LiveCredential(revocable, ends_at, renewed, changed_by), end)

    async def list(self, subject: str) -> tuple[APIKey, ...]:
        """The keys of ``subject``, live or not, the newest first; those that ended are kept for a while."""
        return await self._store.list(subject)

    async def rotate(self, key_id: str, *, subject: str | None, overlap: float = OVERLAP) -> NewAPIKey | None:
        """A new key in the place of one of ``subject``'s, which lives on for ``overlap`` seconds: by default a day.

        Name and scopes are the old key's, and so is the length of its life, from now on. ``overlap`` is 0 to 30 days;
        the old key never lives longer than it would have. None for an unknown id, and for another subject's unless
        ``subject`` is None (an administrator). Raises Invalid, field ``overlap``; Conflict where the key has ended or
        was rotated before, or has replaced one that still lives: a subject never has more than twice
        ``keys_per_subject``. Of any concurrent calls for one key one gets a new key.

        A cancelled caller does not interrupt it. Where the feed fails after the change that is 503: the new key is lost
        and can be revoked, and caches keep the old one for at most a minute too long.
        """
        if not 0 <= overlap <= _MAX_OVERLAP:
            raise Invalid((FieldError("overlap", "out_of_range"),))
        key = await self._owned(key_id, subject)
        if key is None:
            return None
        await self._refuse_chain(key)
        lifetime = None if key.expires_at is None else key.expires_at - key.created_at
        made = self._made(key.subject, key.name, key.scopes, lifetime)
        await self._endings.run(self._rotate(key, made.key, overlap))
        return made

    async def revoke(self, key_id: str, *, subject: str | None) -> APIKey | None:
        """End one key of ``subject``, here at once and elsewhere within ``max_staleness``; the key as it is then.

        None, and nothing happens, for an unknown id, and for another subject's unless ``subject`` is None (an
        administrator). Idempotent. A caller that is cancelled does not interrupt it; where a store fails in its middle
        the caller gets 503 and has to repeat it, or the key is refused for an hour only.
        """
        key = await self._owned(key_id, subject)
        if key is None or key.revoked_at is not None:
            return key
        return await self._endings.run(self._revoke(key))

    async def _owner(self, subject: str) -> Account:
        owner = await self._accounts.get(subject)
        if owner is None or owner.is_disabled:
            raise Invalid((FieldError("subject", "unknown" if owner is None else "disabled"),))
        return owner

    def _made(self, subject: str, name: str, scopes: frozenset[str] | None, lifetime: float | None) -> NewAPIKey:
        key_id, secret, now = mint_id(), mint_secret(), self._clock.now()
        key = APIKey(
            key_id=key_id,
            secret_digest=digest(secret),
            subject=subject,
            name=name,
            scopes=scopes,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        return NewAPIKey(encode(self._prefix, key_id, secret), key)

    def _parsed(self, value: str | bytes) -> tuple[str, ...]:
        if len(value) == self._length:
            text = value if isinstance(value, str) else value.decode("latin-1")
            parts = parse(text, prefix=self._prefix, widths=(SECRET_LENGTH,))
            if parts is not None:
                return parts
        raise InvalidToken(Reason.KEY_MALFORMED)

    async def _proved(self, key_id: str, secret_digest: bytes) -> APIKey:
        key = await self._store.get(key_id)
        # An unknown id is compared too: it must not answer sooner than a wrong secret.
        if not matches(secret_digest, _NO_DIGEST if key is None else key.secret_digest) or key is None:
            raise InvalidToken(Reason.KEY_UNKNOWN)
        return key

    async def _present(self, key: APIKey) -> Principal:
        """What the key may do now. Raises InvalidToken where it may not be used."""
        owner = await self._accounts.get(key.subject)
        if self._revocations is not None:
            if not self._revocations.is_fresh():
                await self._revocations.ensure_fresh()
            # A key whose ending is under way is told of before its row changes.
            if self._revocations.is_revoked(RevocationKind.API_KEY, key.key_id):
                raise InvalidToken(Reason.KEY_REVOKED)
        if not key.is_live(self._clock.now()):
            raise InvalidToken(Reason.KEY_EXPIRED if key.revoked_at is None else Reason.KEY_REVOKED)
        if owner is None or owner.is_disabled:
            raise InvalidToken(Reason.ACCOUNT_UNKNOWN if owner is None else Reason.ACCOUNT_DISABLED)
        return _principal(key, owner, self._roles)

    async def _lives_until(self, principal: Principal, key_id: str) -> float | None:
        key = await self._store.get(key_id)
        if key is None:
            return None
        present = await self._present(key)
        is_same = (present.scopes, present.roles) == (principal.scopes, principal.roles)
        return (math.inf if present.expires_at is None else present.expires_at) if is_same else None

    async def _owned(self, key_id: str, subject: str | None) -> APIKey | None:
        key = await self._store.get(key_id)
        return key if key is not None and subject in (None, key.subject) else None

    async def _refuse_chain(self, key: APIKey) -> None:
        now = self._clock.now()
        others = await self._store.list(key.subject)
        if any(other.successor_id == key.key_id and other.is_live(now) for other in others):
            raise Conflict(Reason.KEY_ROTATED, detail="The key that this one replaced is still alive: revoke it first.")

    async def _rotate(self, key: APIKey, successor: APIKey, overlap: float) -> None:
        now = successor.created_at
        ends_at = now + overlap
        if not await self._store.rotate(key.key_id, subject=key.subject, successor=successor, ends_at=ends_at, now=now):
            raise Conflict(Reason.KEY_ROTATED, detail="The key has ended, or was rotated before.")
        # Nothing ends yet: whoever has cached the key reads its new end.
        await self._tell(RevocationKind.CHANGED, key.key_id)

    async def _revoke(self, key: APIKey) -> APIKey | None:
        await self._tell(RevocationKind.API_KEY, key.key_id)
        return await self._store.revoke(key.key_id, subject=key.subject, now=self._clock.now())

    async def _tell(self, kind: RevocationKind, key_id: str) -> None:
        if self._revocations is not None:
            await self._revocations.revoke(kind, key_id, until=self._clock.now() + _REVOCATION_LIFETIME)


def _principal(key: APIKey, owner: Account, roles: Roles) -> Principal:
    scopes, held = roles.scopes(owner.roles), owner.roles
    if key.scopes is not None:
        # A narrowed key of an administrator is not an administrator's.
        scopes, held = frozenset(scope for scope in key.scopes if grants(scopes, scope)), frozenset()
    return Principal(
        subject=key.subject,
        scheme="api_key",
        scopes=scopes,
        roles=held,
        credential_id=key.key_id,
        expires_at=key.expires_at,
    )


def _tags(key: APIKey) -> tuple[Tag, ...]:
    return (
        (RevocationKind.API_KEY, key.key_id),
        (RevocationKind.CHANGED, key.key_id),
        (RevocationKind.SUBJECT, key.subject),
        (RevocationKind.CHANGED, key.subject),
    )


def _check_fields(name: str, lifetime: float | None, scopes: frozenset[str] | None, granted: frozenset[str]) -> None:
    conditions = {
        FieldError("name", "invalid"): 0 < len(name) <= _MAX_NAME and name.isprintable() and name == name.strip(),
        FieldError("lifetime", "out_of_range"): lifetime is None or 1 <= lifetime <= _MAX_LIFETIME,
        FieldError("scopes", "too_long"): scopes is None or sum(map(len, scopes)) <= _MAX_SCOPES_LENGTH,
        FieldError("scopes", "not_granted"): scopes is None or narrow(granted, scopes) is not None,
    }
    errors = [error for error, is_met in conditions.items() if not is_met]
    if errors:
        raise Invalid(errors)


def _nothing() -> None:
    pass
