"""Refresh families in SQLite: a rotation is one ``UPDATE`` that decides over the row itself."""

from collections.abc import Sequence
from typing import Any

from asgi_auth.refresh_tokens import Advanced, Advancement, Expired, RefreshFamily, Repeated, Reused
from asgi_auth.stores.sqlite.codec import (
    BLOB,
    BLOB_OR_NULL,
    INTEGER,
    REAL,
    REAL_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    Layout,
    names,
    names_text,
)
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Execute, Value

__all__ = ["SQLiteRefreshTokens"]

LAYOUT = Layout(
    RefreshFamily,
    (
        *(TEXT, TEXT, TEXT, TEXT_OR_NULL, INTEGER, REAL),
        *(BLOB, BLOB, BLOB_OR_NULL, BLOB_OR_NULL),
        *(REAL, REAL, REAL, REAL, REAL_OR_NULL, BLOB_OR_NULL),
    ),
)

# No ON CONFLICT: an id that is taken is an error, and the family that has it stays as it is.
CREATE = """
INSERT INTO asgi_auth_refresh_families (
    family_id, subject, client_id, scopes, epoch, authenticated_at, member_digest, current_digest,
    parent_digest, salt, created_at, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_by
) VALUES (
    :family_id, :subject, :client_id, :scopes, :epoch, :authenticated_at, :member_digest, :current_digest,
    :parent_digest, :salt, :created_at, :rotated_at, :idle_expires_at, :expires_at, :revoked_at, :revoked_by
)
"""
# The new family itself is never ended, even where a clock that was set back makes it the oldest.
CAP = """
UPDATE asgi_auth_refresh_families SET revoked_at = :now
WHERE family_id IN (
    SELECT family_id FROM asgi_auth_refresh_families
    WHERE subject = :subject AND family_id <> :family_id
        AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
    ORDER BY created_at DESC, family_id DESC
    LIMIT -1 OFFSET :others
)
RETURNING family_id
"""
# Every CASE reads the row as it was before the statement. No second arm, no CTE: they decide over another snapshot.
ADVANCE = """
UPDATE asgi_auth_refresh_families SET
    parent_digest = CASE
        WHEN current_digest = :presented_digest AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
        THEN :presented_digest ELSE parent_digest END,
    current_digest = CASE
        WHEN current_digest = :presented_digest AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
        THEN :child_digest ELSE current_digest END,
    salt = CASE
        WHEN current_digest = :presented_digest AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
        THEN CASE WHEN :reuse_leeway > 0 THEN :salt END ELSE salt END,
    rotated_at = CASE
        WHEN current_digest = :presented_digest AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
        THEN MAX(rotated_at, :now) ELSE rotated_at END,
    idle_expires_at = CASE
        WHEN current_digest = :presented_digest AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
        THEN MIN(:idle_expires_at, expires_at) ELSE idle_expires_at END,
    revoked_at = CASE
        WHEN current_digest = :presented_digest OR revoked_at IS NOT NULL
            OR (parent_digest IS :presented_digest AND salt IS NOT NULL
                AND :now < rotated_at + :reuse_leeway AND :now < MIN(expires_at, idle_expires_at))
        THEN revoked_at ELSE :now END,
    revoked_by = CASE
        WHEN current_digest = :presented_digest OR revoked_at IS NOT NULL
            OR (parent_digest IS :presented_digest AND salt IS NOT NULL
                AND :now < rotated_at + :reuse_leeway AND :now < MIN(expires_at, idle_expires_at))
        THEN revoked_by ELSE :call_id END
WHERE family_id = :family_id AND client_id = :client_id AND member_digest = :member_digest
RETURNING family_id, subject, client_id, scopes, epoch, authenticated_at, member_digest, current_digest,
    parent_digest, salt, created_at, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_by
"""
REVOKE = """
UPDATE asgi_auth_refresh_families SET revoked_at = COALESCE(revoked_at, :now)
WHERE family_id = :family_id AND (:member_digest IS NULL OR member_digest = :member_digest)
RETURNING family_id, subject, client_id, scopes, epoch, authenticated_at, member_digest, current_digest,
    parent_digest, salt, created_at, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_by
"""
REVOKE_SUBJECT = """
UPDATE asgi_auth_refresh_families SET revoked_at = :now
WHERE subject = :subject AND epoch < :below_epoch
    AND revoked_at IS NULL AND :now < MIN(expires_at, idle_expires_at)
RETURNING 1
"""
PURGE = """
DELETE FROM asgi_auth_refresh_families WHERE family_id IN (
    SELECT family_id FROM asgi_auth_refresh_families WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
)
RETURNING 1
"""


class SQLiteRefreshTokens:
    """A ``RefreshTokenStore`` in one SQLite file. Each verb keeps what ``RefreshTokenStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, family: RefreshFamily, *, families_per_subject: int, now: float) -> tuple[str, ...]:
        """Store a new family and end the subject's oldest live ones beyond the cap; the ids of those.

        An id that is taken is never overwritten: ``StoreUnavailable``.
        """
        cap: dict[str, Value] = {
            "family_id": family.family_id,
            "subject": family.subject,
            "others": max(0, families_per_subject - 1),
            "now": now,
        }

        async def store_and_cap(execute: Execute) -> tuple[str, ...]:
            await execute(CREATE, _columns(family))
            return tuple(ended for (ended,) in await execute(CAP, cap))

        return await self._database.transact(store_and_cap)

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
        """Exchange the presented token for its child, or find the reuse: one statement, its row tells which."""
        rows = await self._database.write(
            ADVANCE,
            {
                "family_id": family_id,
                "client_id": client_id,
                "member_digest": member_digest,
                "presented_digest": presented_digest,
                "child_digest": child_digest,
                "salt": salt,
                "call_id": call_id,
                "idle_expires_at": idle_expires_at,
                "reuse_leeway": reuse_leeway,
                "now": now,
            },
        )
        return _advancement(_family(rows[0]), presented_digest, child_digest, call_id) if rows else None

    async def revoke(self, family_id: str, *, member_digest: bytes | None, now: float) -> RefreshFamily | None:
        """End one family and return it, also when it had ended before."""
        rows = await self._database.write(REVOKE, {"family_id": family_id, "member_digest": member_digest, "now": now})
        return _family(rows[0]) if rows else None

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """End every live family of ``subject`` whose epoch is lower than ``below_epoch``; how many."""
        parameters: dict[str, Value] = {"subject": subject, "below_epoch": below_epoch, "now": now}
        return len(await self._database.write(REVOKE_SUBJECT, parameters))

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` families whose ``expires_at`` has passed; how many."""
        return len(await self._database.write(PURGE, {"now": now, "limit": limit}))


def _advancement(family: RefreshFamily, presented: bytes, child: bytes, call_id: bytes) -> Advancement:
    """What the statement did, from the row it returned.

    A presented token that is still current was not exchanged. Any other left the row revoked, unless this call
    exchanged it (its child is its own, since every call has its own salt) or the leeway forgave it.
    """
    if family.current_digest == presented:
        return Expired(family)
    if family.revoked_at is not None:
        return Reused(family, first=family.revoked_by == call_id)
    if family.current_digest == child:
        return Advanced(family)
    return Repeated(family)


def _columns(family: RefreshFamily) -> dict[str, Value]:
    scopes = None if family.scopes is None else names_text(family.scopes)
    return {name: getattr(family, name) for name in LAYOUT.names} | {"scopes": scopes}


def _family(row: Sequence[Any]) -> RefreshFamily:
    values = LAYOUT.by_name(row)
    if values["scopes"] is not None:
        values["scopes"] = names(values["scopes"])
    return RefreshFamily(**values)
