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
ERRORS = (sqlite3.Error, ValueError, OverflowError)

_random = secrets.SystemRandom()


class _UnseenSequence(tuple[Value, ...]):
    __slots__ = ()

    def __repr__(self) -> str:
        return "(…)"


class _UnseenMapping(dict[str, Value]):
    def __repr__(self) -> str:
        return "{…}"


async def execute(connection: aiosqlite.Connection, sql: str, parameters: Parameters = (), wait: float = 0) -> Rows:
    """The rows of one statement, all of them fetched. While the file is locked: again, for ``wait`` seconds.

    SQLite's own backoff starves a writer for seconds; a short random pause does not. A statement that was submitted
    is awaited to its end, so its outcome is known. Whatever goes wrong is ``StoreUnavailable``.
    """
    # aiosqlite writes every call with its arguments into its DEBUG log: addresses, hashes, digests.
    unseen = _UnseenMapping(parameters) if isinstance(parameters, Mapping) else _UnseenSequence(parameters)
    try:
        return list(await connection.execute_fetchall(sql, unseen))
    except ERRORS as error:
        return await _again(connection, sql, unseen, time.monotonic() + wait, error)


async def _again(
    connection: aiosqlite.Connection, sql: str, parameters: Parameters, until: float, error: Exception
) -> Rows:
    while True:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & PRIMARY_CODE not in BUSY_CODES or time.monotonic() >= until:
            # Python's own messages can hold a value of the row or of the call; SQLite's name columns at most.
            raise StoreUnavailable from (error if code else None)
        await asyncio.sleep(_random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        except ERRORS as again:
            error = again
