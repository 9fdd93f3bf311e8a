"""What is remembered of accounts: the record, and what its store must keep."""

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Account", "AccountStore", "SubjectCredentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account as its store holds it."""

    subject: str
    email: str
    """Canonical; unique by constraint."""
    password_hash: str | None = field(repr=False)
    """In PHC or modular crypt format; None where no password was set."""
    roles: frozenset[str]
    epoch: int = 0
    """Credentials that carry a lower epoch are refused. It only rises."""
    disabled_at: float | None = None
    """Seconds since the epoch; None while the account is enabled."""
    created_at: float

    @property
    def is_disabled(self) -> bool:
        """Whether every credential of the account is refused."""
        return self.disabled_at is not None


class AccountStore(Protocol):
    """What must be remembered of accounts. Every verb is atomic alone and durable when it answers.

    All verbs raise ``StoreUnavailable`` where the backend does not answer in time.
    """

    async def create(self, account: Account) -> bool:
        """Store a new account. False, and nothing stored, where the subject or the e-mail is taken.

        Of any number of concurrent calls with one e-mail exactly one returns True (a constraint of
        the database, not a check before an insert).
        """
        ...

    async def get(self, subject: str) -> Account | None:
        """The account of ``subject``, or None."""
        ...

    async def get_by_email(self, email: str) -> Account | None:
        """The account with exactly this canonical e-mail, or None."""
        ...

    async def update(self, expected: Account, changed: Account) -> bool:
        """Compare and set, in one statement: write ``changed`` iff the row is still as ``expected``.

        Compared: ``password_hash``, ``roles``, ``disabled_at``, ``epoch``. Written: the same four; subject,
        e-mail and creation never change. False where the row differs or is gone. Of two concurrent
        calls with one ``expected`` and differing changes, one wins.
        """
        ...

    async def raise_epoch(self, subject: str, at_least: int) -> int:
        """Raise the subject's epoch to ``at_least`` unless it is higher, in one statement; the stored epoch.

        Idempotent; concurrent calls keep the greatest. For an unknown subject nothing is stored and
        ``at_least`` is returned.
        """
        ...


class SubjectCredentials(Protocol):
    """A store of credentials that end with their subject: ``RefreshTokenStore`` is one."""

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """End every credential of ``subject`` whose epoch is lower than ``below_epoch``; how many."""
        ...
