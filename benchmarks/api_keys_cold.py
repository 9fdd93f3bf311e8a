"""One verification of a key that is in no cache: in memory, and among many rows in SQLite."""

import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from secrets import token_bytes, token_hex

from rounds import Work

from asgi_auth import APIKeys, MemoryStores, PresentAccounts, Revocations, Roles, SQLiteStores
from asgi_auth.accounts import Account
from asgi_auth.errors import InvalidToken
from asgi_auth.services import Stores
from asgi_auth.tokens import digest, encode, mint_id, mint_secret

__all__ = ["cold_contenders"]

OWNER = Account(subject="ada", email="ada@example.com", password_hash=None, roles=frozenset({"user"}), created_at=0)
ROLES = Roles({"user": {"read:articles"}})
USED = 1_000
"""So many keys are presented in turn, and the cache has room for one."""


@asynccontextmanager
async def cold_contenders(path: Path, keys: int, calls: int) -> AsyncIterator[dict[str, Work]]:
    """``calls`` verifications each; of SQLite's ``keys`` keys a thousand are presented."""
    memory, sqlite = MemoryStores(), SQLiteStores(path)
    await sqlite.open()
    await sqlite.accounts.create(OWNER)
    await memory.accounts.create(OWNER)
    values = fill(path, keys)
    here, there = service(memory), service(sqlite)
    made = [(await here.create("ada", "a benchmark")).value for _ in range(USED)]
    unknown = [encode("ak", mint_id(), mint_secret()) for _ in range(USED)]
    yield {
        "cold memory": repeated(here.verify, made, calls),
        "row SQLite": repeated(lambda value: sqlite.api_keys.get(value.split("_")[1]), values, calls),
        "cold SQLite": repeated(there.verify, values, calls),
        "unknown SQLite": repeated(lambda value: refused(there, value), unknown, calls),
    }
    await here.close()
    await there.close()
    await sqlite.close()


def service(stores: Stores) -> APIKeys:
    revocations = Revocations(stores.revocations)
    present = PresentAccounts(stores.accounts, revocations)
    return APIKeys(
        stores.api_keys,
        present,
        revocations,
        roles=ROLES,
        realm="https://api.example",
        keys_per_subject=USED,
        cache_size=1,
    )


def fill(path: Path, keys: int) -> list[str]:
    """So many keys in the table, used just now; the values of a thousand of them, from all over it."""
    now = time.time()
    values: list[str] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(keys):
            if number % max(1, keys // USED):
                yield token_hex(11), token_bytes(32), f"subject {number}", "a key", now, now
            else:
                key_id, secret = mint_id(), mint_secret()
                values.append(encode("ak", key_id, secret))
                yield key_id, digest(secret), "ada", "a key", now, now

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO asgi_auth_api_keys (key_id, secret_digest, subject, name, created_at, last_used_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows(),
        )
    return values


async def refused(keys: APIKeys, value: str) -> None:
    with suppress(InvalidToken):
        await keys.verify(value)


def repeated(call: Callable[[str], Awaitable[object]], values: list[str], calls: int) -> Work:
    presented = itertools.cycle(values)

    async def run() -> None:
        for _ in range(calls):
            await call(next(presented))

    return Work(run, calls)
