"""One-time values in SQLite."""

from asgi_auth.stores.sqlite.codec import REAL, TEXT, checked
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Value

__all__ = ["SQLiteOneTime"]

# A value that has expired and was not purged yet is no obstacle.
PUT = """
INSERT INTO asgi_auth_one_time (key, value, expires_at) VALUES (:key, :value, :expires_at)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at WHERE expires_at <= :now
RETURNING 1
"""
TAKE = "DELETE FROM asgi_auth_one_time WHERE key = ? RETURNING value, expires_at"
PURGE = """
DELETE FROM asgi_auth_one_time WHERE key IN (
    SELECT key FROM asgi_auth_one_time WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
RETURNING 1
"""


class SQLiteOneTime:
    """A ``OneTimeStore`` in one SQLite file. Each verb is one statement and keeps what ``OneTimeStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, key: bytes, value: str, *, expires_at: float, now: float) -> bool:
        """Store ``value`` under ``key`` unless one is there that has not expired."""
        parameters: dict[str, Value] = {"key": key, "value": value, "expires_at": expires_at, "now": now}
        return bool(await self._database.write(PUT, parameters))

    async def take(self, key: bytes, *, now: float) -> str | None:
        """The value under ``key``, which is gone by that; None where there is none or it has expired."""
        rows = await self._database.write(TAKE, (key,))
        if not rows:
            return None
        value, expires_at = checked(rows[0], (TEXT, REAL))
        return str(value) if now < expires_at else None

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` values whose ``expires_at`` has passed; how many."""
        return len(await self._database.write(PURGE, (now, limit)))
