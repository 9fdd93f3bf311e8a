"""Accounts in SQLite."""

from asgi_auth.accounts import Account
from asgi_auth.stores.sqlite.codec import (
    INTEGER,
    REAL,
    REAL_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    checked,
    names,
    names_text,
)
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Rows

__all__ = ["SQLiteAccounts"]

COLUMNS = (TEXT, TEXT, TEXT_OR_NULL, TEXT, INTEGER, REAL_OR_NULL, REAL)

CREATE = """
INSERT INTO asgi_auth_accounts (subject, email, password_hash, roles, disabled_at, epoch, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
RETURNING 1
"""
GET = """
SELECT subject, email, password_hash, roles, epoch, disabled_at, created_at
FROM asgi_auth_accounts WHERE subject = ?
"""
GET_BY_EMAIL = """
SELECT subject, email, password_hash, roles, epoch, disabled_at, created_at
FROM asgi_auth_accounts WHERE email = ?
"""
UPDATE = """
UPDATE asgi_auth_accounts SET password_hash = ?, roles = ?, disabled_at = ?, epoch = ?
WHERE subject = ? AND password_hash IS ? AND roles = ? AND disabled_at IS ? AND epoch = ?
RETURNING 1
"""
RAISE_EPOCH = """
UPDATE asgi_auth_accounts SET epoch = MAX(epoch, ?) WHERE subject = ?
RETURNING epoch
"""


class SQLiteAccounts:
    """An ``AccountStore`` in one SQLite file. Each verb is one statement and keeps what ``AccountStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: Account) -> bool:
        """Store a new account; False, and nothing stored, where the subject or the e-mail is taken."""
        row = (account.subject, account.email, *_state(account), account.created_at)
        return bool(await self._database.write(CREATE, row))

    async def get(self, subject: str) -> Account | None:
        """The account of ``subject``, or None."""
        return _account(await self._database.read(GET, (subject,)))

    async def get_by_email(self, email: str) -> Account | None:
        """The account with exactly this canonical e-mail, or None."""
        return _account(await self._database.read(GET_BY_EMAIL, (email,)))

    async def update(self, expected: Account, changed: Account) -> bool:
        """Write ``changed`` iff the row is still as ``expected``."""
        return bool(await self._database.write(UPDATE, (*_state(changed), expected.subject, *_state(expected))))

    async def raise_epoch(self, subject: str, at_least: int) -> int:
        """Raise the subject's epoch to ``at_least`` unless it is higher; the stored epoch."""
        rows = await self._database.write(RAISE_EPOCH, (at_least, subject))
        return int(checked(rows[0], (INTEGER,))[0]) if rows else at_least


def _account(rows: Rows) -> Account | None:
    if not rows:
        return None
    subject, email, password_hash, roles, epoch, disabled_at, created_at = checked(rows[0], COLUMNS)
    return Account(
        subject=subject,
        email=email,
        password_hash=password_hash,
        roles=names(roles),
        epoch=epoch,
        disabled_at=disabled_at,
        created_at=created_at,
    )


def _state(account: Account) -> tuple[str | None, str, float | None, int]:
    return account.password_hash, names_text(account.roles), account.disabled_at, account.epoch
