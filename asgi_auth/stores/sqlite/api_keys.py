"""API keys in SQLite: each verb is one statement but the rotation, which is one transaction."""

from collections.abc import Sequence
from typing import Any

from asgi_auth.api_keys import APIKey
from asgi_auth.stores.sqlite.codec import BLOB, REAL, REAL_OR_NULL, TEXT, TEXT_OR_NULL, Layout, names, names_text
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Execute, Rows, Value

__all__ = ["SQLiteAPIKeys"]

LAYOUT = Layout(
    APIKey,
    (
        *(TEXT, BLOB, TEXT, TEXT, TEXT_OR_NULL),
        *(REAL, REAL_OR_NULL, REAL_OR_NULL, TEXT_OR_NULL, REAL_OR_NULL),
    ),
)

# Counted and stored under one lock of the file: two callers never count the same gap.
CREATE = """
INSERT INTO asgi_auth_api_keys (
    key_id, secret_digest, subject, name, scopes, created_at, expires_at, last_used_at, successor_id, revoked_at
)
SELECT
    :key_id, :secret_digest, :subject, :name, :scopes, :created_at, :expires_at, :last_used_at, :successor_id,
    :revoked_at
WHERE :keys_per_subject > (
    SELECT COUNT(*) FROM asgi_auth_api_keys
    WHERE subject = :subject AND revoked_at IS NULL AND (expires_at IS NULL OR :now < expires_at)
)
ON CONFLICT DO NOTHING
RETURNING 1
"""
GET = """
SELECT key_id, secret_digest, subject, name, scopes, created_at, expires_at, last_used_at, successor_id, revoked_at
FROM asgi_auth_api_keys WHERE key_id = ?
"""
LIST = """
SELECT key_id, secret_digest, subject, name, scopes, created_at, expires_at, last_used_at, successor_id, revoked_at
FROM asgi_auth_api_keys WHERE subject = ? ORDER BY created_at DESC, key_id DESC
"""
REVOKE = """
UPDATE asgi_auth_api_keys SET revoked_at = COALESCE(revoked_at, :now)
WHERE key_id = :key_id AND (:subject IS NULL OR subject = :subject)
RETURNING key_id, secret_digest, subject, name, scopes, created_at, expires_at, last_used_at, successor_id, revoked_at
"""
SUCCEED = """
UPDATE asgi_auth_api_keys SET successor_id = :successor_id, expires_at = MIN(COALESCE(expires_at, :ends_at), :ends_at)
WHERE key_id = :key_id AND subject = :subject AND successor_id IS NULL
    AND revoked_at IS NULL AND (expires_at IS NULL OR :now < expires_at)
    AND NOT EXISTS (SELECT 1 FROM asgi_auth_api_keys WHERE key_id = :successor_id)
RETURNING 1
"""
STORE = """
INSERT INTO asgi_auth_api_keys (
    key_id, secret_digest, subject, name, scopes, created_at, expires_at, last_used_at, successor_id, revoked_at
) VALUES (
    :key_id, :secret_digest, :subject, :name, :scopes, :created_at, :expires_at, :last_used_at, :successor_id,
    :revoked_at
)
"""
RECORD_USE = "UPDATE asgi_auth_api_keys SET last_used_at = MAX(COALESCE(last_used_at, :at), :at) WHERE key_id = :key_id"
PURGE = """
DELETE FROM asgi_auth_api_keys WHERE key_id IN (
    SELECT key_id FROM asgi_auth_api_keys WHERE expires_at <= :now OR revoked_at <= :now LIMIT :limit
)
RETURNING 1
"""


class SQLiteAPIKeys:
    """An ``APIKeyStore`` in one SQLite file. Each verb keeps what ``APIKeyStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: APIKey, *, keys_per_subject: int, now: float) -> bool:
        """Store a new key; False, and nothing stored, where the id is taken or the subject has its fill."""
        limits: dict[str, Value] = {"keys_per_subject": keys_per_subject, "now": now}
        return bool(await self._database.write(CREATE, _columns(key) | limits))

    async def get(self, key_id: str) -> APIKey | None:
        """The key with this id, live or not, or None."""
        return _first(await self._database.read(GET, (key_id,)))

    async def list(self, subject: str) -> tuple[APIKey, ...]:
        """The subject's keys, live or not, the newest first."""
        return _keys(await self._database.read(LIST, (subject,)))

    async def revoke(self, key_id: str, *, subject: str | None, now: float) -> APIKey | None:
        """End one key and return it, also when it had ended before."""
        return _first(await self._database.write(REVOKE, {"key_id": key_id, "subject": subject, "now": now}))

    async def rotate(self, key_id: str, *, subject: str, successor: APIKey, ends_at: float, now: float) -> bool:
        """Store ``successor`` and let the old key end at ``ends_at``, or earlier where it would have."""
        old: dict[str, Value] = {
            "key_id": key_id,
            "subject": subject,
            "successor_id": successor.key_id,
            "ends_at": ends_at,
            "now": now,
        }

        async def succeed_and_store(execute: Execute) -> bool:
            if not await execute(SUCCEED, old):
                return False
            await execute(STORE, _columns(successor))
            return True

        return await self._database.transact(succeed_and_store)

    async def record_use(self, key_id: str, *, at: float) -> None:
        """Note that the key was used; the greater of ``at`` and what is known is kept."""
        await self._database.write(RECORD_USE, {"key_id": key_id, "at": at})

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` keys that expired, or were revoked, at ``now`` or before; how many."""
        return len(await self._database.write(PURGE, {"now": now, "limit": limit}))


def _columns(key: APIKey) -> dict[str, Value]:
    scopes = None if key.scopes is None else names_text(key.scopes)
    return {name: getattr(key, name) for name in LAYOUT.names} | {"scopes": scopes}


def _first(rows: Rows) -> APIKey | None:
    found = _keys(rows)
    return found[0] if found else None


def _keys(rows: Rows) -> tuple[APIKey, ...]:
    return tuple(map(_key, rows))


def _key(row: Sequence[Any]) -> APIKey:
    values = LAYOUT.by_name(row)
    if values["scopes"] is not None:
        values["scopes"] = names(values["scopes"])
    return APIKey(**values)
