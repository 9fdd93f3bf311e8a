"""Sessions in SQLite: each verb is one statement, which decides over the row itself."""

from collections.abc import Sequence
from typing import Any

from asgi_auth.sessions import Session
from asgi_auth.stores.sqlite.codec import (
    BLOB,
    INTEGER,
    REAL,
    REAL_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    Layout,
    checked,
    names,
    names_text,
)
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Rows, Value

__all__ = ["SQLiteSessions"]

LAYOUT = Layout(
    Session,
    (
        *(TEXT, BLOB, TEXT_OR_NULL, INTEGER, TEXT, REAL_OR_NULL),
        *(TEXT, TEXT, INTEGER),
        *(REAL, REAL, REAL, REAL),
    ),
)

CREATE = """
INSERT INTO asgi_auth_sessions (
    session_id, secret_digest, subject, epoch, roles, authenticated_at,
    device, data, version, created_at, last_seen_at, idle_expires_at, expires_at
) VALUES (
    :session_id, :secret_digest, :subject, :epoch, :roles, :authenticated_at,
    :device, :data, :version, :created_at, :last_seen_at, :idle_expires_at, :expires_at
)
ON CONFLICT DO NOTHING
RETURNING 1
"""
GET = """
SELECT session_id, secret_digest, subject, epoch, roles, authenticated_at,
    device, data, version, created_at, last_seen_at, idle_expires_at, expires_at
FROM asgi_auth_sessions WHERE session_id = ?
"""
SAVE = """
UPDATE asgi_auth_sessions SET data = :data, version = version + 1
WHERE session_id = :session_id AND version = :version AND :now < MIN(expires_at, idle_expires_at)
RETURNING 1
"""
TOUCH = """
UPDATE asgi_auth_sessions SET
    last_seen_at = MAX(last_seen_at, :last_seen_at),
    idle_expires_at = MAX(idle_expires_at, MIN(:idle_expires_at, expires_at))
WHERE session_id = :session_id AND :now < MIN(expires_at, idle_expires_at)
"""
# OR IGNORE: where the new id is taken by a third the row stays as it is.
REPLACE = """
UPDATE OR IGNORE asgi_auth_sessions SET
    session_id = :session_id, secret_digest = :secret_digest, subject = :subject, epoch = :epoch, roles = :roles,
    authenticated_at = :authenticated_at, device = :device, data = :data, version = :version,
    created_at = :created_at, last_seen_at = :last_seen_at, idle_expires_at = :idle_expires_at,
    expires_at = :expires_at
WHERE session_id = :old_id AND secret_digest = :old_digest AND version = :old_version
    AND :now < MIN(expires_at, idle_expires_at)
RETURNING 1
"""
LIST = """
SELECT session_id, secret_digest, subject, epoch, roles, authenticated_at,
    device, data, version, created_at, last_seen_at, idle_expires_at, expires_at
FROM asgi_auth_sessions WHERE subject = :subject AND :now < MIN(expires_at, idle_expires_at)
ORDER BY created_at DESC, session_id DESC
"""
DELETE = "DELETE FROM asgi_auth_sessions WHERE session_id = ? AND subject IS ? RETURNING 1"
DELETE_ALL = "DELETE FROM asgi_auth_sessions WHERE subject = ? AND session_id IS NOT ? RETURNING session_id"
REVOKE_SUBJECT = """
DELETE FROM asgi_auth_sessions WHERE subject = :subject AND epoch < :below_epoch
RETURNING :now < MIN(expires_at, idle_expires_at)
"""
PURGE = """
DELETE FROM asgi_auth_sessions WHERE session_id IN (
    SELECT session_id FROM asgi_auth_sessions WHERE MIN(expires_at, idle_expires_at) <= :now
    ORDER BY MIN(expires_at, idle_expires_at) LIMIT :limit
)
RETURNING 1
"""


class SQLiteSessions:
    """A ``SessionStore`` in one SQLite file. Each verb is one statement and keeps what ``SessionStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, session: Session) -> bool:
        """Store a new session; False, and nothing stored, where the id is taken."""
        return bool(await self._database.write(CREATE, _columns(session)))

    async def get(self, session_id: str) -> Session | None:
        """The session with this id, live or not, or None."""
        found = _sessions(await self._database.read(GET, (session_id,)))
        return found[0] if found else None

    async def save(self, session_id: str, *, version: int, data: str, now: float) -> bool:
        """Write ``data`` iff the session is live and still has ``version``."""
        parameters: dict[str, Value] = {"session_id": session_id, "version": version, "data": data, "now": now}
        return bool(await self._database.write(SAVE, parameters))

    async def touch(self, session_id: str, *, last_seen_at: float, idle_expires_at: float, now: float) -> None:
        """Note that a live session was used."""
        parameters: dict[str, Value] = {
            "session_id": session_id,
            "last_seen_at": last_seen_at,
            "idle_expires_at": idle_expires_at,
            "now": now,
        }
        await self._database.write(TOUCH, parameters)

    async def replace(self, session_id: str, *, secret_digest: bytes, version: int, new: Session, now: float) -> bool:
        """Put ``new`` in the place of a live session with this secret and this version."""
        old: dict[str, Value] = {
            "old_id": session_id,
            "old_digest": secret_digest,
            "old_version": version,
            "now": now,
        }
        return bool(await self._database.write(REPLACE, _columns(new) | old))

    async def list(self, subject: str, *, now: float) -> tuple[Session, ...]:
        """The subject's live sessions, the newest first."""
        return _sessions(await self._database.read(LIST, {"subject": subject, "now": now}))

    async def delete(self, session_id: str, *, subject: str | None) -> bool:
        """Delete the session iff it is ``subject``'s; whether there was one."""
        return bool(await self._database.write(DELETE, (session_id, subject)))

    async def delete_all(self, subject: str, *, keep: str | None) -> tuple[str, ...]:
        """Delete all sessions of ``subject`` but the one whose id is ``keep``; the ids of those it deleted."""
        rows = await self._database.write(DELETE_ALL, (subject, keep))
        return tuple(checked(row, (TEXT,))[0] for row in rows)

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """Delete every session of ``subject`` whose ``epoch`` is lower than ``below_epoch``; how many were live."""
        parameters: dict[str, Value] = {"subject": subject, "below_epoch": below_epoch, "now": now}
        return sum(live for (live,) in await self._database.write(REVOKE_SUBJECT, parameters))

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` sessions that are not live; how many."""
        return len(await self._database.write(PURGE, {"now": now, "limit": limit}))


def _columns(session: Session) -> dict[str, Value]:
    return {name: getattr(session, name) for name in LAYOUT.names} | {"roles": names_text(session.roles)}


def _sessions(rows: Rows) -> tuple[Session, ...]:
    return tuple(map(_session, rows))


def _session(row: Sequence[Any]) -> Session:
    values = LAYOUT.by_name(row)
    values["roles"] = names(values["roles"])
    return Session(**values)
