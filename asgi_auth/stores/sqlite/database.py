"""One SQLite file through three connections: one reads, one writes, one follows the feed.

In WAL mode readers never wait for the writer. ``synchronous=FULL``: what a write verb answered is on the disk.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.shielded import ShieldedTasks
from asgi_auth.stores.sqlite.exit_watch import stop_at_exit
from asgi_auth.stores.sqlite.files import make_private
from asgi_auth.stores.sqlite.schema import Migration, migrate, require_wal
from asgi_auth.stores.sqlite.statements import Execute, Parameters, Rows, execute
from asgi_auth.stores.sqlite.turns import Turns

__all__ = ["Database"]

T = TypeVar("T")

OPENING_DEADLINE = 10.0
"""Seconds. Longer than a verb's: several processes may open one new file at once, and one of them makes the schema."""


@dataclass(frozen=True, slots=True)
class _Connections:
    reads: aiosqlite.Connection
    writes: aiosqlite.Connection
    feed: aiosqlite.Connection
    closing: AsyncExitStack


class Database:
    """What the stores of one file share. ``deadline`` is in seconds and limits the wait for a lock or a turn.

    A statement that was submitted is awaited to its end. Everything that goes wrong is ``StoreUnavailable``.
    """

    def __init__(self, path: Path, *, deadline: float) -> None:
        self._path = path
        self._deadline = deadline
        self._connections: _Connections | None = None
        self._transactions = ShieldedTasks()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = Turns()

    async def open(self, migrations: Sequence[Migration]) -> None:
        """Connect and bring the schema up to date; nothing where it is open already."""
        async with self._turn().opening:
            self._connections = self._connections or await self._connect(migrations)

    async def close(self) -> None:
        """Let running transactions end, then close the connections; nothing where it is closed already."""
        async with self._turn().opening:
            connections, self._connections = self._connections, None
            if connections is not None:
                await asyncio.shield(self._disconnect(connections))

    def read(self, sql: str, parameters: Parameters) -> Awaitable[Rows]:
        """The rows of one ``SELECT``."""
        return execute(self._connected().reads, sql, parameters, self._deadline)

    def follow(self, sql: str, parameters: Parameters) -> Awaitable[Rows]:
        """The rows of one ``SELECT`` for the feed, which never queues behind requests."""
        return execute(self._connected().feed, sql, parameters, self._deadline)

    async def write(self, sql: str, parameters: Parameters) -> Rows:
        """The rows of one writing statement, committed by itself."""
        connection, turns = self._connected().writes, self._turn()
        wait = await turns.enter(self._deadline)
        try:
            return await execute(connection, sql, parameters, wait)
        finally:
            turns.leave()

    async def transact(self, work: Callable[[Execute], Awaitable[T]]) -> T:
        """What ``work`` returns, its statements committed together; or its exception, and nothing of them stays.

        Cancelling the caller does not cancel the transaction: it ends in COMMIT or ROLLBACK by itself.
        """
        return await self._transactions.run(self._transaction(self._connected().writes, work, self._deadline))

    def _connected(self) -> _Connections:
        if self._connections is None:
            raise StoreUnavailable from ConfigurationError("SQLiteStores is not open. Await open() first.")
        return self._connections

    def _turn(self) -> Turns:
        # asyncio's locks belong to one event loop; a test client may bring a new loop for each request.
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._turns = loop, Turns()
        return self._turns

    async def _transaction(
        self, connection: aiosqlite.Connection, work: Callable[[Execute], Awaitable[T]], wait: float
    ) -> T:
        statement = partial(execute, connection)
        async with self._turn().alone(wait) as left:
            try:
                await execute(connection, "BEGIN IMMEDIATE", (), left)
                result = await work(statement)
                await statement("COMMIT", ())
            except BaseException:
                # Also where BEGIN itself was cut off: it may have begun, and the thread takes this one after it.
                with suppress(StoreUnavailable):
                    await statement("ROLLBACK", ())
                raise
            return result

    async def _connect(self, migrations: Sequence[Migration]) -> _Connections:
        make_private(self._path)
        async with AsyncExitStack() as stack:
            writes = await self._connection(stack)
            await self._prepare(writes, migrations)
            reads, feed = await self._connection(stack), await self._connection(stack)
            for connection in (reads, feed):
                await execute(connection, "PRAGMA query_only = ON")
            return _Connections(reads, writes, feed, stack.pop_all())

    async def _connection(self, stack: AsyncExitStack) -> aiosqlite.Connection:
        try:
            connection = await stack.enter_async_context(aiosqlite.connect(self._path, timeout=0, isolation_level=None))
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable from error
        stop_at_exit(connection)
        return connection

    async def _prepare(self, writes: aiosqlite.Connection, migrations: Sequence[Migration]) -> None:
        # Other processes may be switching the same file at this moment: whoever comes late is told that it is locked.
        ((mode,),) = await execute(writes, "PRAGMA journal_mode = WAL", (), OPENING_DEADLINE)
        require_wal(mode)
        await execute(writes, "PRAGMA synchronous = FULL", (), OPENING_DEADLINE)
        await self._transaction(writes, partial(migrate, migrations=migrations), OPENING_DEADLINE)

    async def _disconnect(self, connections: _Connections) -> None:
        await self._transactions.ended()
        await connections.closing.aclose()
