"""Stores in one SQLite file, through aiosqlite: durable, and shared by every process on the machine.

Beside this namespace there is one file a store; its tables come from the numbered steps in ``migrations/``.
Left out: files on a network, where a write-ahead log does not work.
"""

import os
import sqlite3

from asgi_auth.stores.sqlite.accounts import SQLiteAccounts
from asgi_auth.stores.sqlite.api_keys import SQLiteAPIKeys
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.files import database_path
from asgi_auth.stores.sqlite.lockout import SQLiteLockout
from asgi_auth.stores.sqlite.one_time import SQLiteOneTime
from asgi_auth.stores.sqlite.refresh_tokens import SQLiteRefreshTokens
from asgi_auth.stores.sqlite.revocations import SQLiteRevocations
from asgi_auth.stores.sqlite.schema import load_migrations, require_version
from asgi_auth.stores.sqlite.sessions import SQLiteSessions

__all__ = [
    "SQLiteAPIKeys",
    "SQLiteAccounts",
    "SQLiteLockout",
    "SQLiteOneTime",
    "SQLiteRefreshTokens",
    "SQLiteRevocations",
    "SQLiteSessions",
    "SQLiteStores",
]


class SQLiteStores:
    """Every store, in the file ``path``.

    ``.accounts .refresh_tokens .sessions .api_keys .one_time .lockout .revocations``.

    The file is created at ``open`` with mode 0600. ``deadline`` is in seconds: a verb that another writer keeps
    waiting longer than that is ``StoreUnavailable``, and nothing of it happened. A verb whose caller is cancelled may
    still take effect. ``ConfigurationError`` for a database in memory or a SQLite older than 3.35.
    """

    def __init__(self, path: str | os.PathLike[str], *, deadline: float = 1.5) -> None:
        require_version(sqlite3.sqlite_version_info)
        self._migrations = load_migrations()
        self._database = Database(database_path(path), deadline=deadline)
        self.accounts = SQLiteAccounts(self._database)
        self.refresh_tokens = SQLiteRefreshTokens(self._database)
        self.sessions = SQLiteSessions(self._database)
        self.api_keys = SQLiteAPIKeys(self._database)
        self.one_time = SQLiteOneTime(self._database)
        self.lockout = SQLiteLockout(self._database)
        self.revocations = SQLiteRevocations(self._database)

    async def open(self) -> None:
        """Open the file and apply the migrations that are missing. Again: nothing happens.

        ``ConfigurationError`` where the file cannot be used or was written by a newer version of this package.
        """
        await self._database.open(self._migrations)

    async def close(self) -> None:
        """Let what runs come to its end and close the file; afterwards every verb is ``StoreUnavailable``."""
        await self._database.close()
