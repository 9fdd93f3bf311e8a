"""What the SQLite stores cost beside bare aiosqlite: the same statements, on the same file, in the same run.

    python benchmarks/stores.py            the whole measurement, about three minutes
    python benchmarks/stores.py --quick    a few seconds, to see that it runs

Rounds are interleaved and medians compared, on one CPU. The targets: 9 (lookup: at most 1.15 of the time of
aiosqlite's own ``execute_fetchall``, 0.75 of its ``execute`` and ``fetchone``), 11 (refresh rotation: at least 0.8 of
the bare driver's rate) and 12 (64 tasks that write durably: at least 0.9 of aiosqlite's own rate). Leaves with 1 where
a target is missed, but never with ``--quick``.
"""

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import aiosqlite

from asgi_auth.stores import SQLiteStores
from asgi_auth.stores.sqlite.accounts import GET as GET_ACCOUNT
from asgi_auth.stores.sqlite.api_keys import GET as GET_API_KEY
from asgi_auth.stores.sqlite.refresh_tokens import ADVANCE
from asgi_auth.stores.sqlite.sessions import GET as GET_SESSION

NOW = 1_800_000_000.0
TASKS = 64
READS, WRITES = 1_000, 256
"""Operations a round."""

Call = Callable[[int], Awaitable[object]]
Times = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Operation:
    """``call(n)`` is made ``times`` times a round, ``n`` counting up, by so many tasks at once."""

    call: Call
    times: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table: the median ratio of ``ours`` to ``bare``, in time or, for ``at_least``, in rate."""

    number: int
    what: str
    ours: str
    bare: str
    at_most: float | None = None
    at_least: float | None = None


LOOKUPS = {"account": GET_ACCOUNT, "API key": GET_API_KEY, "session": GET_SESSION}
"""The one statement of each look-up that a request may need."""

TARGETS = (
    *(Target(9, f"{name} : execute_fetchall", f"{name}", f"{name}, bare", at_most=1.15) for name in LOOKUPS),
    *(Target(9, f"{name}, 64 callers", f"{name} by 64", f"{name} by 64, bare", at_most=1.15) for name in LOOKUPS),
    *(Target(9, f"{name} : execute, fetchone", f"{name}", f"{name}, in two hops", at_most=0.75) for name in LOOKUPS),
    Target(11, "rotation, one caller : bare", "rotate", "rotate, bare", at_least=0.8),
    Target(12, "rotation, 64 callers : bare", "rotate by 64", "rotate by 64, bare", at_least=0.9),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="The SQLite stores beside bare aiosqlite.")
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default 41)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in each table (default 1000000)")
    parser.add_argument("--quick", action="store_true", help="3 rounds, 1000 rows: the figures mean little")
    arguments = parser.parse_args()
    rounds, rows = (3, 1_000) if arguments.quick else (arguments.rounds, arguments.rows)
    stay_on_one_cpu()
    with tempfile.TemporaryDirectory() as folder:
        times = asyncio.run(measure(Path(folder) / "auth.db", rounds, rows))
    return 0 if report(times) or arguments.quick else 1


def stay_on_one_cpu() -> None:
    """A hop between threads costs four times as much between two CPUs: chance would decide every comparison."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


async def measure(path: Path, rounds: int, rows: int) -> Times:
    """Seconds an operation: one figure a round, by the operation's name."""
    stores = SQLiteStores(path)
    await stores.open()
    fill(path, rows)
    try:
        # Two, as in the stores: a connection's cache survives its own writes, but not another's.
        async with (
            aiosqlite.connect(path, timeout=10, isolation_level=None) as reads,
            aiosqlite.connect(path, timeout=10, isolation_level=None) as writes,
        ):
            await writes.execute_fetchall("PRAGMA synchronous = FULL")
            # Apart: a write empties the caches of the other connections.
            times = await interleave(lookups(stores, reads, rows), rounds)
            return times | await interleave(rotations(stores, writes), rounds)
    finally:
        await stores.close()


def fill(path: Path, rows: int) -> None:
    """Accounts, API keys and sessions, and a family for each task of each way to rotate."""
    people = ((f"account-{n}", f"{n}@example.com", "$argon2id$", '["user"]', NOW) for n in range(rows))
    keys = ((f"API key-{n}", f"account-{n}", NOW) for n in range(rows))
    sessions = ((f"session-{n}", f"account-{n}", NOW) for n in range(rows))
    families = [(f"{way}-{task}", NOW) for way in ("ours", "bare", "ours 64", "bare 64") for task in range(TASKS)]
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.executemany("INSERT INTO asgi_auth_accounts VALUES (?, ?, ?, ?, 0, NULL, ?)", people)
        connection.executemany(
            "INSERT INTO asgi_auth_api_keys VALUES (?1, randomblob(32), ?2, 'deploy', NULL, ?3, NULL, NULL,"
            " NULL, NULL)",
            keys,
        )
        connection.executemany(
            "INSERT INTO asgi_auth_sessions VALUES (?1, randomblob(32), ?2, 0, '[\"user\"]', ?3, 'Firefox', '{}', 0,"
            " ?3, ?3, ?3 + 1800, ?3 + 43200)",
            sessions,
        )
        connection.executemany(
            "INSERT INTO asgi_auth_refresh_families VALUES (?1, ?1, 'first-party', NULL, 0, ?2, x'00', x'00000000',"
            " NULL, NULL, ?2, ?2, ?2 + 1000, ?2 + 1000, NULL, NULL)",
            families,
        )


def lookups(stores: SQLiteStores, bare: aiosqlite.Connection, rows: int) -> dict[str, Operation]:
    """Each look-up in four ways: ours and the driver's, by one caller and by many, and the driver in two hops."""
    ours: dict[str, Callable[[str], Awaitable[object]]] = {
        "account": stores.accounts.get,
        "API key": stores.api_keys.get,
        "session": stores.sessions.get,
    }
    operations: dict[str, Operation] = {}
    for name, sql in LOOKUPS.items():
        get = reading(ours[name], name, rows)
        one_hop = reading(partial(execute_fetchall, bare, sql), name, rows)
        operations |= {
            name: Operation(get, READS, 1),
            f"{name}, bare": Operation(one_hop, READS, 1),
            f"{name} by 64": Operation(get, READS, TASKS),
            f"{name} by 64, bare": Operation(one_hop, READS, TASKS),
            f"{name}, in two hops": Operation(reading(partial(execute_fetchone, bare, sql), name, rows), READS, 1),
        }
    return operations


def reading(get: Callable[[str], Awaitable[object]], name: str, rows: int) -> Call:
    """Read rows all over the table; every one of them is there."""

    async def read(n: int) -> object:
        found = await get(f"{name}-{n * 7919 % rows}")
        assert found, "nothing was found"
        return found

    return read


async def execute_fetchall(bare: aiosqlite.Connection, sql: str, key: str) -> object:
    return await bare.execute_fetchall(sql, (key,))


async def execute_fetchone(bare: aiosqlite.Connection, sql: str, key: str) -> object:
    async with bare.execute(sql, (key,)) as cursor:
        return await cursor.fetchone()


def rotations(stores: SQLiteStores, bare: aiosqlite.Connection) -> dict[str, Operation]:
    def rotate(way: str) -> Call:
        return rotation(way, lambda parameters: stores.refresh_tokens.advance(**parameters))

    def rotate_bare(way: str) -> Call:
        return rotation(way, lambda parameters: bare.execute_fetchall(ADVANCE, parameters))

    return {
        "rotate": Operation(rotate("ours"), WRITES, 1),
        "rotate, bare": Operation(rotate_bare("bare"), WRITES, 1),
        "rotate by 64": Operation(rotate("ours 64"), WRITES * 4, TASKS),
        "rotate by 64, bare": Operation(rotate_bare("bare 64"), WRITES * 4, TASKS),
    }


def rotation(way: str, advance: Callable[..., Awaitable[object]]) -> Call:
    """Rotate the family of each task in turn; a family's digests are the numbers of its generations."""
    generations: dict[int, int] = defaultdict(int)

    async def rotate(n: int) -> object:
        task = n % TASKS
        generation = generations[task]
        generations[task] += 1
        outcome = await advance(
            {
                "family_id": f"{way}-{task}",
                "client_id": "first-party",
                "member_digest": b"\0",
                "presented_digest": generation.to_bytes(4),
                "child_digest": (generation + 1).to_bytes(4),
                "salt": b"salt",
                "call_id": n.to_bytes(4),
                "idle_expires_at": NOW + 1000,
                "reuse_leeway": 0,
                "now": NOW + 1,
            }
        )
        assert outcome, "nothing was rotated"
        return outcome

    return rotate


async def interleave(todo: dict[str, Operation], rounds: int) -> Times:
    times: Times = defaultdict(list)
    for number in range(rounds + 1):
        # To and fro: whoever comes second finds the pages in the CPU's own cache.
        for name, operation in reversed(todo.items()) if number % 2 else iter(todo.items()):
            elapsed = await timed(operation)
            if number:  # the first round warms up
                times[name].append(elapsed)
    return times


async def timed(operation: Operation) -> float:
    """Seconds an operation. Task t of T makes the calls t, t + T, t + 2T …"""

    async def share(task: int) -> None:
        for n in range(task, operation.times, operation.tasks):
            await operation.call(n)

    started = time.perf_counter()
    await asyncio.gather(*(share(task) for task in range(operation.tasks)))
    return (time.perf_counter() - started) / operation.times


def report(times: Times) -> bool:
    """Print the table; whether every target is met."""
    print(f"SQLite {sqlite3.sqlite_version}, medians of {len(times['account'])} rounds")
    print(f"{'#':>3} {'what':<40} {'ours µs':>9} {'bare µs':>9} {'ratio':>7} {'target':>9}")
    met = [report_line(target, times[target.ours], times[target.bare]) for target in TARGETS]
    return all(met)


def report_line(target: Target, ours: list[float], bare: list[float]) -> bool:
    ratio = median(one / other for one, other in zip(ours, bare, strict=True))
    if target.at_most is not None:
        met, limit = ratio <= target.at_most, f"<= {target.at_most}"
    else:
        ratio = 1 / ratio
        met, limit = ratio >= (target.at_least or 0), f">= {target.at_least}"
    figures = f"{median(ours) * 1e6:9.1f} {median(bare) * 1e6:9.1f} {ratio:7.3f} {limit:>9}"
    print(f"{target.number:>3} {target.what:<40} {figures}  {'pass' if met else 'FAIL'}")
    return met


if __name__ == "__main__":
    raise SystemExit(main())
