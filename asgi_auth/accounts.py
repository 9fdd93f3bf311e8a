"""Accounts: who can sign in with a password, what they are, and what ends with them.

Left out: second factors, e-mail verification and links to other providers.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from .account_store import Account, AccountStore, SubjectCredentials
from .authorization import Roles
from .clock import SYSTEM_CLOCK, Clock
from .emails import canonical_email
from .errors import (
    Busy,
    ConfigurationError,
    Conflict,
    FieldError,
    Invalid,
    InvalidCredentials,
    Reason,
    StoreUnavailable,
)
from .hashing_pool import HashingPool
from .lockout import OPEN, UNKNOWN, Attempt, LockoutGuard, Visitor
from .passwords import PasswordHasher, PasswordPolicy, normalize_password
from .revocations import RevocationKind, Revocations
from .shielded import ShieldedTasks
from .tokens import mint_id

__all__ = ["Account", "AccountStore", "Accounts", "SubjectCredentials"]

_ATTEMPTS = 10
"""Each lost one means that somebody else changed the same account meanwhile."""


class Accounts:
    """Registers, authenticates, changes and ends accounts.

    Passwords are hashed and verified in ``hashing``'s one thread, never on the event loop; where its queue is full the
    verbs that need it raise Busy (503, Retry-After). All verbs raise StoreUnavailable (503) where the store does.

    An *ending* makes every credential of a subject void. Its order is always the same: the account's row with the
    raised epoch, the revocation row, the deletions in ``credentials``, the answer. A caller that is cancelled does not
    interrupt it. If a store fails in its middle the caller gets 503, refresh tokens and sessions are dead by the epoch
    already, and ``end_credentials`` completes it.

    ``credential_lifetime``: seconds until the last access token that could have been issued before now has expired;
    revocation rows live that long. ``revocations=None``, by name, means that access tokens live on until they expire.
    ``breached`` is asked, with the normalised password, before a password is set; what it raises passes, so it decides
    itself what an outage of its source means.

    ``lockout`` counts the attempts to authenticate and to change a password, before a hash is consulted; None, by name,
    means that a password can be guessed for ever. Unknown ``default_roles`` are a ConfigurationError.
    """

    def __init__(
        self,
        store: AccountStore,
        *,
        passwords: PasswordHasher,
        password_policy: PasswordPolicy,
        revocations: Revocations | None,
        roles: Roles,
        credential_lifetime: float,
        credentials: Sequence[SubjectCredentials] = (),
        default_roles: Iterable[str] = (),
        email: Callable[[str], str] = canonical_email,
        breached: Callable[[str], Awaitable[bool]] | None = None,
        lockout: LockoutGuard | None = None,
        hashing: HashingPool | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._policy = password_policy
        self._revocations = revocations
        self._credentials = tuple(credentials)
        self._roles = roles
        self._default_roles = frozenset(default_roles)
        self._credential_lifetime = credential_lifetime
        self._email = email
        self._breached = breached
        self._lockout = lockout
        self._hashing = HashingPool() if hashing is None else hashing
        self._clock = clock
        self._endings = ShieldedTasks()
        if not all(map(roles.is_known, self._default_roles)):
            raise ConfigurationError("default_roles names a role that roles does not have")

    async def open(self) -> None:
        """Start the hashing thread and let it do what the first login would wait for."""
        await self._hashing.run(self._passwords.warm)

    async def close(self) -> None:
        """Complete what was begun and end the hashing thread. Idempotent; a later use starts it again."""
        await self._endings.ended()
        await self._hashing.close()

    async def register(self, email: str, password: str, *, roles: Iterable[str] | None = None) -> Account:
        """Make an account with these roles, or with ``default_roles``; its e-mail is the canonical one.

        Raises Invalid, which lists the fields, where the e-mail is no address, the password not acceptable or a role
        unknown; Conflict where the e-mail is taken. A taken e-mail costs the same work as a free one. Of any number of
        concurrent calls with one e-mail one succeeds.
        """
        canonical = self._canonical(email)
        granted = self._default_roles if roles is None else self._known_roles(roles)
        errors = [] if canonical else [FieldError("email", "invalid")]
        errors += await self._password_errors("password", password, canonical or "")
        if errors or not canonical:
            raise Invalid(errors)
        account = Account(
            subject=mint_id(),
            email=canonical,
            password_hash=await self._hash(password),
            roles=granted,
            created_at=self._clock.now(),
        )
        if not await self._store.create(account):
            raise Conflict(Reason.EMAIL_TAKEN)
        return account

    async def authenticate(self, email: str, password: str, *, visitor: Visitor = UNKNOWN) -> Account:
        """The account that ``email`` and ``password`` open, with the epoch that was read together with its hash.

        Raises InvalidCredentials, one answer after the same work, where the account is unknown, disabled, locked or
        without a password, and where the password is wrong or malformed; TooManyRequests, before any work, where the
        visitor's address or everybody has failed too often, whatever the e-mail. (A hash that
        another system made slower than ours is refused slower until its owner's next login: see ``PasswordHasher``.) A
        hash with other parameters than the present ones is replaced, unless the account has changed meanwhile.
        """
        attempt = OPEN if self._lockout is None else await self._lockout.charge(email, visitor)
        account, new_hash = await self._proved(await self.get_by_email(email), password, attempt)
        return account if new_hash is None else await self._rehashed(account, new_hash)

    async def get(self, subject: str) -> Account | None:
        """The account of ``subject``, or None."""
        return await self._store.get(subject)

    async def get_by_email(self, email: str) -> Account | None:
        """The account with this e-mail in any spelling, or None."""
        canonical = self._canonical(email)
        return None if canonical is None else await self._store.get_by_email(canonical)

    async def change_password(
        self, subject: str, current_password: str, new_password: str, *, visitor: Visitor = UNKNOWN
    ) -> Account:
        """Set a new password for the current one and end every credential of before; the account of the new epoch.

        Raises InvalidCredentials and TooManyRequests as ``authenticate`` does, counted apart from it, the former also
        where another password was set while this one was verified; Invalid, field ``new_password``, where the new one
        is not acceptable. Of concurrent calls with one current password one succeeds.
        """
        found = await self._store.get(subject)
        attempt = OPEN
        if self._lockout is not None:
            attempt = await self._lockout.charge_signed_in("" if found is None else found.email, visitor)
        account, _ = await self._proved(found, current_password, attempt)
        new_hash = await self._acceptable_hash("new_password", new_password, account.email)

        def with_new_password(current: Account) -> Account:
            if current.password_hash != account.password_hash or current.is_disabled:
                raise InvalidCredentials(Reason.ACCOUNT_CHANGED)
            return replace(current, password_hash=new_hash, epoch=current.epoch + 1)

        return await self._endings.run(self._change_and_end(account, with_new_password))

    async def set_password(self, subject: str, new_password: str) -> Account:
        """Set a password without the current one, as an administrator, and end every credential of before.

        Raises Invalid, field ``new_password``, where it is not acceptable, or field ``subject`` where that is unknown.
        """
        account = await self._known(subject)
        new_hash = await self._acceptable_hash("new_password", new_password, account.email)
        return await self._endings.run(
            self._change_and_end(account, lambda now: replace(now, password_hash=new_hash, epoch=now.epoch + 1))
        )

    async def disable(self, subject: str) -> Account:
        """Refuse the account from now on and end every credential it has; also where it was disabled before.

        API keys, which outlive epochs, are refused while it is disabled: whoever has cached the account drops it, and
        what hangs on a key ends. Raises Invalid, field ``subject``, where that is unknown.
        """
        account = await self._known(subject)
        at = self._clock.now()

        def disabled(current: Account) -> Account:
            since = at if current.disabled_at is None else current.disabled_at
            return replace(current, disabled_at=since, epoch=current.epoch + 1)

        async def disable_and_end() -> Account:
            changed = await self._change_and_tell(account, disabled)
            await self._end(changed.subject, changed.epoch)
            return changed

        return await self._endings.run(disable_and_end())

    async def enable(self, subject: str) -> Account:
        """Let the account sign in again, and its API keys work again; other credentials of before stay dead.

        Raises Invalid where it is unknown.
        """
        account = await self._known(subject)
        return await self._endings.run(self._change_and_tell(account, lambda now: replace(now, disabled_at=None)))

    async def set_roles(self, subject: str, roles: Iterable[str]) -> Account:
        """Give the account these roles and no others.

        They count from its next token on; every worker drops what it has cached of the subject. An access token of
        before carries the old roles until it expires: call ``end_credentials`` too where that is too long. Raises
        Invalid, field ``roles`` or ``subject``, where one of them is unknown.
        """
        granted = self._known_roles(roles)
        account = await self._known(subject)
        return await self._endings.run(self._change_and_tell(account, lambda now: replace(now, roles=granted)))

    async def end_credentials(self, subject: str, *, at_least: int | None = None) -> int:
        """Log out everywhere: end every credential below the new epoch, which is returned.

        The epoch rises by one, or to ``at_least`` unless it is higher already; with ``at_least`` a call may be
        repeated, and the account need not exist. Without it an unknown subject is Invalid.
        """
        epoch = (await self._known(subject)).epoch + 1 if at_least is None else at_least

        async def raise_and_end() -> int:
            reached = await self._store.raise_epoch(subject, epoch)
            await self._end(subject, reached)
            return reached

        return await self._endings.run(raise_and_end())

    def _canonical(self, email: str) -> str | None:
        try:
            return self._email(email)
        except ValueError:
            return None

    def _known_roles(self, roles: Iterable[str]) -> frozenset[str]:
        granted = frozenset(roles)
        if not all(map(self._roles.is_known, granted)):
            raise Invalid((FieldError("roles", "unknown"),))
        return granted

    async def _known(self, subject: str) -> Account:
        account = await self._store.get(subject)
        if account is None:
            raise Invalid((FieldError("subject", "unknown"),))
        return account

    async def _acceptable_hash(self, field: str, password: str, email: str) -> str:
        errors = await self._password_errors(field, password, email)
        if errors:
            raise Invalid(errors)
        return await self._hash(password)

    async def _password_errors(self, field: str, password: str, email: str) -> list[FieldError]:
        codes = self._policy.check(password, _words_of(email))
        if not codes and self._breached is not None and await self._breached(normalize_password(password)):
            codes = ("breached",)
        return [FieldError(field, code) for code in codes]

    async def _hash(self, password: str) -> str:
        return await self._hashing.run(partial(self._passwords.hash, password))

    async def _proved(self, account: Account | None, password: str, attempt: Attempt) -> tuple[Account, str | None]:
        """The account that the password opens, and a better hash for it. One job, whatever the account is.

        The attempt is refunded if it does. Raises InvalidCredentials where it does not.
        """
        asked = account if attempt.is_open else None
        try:
            proved, new_hash = await self._hashing.run(partial(_proof, self._passwords, asked, password))
        except Busy:
            await self._refund(attempt)  # nothing was verified
            raise
        if asked is None or not proved:
            raise InvalidCredentials(_why(account) if attempt.is_open else Reason.ACCOUNT_LOCKED)
        await self._refund(attempt)
        return asked, new_hash

    async def _refund(self, attempt: Attempt) -> None:
        if self._lockout is not None:
            await self._lockout.refund(attempt)

    async def _rehashed(self, account: Account, new_hash: str) -> Account:
        changed = replace(account, password_hash=new_hash)
        return changed if await self._store.update(account, changed) else account

    async def _change(self, account: Account, change: Callable[[Account], Account]) -> Account:
        """Compare and set ``change`` of the account; it is asked again, and may refuse, where the row has moved on."""
        for _ in range(_ATTEMPTS):
            changed = change(account)
            if await self._store.update(account, changed):
                return changed
            account = await self._known(account.subject)
        raise StoreUnavailable

    async def _change_and_tell(self, account: Account, change: Callable[[Account], Account]) -> Account:
        changed = await self._change(account, change)
        await self._tell(RevocationKind.CHANGED, changed.subject, None)
        return changed

    async def _change_and_end(self, account: Account, change: Callable[[Account], Account]) -> Account:
        changed = await self._change(account, change)
        await self._end(changed.subject, changed.epoch)
        return changed

    async def _end(self, subject: str, epoch: int) -> None:
        await self._tell(RevocationKind.SUBJECT, subject, epoch)
        for store in self._credentials:
            await store.revoke_subject(subject, below_epoch=epoch, now=self._clock.now())

    async def _tell(self, kind: RevocationKind, subject: str, epoch: int | None) -> None:
        if self._revocations is not None:
            until = self._clock.now() + self._credential_lifetime
            await self._revocations.revoke(kind, subject, epoch=epoch, until=until)


def _proof(passwords: PasswordHasher, account: Account | None, password: str) -> tuple[bool, str | None]:
    if account is None:
        return passwords.verify_and_update(password, None)
    if account.is_disabled:
        passwords.verify(password, account.password_hash)  # a better hash is for whoever may sign in
        return False, None
    return passwords.verify_and_update(password, account.password_hash)


def _why(account: Account | None) -> Reason:
    if account is None:
        return Reason.ACCOUNT_UNKNOWN
    if account.is_disabled:
        return Reason.ACCOUNT_DISABLED
    return Reason.PASSWORD_NOT_SET if account.password_hash is None else Reason.PASSWORD_WRONG


def _words_of(email: str) -> tuple[str, ...]:
    """What a password must not be made of: the local part and the domain, without its top level."""
    local, _, domain = email.partition("@")
    labels = domain.split(".")
    return (local, *(labels[:-1] or labels))
