"""The connections of the SQLite stores: deadlines, cancellation, damage, modes, and processes that end."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiosqlite
import pytest
from sqlite_tools import held_open, opened_stores, write_connection

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores import SQLiteStores
from asgi_auth.stores.sqlite.accounts import SQLiteAccounts
from asgi_auth.stores.sqlite.codec import names
from asgi_auth.stores.sqlite.exit_watch import stop_after
from asgi_auth.stores.sqlite.statements import Execute
from asgi_auth.testing.contract.accounts import NOW, an_account
from asgi_auth.testing.contract.races import together
from asgi_auth.testing.contract.refresh_tokens.families import a_family, present

SHORT = 0.05
"""A deadline in seconds, for tests that let it pass."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@pytest.fixture
async def stores(path: Path) -> AsyncIterator[SQLiteStores]:
    async with opened_stores(path) as stores:
        yield stores


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another writer has the file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        other.execute("ROLLBACK")


# ── opening and closing ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", ":memory:", Path(":memory:"), "file:auth.db?mode=memory"])
def test_a_database_in_memory_is_refused_by_the_name_of_what_serves_instead(name: str | Path) -> None:
    with pytest.raises(ConfigurationError, match=r"MemoryStores\(\)"):
        SQLiteStores(name)


async def test_a_file_is_meant_where_the_process_was_when_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stores = SQLiteStores("auth.db")
    monkeypatch.chdir("/")
    await stores.open()
    await stores.close()
    assert (tmp_path / "auth.db").exists()


@pytest.mark.parametrize("missing", ["no such folder/auth.db", "."], ids=["no folder", "a folder"])
async def test_a_file_that_cannot_be_is_a_configuration_error(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ConfigurationError, match="SQLiteStores"):
        await SQLiteStores(tmp_path / missing).open()
    assert stat.S_IMODE(tmp_path.stat().st_mode) & stat.S_IXUSR


async def test_opening_and_closing_again_change_nothing(path: Path) -> None:
    stores = SQLiteStores(path)
    await together([stores.open(), stores.open()])
    await stores.open()
    assert await stores.accounts.create(an_account())
    await stores.close()
    await together([stores.close(), stores.close()])
    await stores.open()
    assert await stores.accounts.get("subject-1") == an_account()
    await stores.close()


async def test_a_path_that_sqlite_cannot_open_is_a_configuration_error(tmp_path: Path) -> None:
    """Too long for SQLite, though not for the system."""
    folder = tmp_path.joinpath(*["long" * 50] * 3)
    folder.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot use its file"):
        await SQLiteStores(folder / "auth.db").open()


@pytest.mark.requirement("R-91", "refuses")
async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    """Before and after: unavailable, never "not found"; the cause names the mend."""
    stores = SQLiteStores(path)
    for _ in range(2):
        for call in (
            stores.accounts.get("subject-1"),
            stores.accounts.raise_epoch("subject-1", 1),
            stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW),
            stores.revocations.changes_since(None),
        ):
            with pytest.raises(StoreUnavailable) as refusal:
                await call
            assert "open()" in str(refusal.value.__cause__)
        await stores.open()
        await stores.close()


async def test_every_call_is_answered_while_the_store_closes(path: Path) -> None:
    """Those that still wait for a turn are done or unavailable; none waits for ever."""
    async with held_open(path, "asgi_auth_revocations", "revocations") as held, opened_stores(path) as stores:
        await stores.accounts.create(an_account())
        first = await held.begin(held.first.revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW))
        accounts = SQLiteAccounts(held.first._database)
        waiting = [asyncio.create_task(accounts.raise_epoch("subject-1", number)) for number in range(20)]
        await asyncio.sleep(0)
        closing_first = asyncio.create_task(held.first._database.close())
        await asyncio.sleep(0)
        held.commit()
        await together([first, closing_first])
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {int, StoreUnavailable}


async def test_closing_lets_a_transaction_end(path: Path) -> None:
    """What was begun is committed, although its caller is gone."""
    async with held_open(path, "asgi_auth_refresh_families", "refresh_tokens") as held:
        sign_in = await held.begin(held.first.create(a_family(), families_per_subject=5, now=NOW))
        sign_in.cancel()
        closing_first = asyncio.create_task(held.first._database.close())
        await asyncio.sleep(0)
        held.commit()
        await closing_first
        assert await held.second.revoke("family-1", member_digest=None, now=NOW) is not None
        with pytest.raises(asyncio.CancelledError):
            await sign_in


def test_a_store_serves_one_event_loop_after_the_other(path: Path) -> None:
    """Also where both had callers waiting for their turn: a test client brings a new loop for each request."""
    stores = SQLiteStores(path)

    async def contend(name: str) -> list[bool]:
        await stores.open()
        families = (a_family(f"{name}-{number}") for number in range(4))
        await together(stores.refresh_tokens.create(family, families_per_subject=9, now=NOW) for family in families)
        return await together(stores.accounts.create(an_account(name, name)) for _ in range(20))

    assert [sum(asyncio.run(contend(name))) for name in ("one", "two")] == [1, 1]
    asyncio.run(stores.close())


def test_a_store_that_nobody_closed_lets_the_process_end(path: Path) -> None:
    """In the middle of nothing, and after the main thread ended by an exception."""
    for ending in ("", "raise SystemExit(3)"):
        program = f"""
import asyncio
from asgi_auth.stores import SQLiteStores
from asgi_auth.stores.sqlite.accounts import SQLiteAccounts
stores = SQLiteStores({str(path)!r})
asyncio.run(stores.open())
{ending}
"""
        done = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (3 if ending else 0, "")


async def test_what_the_end_of_the_main_thread_stops_is_unavailable(stores: SQLiteStores) -> None:
    """A thread with an event loop of its own may outlive the main thread: it is told, not kept waiting."""
    ended = threading.Thread(target=int)
    ended.start()
    await asyncio.to_thread(stop_after, ended, [write_connection(stores)])
    with pytest.raises(StoreUnavailable):
        await stores.accounts.create(an_account())
    assert await stores.accounts.get("subject-1") is None


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


def modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob(f"{path.name}*")}


@pytest.mark.requirement("R-93", "holds")
async def test_nobody_but_the_owner_reads_the_file_or_its_companions(path: Path) -> None:
    async with opened_stores(path) as stores:
        await stores.accounts.create(an_account())
        assert modes(path) == {"auth.db": 0o600, "auth.db-wal": 0o600, "auth.db-shm": 0o600}


async def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    for name in (path, path.with_name("auth.db-wal")):
        name.touch(0o644)
        name.chmod(0o644)
    async with opened_stores(path) as stores:
        await stores.accounts.create(an_account())
        assert set(modes(path).values()) == {0o600}


async def test_what_was_answered_is_on_the_disk(stores: SQLiteStores) -> None:
    """WAL with full synchronisation, and no implicit transactions."""
    connection = write_connection(stores)
    ((mode,),) = await connection.execute_fetchall("PRAGMA journal_mode")
    ((synchronous,),) = await connection.execute_fetchall("PRAGMA synchronous")
    ((busy_timeout,),) = await connection.execute_fetchall("PRAGMA busy_timeout")
    assert (mode, synchronous, busy_timeout, connection.isolation_level) == ("wal", 2, 0, None)


# ── the deadline ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("R-91", "refuses")
async def test_a_lock_that_is_not_released_is_unavailable_and_then_forgotten(path: Path) -> None:
    """Verbs of one and of several statements alike; reads and the feed never wait; afterwards all is as before."""
    async with opened_stores(path, deadline=SHORT) as stores:
        await stores.accounts.create(an_account())
        with locked(path):
            for call in (
                stores.accounts.raise_epoch("subject-1", 9),
                stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW),
                stores.revocations.revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW),
                stores.revocations.purge(now=NOW, limit=1),
            ):
                with pytest.raises(StoreUnavailable):
                    await call
            assert await stores.accounts.get("subject-1") == an_account()
            assert (await stores.revocations.changes_since(None)).items == ()
        assert await stores.accounts.raise_epoch("subject-1", 0) == 3
        assert await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW) == ()


async def test_a_lock_that_is_released_in_time_is_waited_for(stores: SQLiteStores, path: Path) -> None:
    with locked(path):
        calls = [asyncio.create_task(stores.accounts.create(an_account(f"s-{n}", f"{n}@x"))) for n in range(20)]
        calls.append(asyncio.create_task(present_new(stores.refresh_tokens)))
        assert not (await asyncio.wait(calls, timeout=SHORT, return_when=asyncio.FIRST_COMPLETED))[0]
    assert all(await together(calls))


async def present_new(store: RefreshTokenStore) -> bool:
    await store.create(a_family(), families_per_subject=1, now=NOW)
    return await present(store, "R1") is not None


@pytest.mark.requirement("R-91", "holds")
async def test_a_turn_that_does_not_come_is_unavailable(path: Path) -> None:
    """A transaction and single statements wait for each other no longer than the deadline, and give way afterwards."""
    async with opened_stores(path, deadline=SHORT) as stores:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def linger(execute: Execute) -> None:
            entered.set()
            await leave.wait()

        transaction = asyncio.create_task(stores._database.transact(linger))
        await entered.wait()
        for call in (
            stores.accounts.create(an_account()),
            stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        leave.set()
        await transaction
        assert await stores.accounts.create(an_account())


# ── cancellation and failure inside a transaction ────────────────────────────────────────────────────


@pytest.mark.requirement("R-92", "refuses")
async def test_a_cancelled_caller_leaves_no_transaction_open(stores: SQLiteStores) -> None:
    """200 callers cancelled at random awaits: another task's write is never rolled back with theirs."""
    for number in range(200):
        doomed = asyncio.create_task(
            stores.refresh_tokens.create(a_family(f"family-{number}"), families_per_subject=300, now=NOW)
        )
        for _ in range(number % 40):
            await asyncio.sleep(0)
        doomed.cancel()
        assert await stores.accounts.create(an_account(f"subject-{number}", f"{number}@example.com"))
    await stores._database.transact(nothing)
    assert not write_connection(stores).in_transaction
    assert all([await stores.accounts.get(f"subject-{number}") for number in range(200)])


async def nothing(execute: Execute) -> None:
    """A transaction without a statement of its own."""


@pytest.mark.requirement("R-90", "refuses")
async def test_a_transaction_that_fails_leaves_nothing(stores: SQLiteStores) -> None:
    """What it wrote is rolled back, whatever ended it; the next one begins afresh."""

    async def fail(execute: Execute) -> None:
        await execute("UPDATE asgi_auth_revocation_head SET number = 99", ())
        raise LookupError

    with pytest.raises(LookupError):
        await stores._database.transact(fail)
    await stores.revocations.revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW)
    assert (await stores.revocations.changes_since(None)).cursor.number == 1


def test_an_event_loop_that_ends_in_a_transaction_rolls_it_back(path: Path) -> None:
    """Cancelled with everything else, it is not half there for the next one."""
    stores = SQLiteStores(path)

    async def begin() -> None:
        await stores.open()
        entered = asyncio.Event()

        async def linger(execute: Execute) -> None:
            await execute("UPDATE asgi_auth_revocation_head SET number = 99", ())
            entered.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(stores._database.transact(linger))
        await entered.wait()
        assert not task.done()

    async def look() -> int:
        head = (await stores.revocations.changes_since(None)).cursor.number
        await stores.revocations.revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW)
        await stores.close()
        return head

    asyncio.run(begin())
    assert asyncio.run(look()) == 0


async def test_a_cancelled_wait_for_a_turn_takes_nothing_with_it(stores: SQLiteStores) -> None:
    """A transaction that waits for single statements, and a statement that waits for the transaction."""
    turns = stores._database._turn()
    assert await turns.enter(1) == 1
    waiting = [asyncio.create_task(turns.alone(1).__aenter__()), asyncio.create_task(turns.enter(1))]
    await asyncio.sleep(0)
    for task in reversed(waiting):
        task.cancel()
    await asyncio.wait(waiting)
    assert all(task.cancelled() for task in waiting)
    turns.leave()
    assert await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW) == ()
    assert await stores.accounts.create(an_account())


def test_the_names_of_a_set_are_cached_by_their_text() -> None:
    assert names('["b","a"]') == names('["a","b"]') == frozenset("ab")


@pytest.mark.requirement("R-91", "refuses")
async def test_a_process_without_a_file_descriptor_left_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*args: object, **options: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(aiosqlite, "connect", connect)

    with pytest.raises(StoreUnavailable):
        await SQLiteStores(path).open()


async def test_the_connections_that_read_cannot_write(stores: SQLiteStores) -> None:
    connections = stores._database._connections
    assert connections is not None
    for connection in (connections.reads, connections.feed):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await connection.execute_fetchall("DELETE FROM asgi_auth_accounts")


@pytest.mark.requirement("R-95", "refuses")
async def test_not_even_the_drivers_own_log_holds_what_is_stored(
    stores: SQLiteStores, caplog: pytest.LogCaptureFixture
) -> None:
    """aiosqlite logs each call with its arguments, where somebody has asked for DEBUG."""
    caplog.set_level(0)
    canary = "canary-9f3a-canary"
    await stores.accounts.create(an_account(email=canary, password_hash=canary))
    await stores.refresh_tokens.create(a_family(family_id=canary), families_per_subject=1, now=NOW)
    await stores.accounts.get_by_email(canary)
    await stores.refresh_tokens.revoke(canary, member_digest=None, now=NOW)

    assert "INSERT INTO asgi_auth_accounts" in caplog.text
    assert canary not in caplog.text
