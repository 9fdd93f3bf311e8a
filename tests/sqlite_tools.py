"""What the tests of the SQLite stores share: instances on one file, and a transaction held open."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite

from asgi_auth.accounts import AccountStore
from asgi_auth.api_keys import APIKeyStore
from asgi_auth.lockout import LockoutStore
from asgi_auth.one_time import OneTimeStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationStore
from asgi_auth.sessions import SessionStore
from asgi_auth.stores import SQLiteStores

S = TypeVar("S")
T = TypeVar("T")


@asynccontextmanager
async def opened_stores(path: Path, deadline: float = 1.5) -> AsyncIterator[SQLiteStores]:
    stores = SQLiteStores(path, deadline=deadline)
    await stores.open()
    try:
        yield stores
    finally:
        await stores.close()


@asynccontextmanager
async def opened_accounts(path: Path) -> AsyncIterator[AccountStore]:
    async with opened_stores(path) as stores:
        yield stores.accounts


@asynccontextmanager
async def opened_refresh_tokens(path: Path) -> AsyncIterator[RefreshTokenStore]:
    async with opened_stores(path) as stores:
        yield stores.refresh_tokens


@asynccontextmanager
async def opened_sessions(path: Path) -> AsyncIterator[SessionStore]:
    async with opened_stores(path) as stores:
        yield stores.sessions


@asynccontextmanager
async def opened_api_keys(path: Path) -> AsyncIterator[APIKeyStore]:
    async with opened_stores(path) as stores:
        yield stores.api_keys


@asynccontextmanager
async def opened_one_time(path: Path) -> AsyncIterator[OneTimeStore]:
    async with opened_stores(path) as stores:
        yield stores.one_time


@asynccontextmanager
async def opened_lockout(path: Path) -> AsyncIterator[LockoutStore]:
    async with opened_stores(path) as stores:
        yield stores.lockout


@asynccontextmanager
async def opened_revocations(path: Path) -> AsyncIterator[RevocationStore]:
    async with opened_stores(path) as stores:
        yield stores.revocations


@dataclass
class Held(Generic[S]):
    """A ``HeldOpen``: a trigger of the first instance's write connection waits inside its statement."""

    first: S
    second: S
    written: threading.Event = field(default_factory=threading.Event)
    committed: threading.Event = field(default_factory=threading.Event)

    async def begin(self, verb: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(verb)
        assert await asyncio.to_thread(self.written.wait, 30)
        return task

    def commit(self) -> None:
        self.committed.set()

    def hold(self) -> int:
        self.written.set()
        return self.committed.wait(30)


@asynccontextmanager
async def held_open(path: Path, table: str, store: str) -> AsyncIterator[Held[Any]]:
    """Two instances; what the first writes to ``table`` is held before it commits."""
    async with opened_stores(path) as first, opened_stores(path) as second:
        held = Held(getattr(first, store), getattr(second, store))
        connection = write_connection(first)
        await connection.create_function("hold", 0, held.hold)
        for verb in ("INSERT", "UPDATE", "DELETE"):
            await connection.execute_fetchall(
                f"CREATE TEMP TRIGGER hold_{verb} AFTER {verb} ON main.{table} BEGIN SELECT hold(); END"
            )
        yield held


def write_connection(stores: SQLiteStores) -> aiosqlite.Connection:
    """The store's own write connection: where a test must stand inside a transaction."""
    connections = stores._database._connections
    assert connections is not None
    return connections.writes
