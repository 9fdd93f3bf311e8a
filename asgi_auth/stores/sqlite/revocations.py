"""The feed of revocations in SQLite: one head row numbers the changes, inside the transaction that makes them."""

from asgi_auth.errors import StoreUnavailable
from asgi_auth.revocations import Changes, Cursor, Revocation, RevocationKind
from asgi_auth.stores.sqlite.codec import INTEGER, INTEGER_OR_NULL, REAL, TEXT, checked
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Execute, Rows

__all__ = ["SQLiteRevocations"]

HEAD = (TEXT, INTEGER, INTEGER)
ITEM = (TEXT, TEXT, INTEGER_OR_NULL, REAL)

NEXT_NUMBER = "UPDATE asgi_auth_revocation_head SET number = number + 1 RETURNING number"
# MAX of several values is NULL where one of them is, so each falls back on the other.
REVOKE = """
INSERT INTO asgi_auth_revocations (kind, id, epoch, until, number) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET
    epoch = MAX(COALESCE(epoch, excluded.epoch), COALESCE(excluded.epoch, epoch)),
    until = MAX(until, excluded.until),
    number = excluded.number
"""
# One statement, so head and items are of one instant. While nothing changed it reads the head row alone.
CHANGES = """
SELECT head.feed_id, head.number, head.purged_through, item.kind, item.id, item.epoch, item.until
FROM asgi_auth_revocation_head AS head LEFT JOIN asgi_auth_revocations AS item
    ON item.number > CASE
        WHEN head.feed_id = :feed_id AND :number BETWEEN head.purged_through AND head.number THEN :number
        ELSE 0 END
ORDER BY item.number
"""
PURGE = """
DELETE FROM asgi_auth_revocations WHERE number IN (
    SELECT number FROM asgi_auth_revocations WHERE until <= ? ORDER BY until LIMIT ?
)
RETURNING number
"""
PURGED = "UPDATE asgi_auth_revocation_head SET purged_through = MAX(purged_through, ?)"


class SQLiteRevocations:
    """A ``RevocationStore`` in one SQLite file. Each verb keeps what ``RevocationStore`` says of it."""

    poll_interval = 0.1

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        """Add or extend one revocation: of ``epoch`` and of ``until`` the greater is kept; it gets a new number."""

        async def number_and_store(execute: Execute) -> None:
            ((number,),) = await execute(NEXT_NUMBER, ())
            await execute(REVOKE, (kind.value, id, epoch, until, number))

        await self._database.transact(number_and_store)

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        """Every revocation numbered after ``cursor``, in order; the cursor to ask with next."""
        known = {"feed_id": None, "number": None} if cursor is None else _parameters(cursor)
        rows = await self._database.follow(CHANGES, known)
        if not rows:
            raise StoreUnavailable
        feed_id, number, purged_through = checked(rows[0][:3], HEAD)
        followed = cursor is not None and cursor.feed_id == feed_id and purged_through <= cursor.number <= number
        return Changes(_items(rows), Cursor(feed_id, number), restart=not followed)

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` revocations whose ``until`` has passed; how many."""

        async def delete_and_note(execute: Execute) -> int:
            numbers = [number for (number,) in await execute(PURGE, (now, limit))]
            if numbers:
                await execute(PURGED, (max(numbers),))
            return len(numbers)

        return await self._database.transact(delete_and_note)


def _parameters(cursor: Cursor) -> dict[str, str | int | None]:
    return {"feed_id": cursor.feed_id, "number": cursor.number}


def _items(rows: Rows) -> tuple[Revocation, ...]:
    if rows[0][3] is None:  # the head row alone
        return ()
    try:
        return tuple(_item(*checked(row[3:], ITEM)) for row in rows)
    except ValueError:
        raise StoreUnavailable from None


def _item(kind: str, id: str, epoch: int | None, until: float) -> Revocation:
    return Revocation(kind=RevocationKind(kind), id=id, epoch=epoch, until=until)
