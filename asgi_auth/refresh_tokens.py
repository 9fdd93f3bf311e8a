"""Refresh tokens: families, rotation, reuse detection (RFC 6749 §6, §10.4; RFC 9700 §4.14).

A family is one row; a rotation is one statement over it. Left out: sender-constrained refresh tokens.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Protocol

from .access_tokens import AccessTokens
from .accounts import Account, Accounts
from .authorization import Roles, grants, narrow
from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, InsufficientScope, InvalidCredentials, InvalidToken, Reason
from .revocations import RevocationKind, Revocations
from .shielded import ShieldedTasks
from .tokens import ID_LENGTH, SECRET_LENGTH, derive_secret, digest, encode, mint_id, mint_secret, parse

__all__ = [
    "Advanced",
    "Advancement",
    "Expired",
    "RefreshFamily",
    "RefreshTokenStore",
    "RefreshTokens",
    "Repeated",
    "Reused",
    "Tokens",
]

logger = logging.getLogger(__name__)

_PREFIX = "rt"
_WIDTHS = (ID_LENGTH, SECRET_LENGTH)
_MAX_REUSE_LEEWAY = 60.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a sign-in or a rotation gives (RFC 6749 §5.1). Its ``repr`` has no token."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """Seconds until the access token expires."""
    scope: str
    """The access token's scopes between spaces; empty where it has none."""
    token_type: str = "Bearer"

    def as_json(self) -> dict[str, str | int]:
        """The members of a token response."""
        return {
            "access_token": self.access_token,
            "token_type": self.token_type,
            "expires_in": self.expires_in,
            "refresh_token": self.refresh_token,
            "scope": self.scope,
        }


class RefreshTokens:
    """Issues and rotates pairs of an access and a refresh token.

    A refresh token is ``rt_<family id>_<member secret><secret><checksum>``, good for one rotation; the store gets
    digests alone. Presenting a spent one again is reuse: the family ends, and everything of its subject with it. With a
    ``reuse_leeway`` the direct parent of an unused child gives the same child again for so many seconds: clients that
    lost an answer are saved, and a thief who comes within that time is not detected yet.
    Lifetimes are in seconds: a refresh token not exchanged for ``lifetime`` ends, and a family after
    ``family_lifetime``. A subject has at most ``families_per_subject`` live families; the oldest ends for a new one.

    Impossible lifetimes, caps and leeways are a ConfigurationError. All verbs raise StoreUnavailable with the store.
    """

    def __init__(
        self,
        store: RefreshTokenStore,
        accounts: Accounts,
        access_tokens: AccessTokens,
        revocations: Revocations | None,
        *,
        roles: Roles,
        lifetime: float = 30 * 86400,
        family_lifetime: float = 180 * 86400,
        families_per_subject: int = 50,
        reuse_leeway: float = 0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not (0 < lifetime < math.inf and 0 < family_lifetime < math.inf):
            raise ConfigurationError("the lifetimes of refresh tokens and families are numbers of seconds above 0")
        if families_per_subject < 1:
            raise ConfigurationError("families_per_subject is at least 1: with 0 nobody could sign in")
        if not 0 <= reuse_leeway <= _MAX_REUSE_LEEWAY:
            raise ConfigurationError("reuse_leeway is 0 to 60 seconds; 0 is strict")
        self._store = store
        self._accounts = accounts
        self._access_tokens = access_tokens
        self._revocations = revocations
        self._roles = roles
        self._lifetime = lifetime
        self._family_lifetime = family_lifetime
        self._families_per_subject = families_per_subject
        self._reuse_leeway = reuse_leeway
        self._clock = clock
        self._running = ShieldedTasks()

    async def issue(
        self,
        account: Account,
        *,
        client_id: str,
        scopes: Iterable[str] | None = None,
        authenticated_at: float | None = None,
    ) -> Tokens:
        """The first pair of a new family, for an account that has just proved itself (or did ``authenticated_at``).

        ``account`` is as it was read with the proof; InvalidCredentials where it is disabled or its epoch is known to
        have risen since. More ``scopes`` than its roles grant are InsufficientScope.
        """
        known = 0 if self._revocations is None else self._revocations.subject_epoch(account.subject)
        if account.is_disabled or account.epoch < known:
            raise InvalidCredentials(_why_not(account))
        now = self._clock.now()
        wanted = None if scopes is None else frozenset(scopes)
        if wanted is not None and narrow(self._roles.scopes(account.roles), wanted) is None:
            raise InsufficientScope(wanted)
        member_secret, secret = mint_id(), mint_secret()
        family = RefreshFamily(
            family_id=mint_id(),
            subject=account.subject,
            client_id=client_id,
            scopes=wanted,
            epoch=account.epoch,
            authenticated_at=now if authenticated_at is None else authenticated_at,
            member_digest=digest(member_secret),
            current_digest=digest(secret),
            created_at=now,
            rotated_at=now,
            idle_expires_at=now + min(self._lifetime, self._family_lifetime),
            expires_at=now + self._family_lifetime,
        )
        await self._running.run(self._begin(family))
        return self._pair(family, account, member_secret, secret)

    async def rotate(self, refresh_token: str, *, client_id: str) -> Tokens:
        """The next pair for a refresh token, which is spent by it (RFC 6749 §6).

        Raises InvalidToken for whatever is not the live token of a living family of this client. Of any concurrent
        calls with one token, in any number of processes, one gets a pair and the others are reuse; with a leeway all
        get the same. Roles and scopes are those the account has now, never more than the family began with.
        """
        parts = parse(refresh_token, prefix=_PREFIX, widths=_WIDTHS)
        if parts is None:
            raise InvalidToken(Reason.REFRESH_MALFORMED)
        return await self._running.run(self._rotate(*parts, client_id=client_id))

    async def revoke(self, refresh_token: str) -> bool:
        """End the family of a refresh token, live or spent, and its access tokens (RFC 7009 §2.1).

        False, and nothing happens, for a token that is none of ours. Durable when it returns; idempotent.
        """
        parts = parse(refresh_token, prefix=_PREFIX, widths=_WIDTHS)
        if parts is None:
            return False
        family_id, member_secret, _ = parts
        return await self._running.run(self._end(family_id, digest(member_secret))) is not None

    async def revoke_family(self, family_id: str) -> bool:
        """End a family by its id, the ``sid`` of its access tokens, as ``revoke`` does. An id proves nothing."""
        return await self._running.run(self._end(family_id, None)) is not None

    async def close(self) -> None:
        """Complete what was begun."""
        await self._running.ended()

    async def _begin(self, family: RefreshFamily) -> None:
        cap = self._families_per_subject
        for ended in await self._store.create(family, families_per_subject=cap, now=family.created_at):
            await self._end_access(ended)

    async def _rotate(self, family_id: str, member_secret: str, secret: str, *, client_id: str) -> Tokens:
        now = self._clock.now()
        salt = token_bytes(32)
        child = derive_secret(secret, salt)
        outcome = await self._store.advance(
            family_id,
            client_id=client_id,
            member_digest=digest(member_secret),
            presented_digest=digest(secret),
            child_digest=digest(child),
            salt=salt,
            call_id=token_bytes(16),
            idle_expires_at=now + self._lifetime,
            reuse_leeway=self._reuse_leeway,
            now=now,
        )
        match outcome:
            case None | Expired():
                raise InvalidToken(Reason.REFRESH_UNKNOWN if outcome is None else Reason.REFRESH_EXPIRED)
            case Reused():
                await self._end_subject(outcome)
                raise InvalidToken(Reason.REFRESH_REUSED)
            case Repeated(family):
                child = derive_secret(secret, family.salt or b"")
        return self._pair(outcome.family, await self._present_account(outcome.family), member_secret, child)

    async def _end_subject(self, reused: Reused) -> None:
        # Each time, not only the first: whoever found it first may have died before it was done.
        family = reused.family
        if reused.first:
            logger.warning("refresh token reused: family %s, subject %s", family.family_id, family.subject)
        await self._accounts.end_credentials(family.subject, at_least=family.epoch + 1)

    async def _present_account(self, family: RefreshFamily) -> Account:
        # Read after the advance: what changed before it is seen, what changes after it raises the epoch.
        account = await self._accounts.get(family.subject)
        if account is None or account.is_disabled or account.epoch > family.epoch:
            ended = await self._end(family.family_id, None)
            # Reuse that was found meanwhile: every race has its one winner, whose tokens are dead already.
            if account is None or account.is_disabled or ended is None or ended.revoked_by is None:
                raise InvalidToken(_why_not(account))
        return account

    async def _end(self, family_id: str, member_digest: bytes | None) -> RefreshFamily | None:
        # The row first: a caller who was not answered repeats it with what must still be good for that.
        family = await self._store.revoke(family_id, member_digest=member_digest, now=self._clock.now())
        if family is not None:
            await self._end_access(family_id)
        return family

    async def _end_access(self, family_id: str) -> None:
        if self._revocations is not None:
            until = self._clock.now() + self._access_tokens.revocation_lifetime
            await self._revocations.revoke(RevocationKind.SESSION, family_id, until=until)

    def _pair(self, family: RefreshFamily, account: Account, member_secret: str, secret: str) -> Tokens:
        granted = self._roles.scopes(account.roles)
        scopes, roles = granted, account.roles
        if family.scopes is not None:
            # A narrowed token of an administrator is not an administrator's.
            scopes, roles = frozenset(scope for scope in family.scopes if grants(granted, scope)), frozenset()
        access_token = self._access_tokens.issue(
            subject=family.subject,
            client_id=family.client_id,
            scopes=scopes,
            roles=roles,
            epoch=family.epoch,
            auth_time=family.authenticated_at,
            sid=family.family_id,
        )
        return Tokens(
            access_token=access_token.value,
            refresh_token=encode(_PREFIX, family.family_id, member_secret, secret),
            expires_in=access_token.expires_in,
            scope=" ".join(sorted(scopes)),
        )


def _why_not(account: Account | None) -> Reason:
    if account is None:
        return Reason.ACCOUNT_UNKNOWN
    return Reason.ACCOUNT_DISABLED if account.is_disabled else Reason.EPOCH_OLD
