"""Accounts in memory."""

from dataclasses import replace

from asgi_auth.accounts import Account

__all__ = ["MemoryAccounts"]


class MemoryAccounts:
    """An ``AccountStore`` for one event loop. Each verb keeps what ``AccountStore`` says of it."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._subjects: dict[str, str] = {}

    async def create(self, account: Account) -> bool:
        """Store a new account; False, and nothing stored, where the subject or the e-mail is taken."""
        if account.subject in self._accounts or account.email in self._subjects:
            return False
        self._accounts[account.subject] = account
        self._subjects[account.email] = account.subject
        return True

    async def get(self, subject: str) -> Account | None:
        """The account of ``subject``, or None."""
        return self._accounts.get(subject)

    async def get_by_email(self, email: str) -> Account | None:
        """The account with exactly this canonical e-mail, or None."""
        subject = self._subjects.get(email)
        return None if subject is None else self._accounts[subject]

    async def update(self, expected: Account, changed: Account) -> bool:
        """Write ``changed`` iff the account is still as ``expected``."""
        stored = self._accounts.get(expected.subject)
        if stored is None or _state(stored) != _state(expected):
            return False
        self._accounts[expected.subject] = replace(
            stored,
            password_hash=changed.password_hash,
            roles=changed.roles,
            disabled_at=changed.disabled_at,
            epoch=changed.epoch,
        )
        return True

    async def raise_epoch(self, subject: str, at_least: int) -> int:
        """Raise the subject's epoch to ``at_least`` unless it is higher; the stored epoch."""
        stored = self._accounts.get(subject)
        if stored is None:
            return at_least
        epoch = max(stored.epoch, at_least)
        self._accounts[subject] = replace(stored, epoch=epoch)
        return epoch


def _state(account: Account) -> tuple[str | None, frozenset[str], float | None, int]:
    return account.password_hash, account.roles, account.disabled_at, account.epoch
