"""One statement on one connection: the retry while another writer has the file, and the one error that leaves."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import aiosqlite

from asgi_auth.errors import StoreUnavailable

__all__ = ["Execute", "Parameters", "Rows", "Value", "execute"]

Value = str | bytes | int | float | None
Parameters = Sequence[Value] | Mapping[str, Value]
Rows = list[sqlite3.Row]
Execute = Callable[[str, Parameters], Awaitable[Rows]]

SHORTEST_PAUSE = 0.0005
LONGEST_PAUSE = 0.004
PRIMARY_CODE = 0xFF
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_random = secrets.SystemRandom()


async def execute(connection: aiosqlite.Connection, sql: str, parameters: Parameters, until: float) -> Rows:
    """The rows of one statement, all of them fetched. While the file is locked: again, until ``until`` (monotonic).

    SQLite's own backoff starves a writer for seconds; a short random pause does not. A statement that was submitted
    is awaited to its end, so its outcome is known. Whatever goes wrong is ``StoreUnavailable``.
    """
    while True:
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        except (sqlite3.Error, ValueError, OverflowError) as error:
            code = _code(error)
            if code & PRIMARY_CODE not in BUSY_CODES or time.monotonic() >= until:
                # Python's own messages can hold a value of the row or of the call; SQLite's name columns at most.
                raise StoreUnavailable from (error if code else None)
        await asyncio.sleep(_random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))
