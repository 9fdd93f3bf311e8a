"""Sessions of browsers: an opaque cookie, everything else on the server.

Left out: data in the cookie, and anything but JSON as data.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from weakref import WeakValueDictionary

from .accounts import Account
from .authorization import Roles
from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError, InvalidCredentials, Reason, StoreUnavailable
from .live import LiveConnections, LiveCredential
from .present_accounts import PresentAccounts
from .principal import Principal
from .revocations import Revocable, RevocationKind, Revocations
from .session_data import NO_CHANGES, NO_DATA, Changes
from .session_store import Found, Lost, Renewal, Session, SessionStore, SignedIn
from .shielded import ShieldedTasks
from .tokens import SECRET_LENGTH, derive_secret, digest, encode, is_id, matches, mint_id, mint_secret, parse

__all__ = ["Session", "SessionStore", "Sessions", "cookie_of", "csrf_token", "secret_of"]

_PREFIX = "s"
_CSRF_LABEL = b"asgi_auth csrf token"
_NOBODY = digest("")
_TOUCHES = 20
"""How often, at most, a use is written while the idle timeout passes once."""
_ATTEMPTS = 10
"""Each lost one means that another request saved the same session meanwhile."""
_REMEMBERED = 1024


def cookie_of(session: Session, secret: str) -> str:
    """What the cookie holds."""
    return encode(_PREFIX, session.session_id, secret)


def secret_of(cookie: bytes) -> str | None:
    """The secret in a cookie of ours, whoever made it."""
    parts = _parsed(cookie)
    return None if parts is None else parts[1]


def csrf_token(secret: str) -> str:
    """What a page of the session shows to prove itself; it says nothing of the secret, and changes with it."""
    return derive_secret(secret, _CSRF_LABEL)


class Sessions:
    """Begins, finds, saves and ends sessions. One read for each use; the store gets digests alone.

    A session ends ``idle_timeout`` seconds after its last use and ``lifetime`` seconds after its sign-in, on the
    server. Its id stays, and its secret is renewed at every sign-in and where the roles of its subject have changed.
    ``issuer`` is the realm, and whose pages use sessions unless the session layer is told otherwise. Revocations live
    ``credential_lifetime`` seconds. ``revocations=None``, by name, means that no open connection is ended.

    Impossible lifetimes are a ConfigurationError. All verbs raise StoreUnavailable with the store, and Stale where the
    revocations cannot be known.
    """

    def __init__(
        self,
        store: SessionStore,
        accounts: PresentAccounts,
        revocations: Revocations | None,
        *,
        issuer: str,
        roles: Roles,
        idle_timeout: float = 1800,
        lifetime: float = 12 * 3600,
        credential_lifetime: float = 900,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not (0 < idle_timeout < math.inf and 0 < lifetime < math.inf):
            raise ConfigurationError("session_idle_timeout and session_lifetime are numbers of seconds above 0")
        self.issuer = issuer
        self.clock = clock
        self._store = store
        self._accounts = accounts
        self._cached = accounts.cached
        self._now = clock.now
        self._revocations = revocations
        self._roles = roles
        self._idle_timeout = idle_timeout
        self._touch_interval = idle_timeout / _TOUCHES
        self._lifetime = lifetime
        self._credential_lifetime = credential_lifetime
        self._live = None if revocations is None else LiveConnections(revocations, clock=clock)
        self._known: dict[bytes, Found] = {}
        self._endings = ShieldedTasks()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """Complete the endings that were begun."""
        await self._endings.ended()

    async def find(self, cookie: bytes) -> Found | Lost:
        """The living session of a cookie, and who is signed in by it. Whatever the bytes; junk costs no I/O."""
        key = sha256(cookie).digest()
        known = self._known.get(key)
        if known is not None:
            session = await self._store.get(known.session.session_id)
            # A store in memory gives the very session it gave before: nothing to be made anew.
            if session is known.session and self._now() < known.good_until:
                account, feed = known.account, self._revocations
                is_told = feed is None or known.feed != feed.version
                if account is None or (not is_told and self._cached(account.subject) is account):
                    return known
            return await self._judged(key, session, known.session.secret_digest)
        parts = _parsed(cookie)
        if parts is None:
            return Lost.OVER
        return await self._judged(key, await self._store.get(parts[0]), digest(parts[1]))

    async def touch(self, session: Session) -> None:
        """Write that the session is used now."""
        now = self.clock.now()
        await self._store.touch(session.session_id, last_seen_at=now, idle_expires_at=now + self._idle_timeout, now=now)

    async def begin(self, secret: str, *, device: str, data: str) -> Session:
        """A new session of nobody, for its data."""
        session = self._new(secret, device, data=data)
        if not await self._store.create(session):
            raise StoreUnavailable
        return session

    async def sign_in(
        self, subject: str, *, epoch: int | None, device: str, before: Session | None, changes: Changes
    ) -> SignedIn:
        """A session of ``subject``, who has just proved itself, in place of the one of ``before``, which is dead then.

        ``epoch``: the account's, as it was read with the proof; None: as it is now. The data, with ``changes``, is
        carried over from a session of nobody and of the same subject; from another subject's nothing is, nor its id.
        Where ``before`` has ended or another request has renewed it meanwhile, the session is a new one all the same:
        of any concurrent sign-ins with one cookie each gets a session of its own, one of them the old id.
        Raises InvalidCredentials where the account is unknown, disabled, or known to have a higher epoch.
        """
        account = await self._account(subject, epoch)
        secret = mint_secret()
        fresh = self._new(secret, device, account=account, epoch=account.epoch if epoch is None else epoch)
        for _ in range(_ATTEMPTS):
            new = _in_place_of(before, fresh, changes)
            if await (self._store.create(new) if before is None else self._replace(before, new)):
                return SignedIn(new, self._principal(new, account), secret)
            if before is not None:
                before = await self._unless_renewed(before, new)
            if before is None:
                fresh, changes = replace(new, session_id=mint_id(), version=0), NO_CHANGES
        raise StoreUnavailable

    async def save(self, session: Session, changes: Changes, *, renewal: Renewal | None) -> Session | Lost:
        """Make a request's changes to the data, and the renewal of the secret that it owes, in one step.

        Others may have saved the session meanwhile: the changes are made again to what is there now, so that of two
        requests that set another name each both are kept, and of two with one name the last. Requests of this process
        wait for each other. What was ended is never brought back, and a sign-in meanwhile takes nothing from requests
        of before it. A renewal that another request was faster with is not made again: the session that is returned
        has that one's secret.
        """
        async with self._turns.setdefault(session.session_id, asyncio.Lock()):
            return await self._saved(session, changes, renewal)

    async def _saved(self, session: Session, changes: Changes, renewal: Renewal | None) -> Session | Lost:
        before = session
        for _ in range(_ATTEMPTS):
            new = replace(before, data=changes.applied_to(before.data), version=before.version + 1)
            if renewal is not None:
                new = self._renewed(new, renewal)
            if await (self._save(new) if renewal is None else self._replace(before, new)):
                return new
            newer = await self._store.get(session.session_id)
            if newer is None or not newer.is_live(self.clock.now()):
                return Lost.OVER
            if not _is_same_sign_in(newer, session):
                return Lost.SUPERSEDED
            if not matches(newer.secret_digest, before.secret_digest):
                renewal = None
            if renewal is None and not changes:
                return newer
            before = newer
        raise StoreUnavailable

    def _renewed(self, session: Session, renewal: Renewal) -> Session:
        # A use, which has been written already: what is put in its place must not take it back.
        now = self.clock.now()
        return replace(
            session,
            secret_digest=digest(renewal.secret),
            roles=renewal.roles,
            last_seen_at=max(session.last_seen_at, now),
            idle_expires_at=max(session.idle_expires_at, min(now + self._idle_timeout, session.expires_at)),
        )

    async def list(self, subject: str) -> tuple[Session, ...]:
        """The living sessions of ``subject``, the newest first."""
        return await self._store.list(subject, now=self.clock.now())

    async def end(self, subject: str, session_id: str) -> bool:
        """End one session of ``subject``, here at once and everywhere; whether there was one."""
        session = await self._store.get(session_id) if is_id(session_id) else None
        if session is None or session.subject != subject or not session.is_live(self.clock.now()):
            return False
        await self.log_out(session)
        return True

    async def end_others(self, subject: str, keep: str | None) -> int:
        """End all sessions of ``subject`` but the one whose id is ``keep``; how many."""
        return await self._endings.run(self._end_others(subject, keep))

    async def log_out(self, session: Session) -> None:
        """End a session. Durable when it returns, and it is done although the caller leaves; idempotent."""
        await self._endings.run(self._end(session))

    def watch(
        self, session: Session, end: Callable[[], None], *, roles: frozenset[str] | None = None
    ) -> Callable[[], None]:
        """Call ``end`` once, when ``session`` ends or its subject's rights change.

        ``roles`` are those that the caller was found to have; with None, those of the session.
        Call what is returned when nobody waits for it any more. Without revocations nothing is ever ended.
        """
        if self._live is None or session.subject is None:
            return _nothing
        revocable = Revocable(((RevocationKind.SESSION, session.session_id),), session.subject, session.epoch)
        ends_at = min(session.idle_expires_at, session.expires_at)
        renewed = partial(self._still_lives, session, session.roles if roles is None else roles)
        changed_by = ((RevocationKind.CHANGED, session.subject),)
        return self._live.add(LiveCredential(revocable, ends_at, renewed, changed_by), end)

    async def _judged(self, key: bytes, session: Session | None, secret_digest: bytes) -> Found | Lost:
        # An unknown id costs the same comparison.
        is_proved = matches(secret_digest, _NOBODY if session is None else session.secret_digest)
        if session is None or not session.is_live(self.clock.now()):
            return Lost.OVER
        if not is_proved:
            return Lost.SUPERSEDED
        account = None
        if session.subject is not None:
            account = await self._accounts.get(session.subject)
            if account is None or self._has_ended(session, account):
                return Lost.OVER
        found = self._found(session, account)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def _found(self, session: Session, account: Account | None) -> Found:
        due_at = session.last_seen_at + self._touch_interval
        return Found(
            session=session,
            account=account,
            principal=None if account is None else self._principal(session, account),
            other_roles=None if account is None or account.roles == session.roles else account.roles,
            is_due=self.clock.now() >= due_at,
            good_until=min(due_at, session.idle_expires_at, session.expires_at),
            feed=0 if self._revocations is None else self._revocations.version,
        )

    def _has_ended(self, session: Session, account: Account) -> bool:
        if account.is_disabled or account.epoch > session.epoch:
            return True
        revocations = self._revocations
        return revocations is not None and revocations.is_revoked(RevocationKind.SESSION, session.session_id)

    async def _still_lives(self, session: Session, roles: frozenset[str]) -> float | None:
        newer = await self._store.get(session.session_id)
        if newer is None or newer.subject != session.subject or newer.subject is None:
            return None
        account = await self._accounts.get(newer.subject)
        if account is None or account.roles != roles or self._has_ended(newer, account):
            return None
        return min(newer.idle_expires_at, newer.expires_at)

    async def _account(self, subject: str, epoch: int | None) -> Account:
        account = await self._accounts.get(subject)
        if account is None:
            raise InvalidCredentials(Reason.ACCOUNT_UNKNOWN)
        if account.is_disabled or (epoch is not None and epoch < account.epoch):
            raise InvalidCredentials(Reason.ACCOUNT_DISABLED if account.is_disabled else Reason.EPOCH_OLD)
        return account

    def _new(
        self, secret: str, device: str, *, data: str = NO_DATA, account: Account | None = None, epoch: int = 0
    ) -> Session:
        now = self.clock.now()
        return Session(
            session_id=mint_id(),
            secret_digest=digest(secret),
            subject=None if account is None else account.subject,
            epoch=epoch,
            roles=frozenset() if account is None else account.roles,
            authenticated_at=None if account is None else now,
            device=device,
            data=data,
            version=0,
            created_at=now,
            last_seen_at=now,
            idle_expires_at=now + min(self._idle_timeout, self._lifetime),
            expires_at=now + self._lifetime,
        )

    def _principal(self, session: Session, account: Account) -> Principal:
        return Principal(
            subject=account.subject,
            scheme="session",
            scopes=self._roles.scopes(account.roles),
            roles=account.roles,
            credential_id=session.session_id,
            authenticated_at=session.authenticated_at,
            expires_at=session.expires_at,
        )

    async def _save(self, new: Session) -> bool:
        return await self._store.save(new.session_id, version=new.version - 1, data=new.data, now=self.clock.now())

    async def _replace(self, before: Session, new: Session) -> bool:
        if new.session_id != before.session_id:
            await self._tell(before.session_id)
        return await self._store.replace(
            before.session_id,
            secret_digest=before.secret_digest,
            version=before.version,
            new=new,
            now=self.clock.now(),
        )

    async def _unless_renewed(self, session: Session, new: Session) -> Session | None:
        newer = await self._store.get(session.session_id)
        if newer is None or not newer.is_live(self.clock.now()):
            return None
        if matches(newer.secret_digest, session.secret_digest):
            return newer
        if new.session_id != session.session_id:
            # It was told as ended before it was to be replaced: it must not live again when that is forgotten.
            await self._store.delete(session.session_id, subject=session.subject)
        return None

    async def _end(self, session: Session) -> None:
        if session.subject is not None:
            await self._tell(session.session_id)
        await self._store.delete(session.session_id, subject=session.subject)

    async def _end_others(self, subject: str, keep: str | None) -> int:
        told = {session.session_id for session in await self.list(subject)} - {keep}
        for session_id in told:
            await self._tell(session_id)
        ended = await self._store.delete_all(subject, keep=keep)
        for session_id in set(ended) - told:
            await self._tell(session_id)
        return len(ended)

    async def _tell(self, session_id: str) -> None:
        if self._revocations is not None:
            until = self.clock.now() + self._credential_lifetime
            await self._revocations.revoke(RevocationKind.SESSION, session_id, until=until)


def _parsed(cookie: bytes) -> tuple[str, ...] | None:
    return parse(cookie.decode("latin-1"), prefix=_PREFIX, widths=(SECRET_LENGTH,))


def _in_place_of(before: Session | None, fresh: Session, changes: Changes) -> Session:
    """The session to come, with what is carried over: the id and the data, unless they are another subject's."""
    if before is None:
        return replace(fresh, data=changes.applied_to(fresh.data))
    if before.subject not in (None, fresh.subject):
        return fresh
    data = changes.applied_to(before.data)
    return replace(fresh, session_id=before.session_id, version=before.version + 1, data=data)


def _is_same_sign_in(left: Session, right: Session) -> bool:
    return (left.subject, left.epoch, left.authenticated_at) == (right.subject, right.epoch, right.authenticated_at)


def _nothing() -> None:
    pass
