"""Several processes on one SQLite file: opening, writing, hanging, dying."""

import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlite_tools import opened_stores

from asgi_auth.errors import StoreUnavailable
from asgi_auth.refresh_tokens import Advanced, Advancement, Expired, Reused
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores import SQLiteStores
from asgi_auth.stores.sqlite import SQLiteAccounts
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.schema import load_migrations
from asgi_auth.testing.contract.accounts import an_account
from asgi_auth.testing.contract.races import in_processes, together
from asgi_auth.testing.contract.refresh_tokens.families import NOW, a_family, present
from asgi_auth.testing.contract.sessions.browsers import a_session

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
ROTATOR = """
import asyncio, itertools, sys
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores import SQLiteStores
from asgi_auth.testing.contract.refresh_tokens.families import NOW, a_family, present

async def rotate_for_ever():
    stores = SQLiteStores(sys.argv[1])
    await stores.open()
    for number in itertools.count(1):
        await present(stores.refresh_tokens, f"R{number}", child=f"R{number + 1}", call=f"call {number}")
        print("rotated", number, flush=True)
        await stores.revocations.revoke(RevocationKind.TOKEN, f"token {number}", epoch=None, until=NOW)
        print("revoked", number, flush=True)

asyncio.run(rotate_for_ever())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@contextmanager
def process(program: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process; it is killed, as by the kernel, at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGKILL)


def lines(running: subprocess.Popen[str], count: int) -> list[str]:
    assert running.stdout is not None
    return [running.stdout.readline() for _ in range(count)]


@asynccontextmanager
async def unopened(path: Path) -> AsyncIterator[SQLiteStores]:
    yield SQLiteStores(path)


async def open_and_register(stores: SQLiteStores, name: str) -> bool:
    await stores.open()
    created = await stores.accounts.create(an_account(name, name))
    await stores.close()
    return created


async def test_eight_processes_open_one_new_file_at_once(path: Path) -> None:
    """One makes the schema, all of them go on."""
    shares = [(f"process-{number}",) for number in range(8)]
    assert await in_processes(partial(unopened, path), open_and_register, shares) == [True] * 8


@pytest.mark.requirement("R-90", "holds")
async def test_eight_processes_bring_one_old_file_up_to_date_at_once(path: Path) -> None:
    """One applies the step that is missing, all of them go on, and what was stored stays."""
    old = Database(path, deadline=1.5)
    await old.open(load_migrations()[:1])
    assert await SQLiteAccounts(old).create(an_account())
    await old.close()
    shares = [(f"process-{number}",) for number in range(8)]
    assert await in_processes(partial(unopened, path), open_and_sign_in, shares) == [True] * 8
    async with opened_stores(path) as stores:
        assert await stores.accounts.get("subject-1") == an_account()
        assert len(await stores.sessions.list("subject-1", now=NOW)) == 8


async def open_and_sign_in(stores: SQLiteStores, name: str) -> bool:
    await stores.open()
    created = await stores.sessions.create(a_session(name))
    await stores.close()
    return created


async def write_much(stores: SQLiteStores, process: str) -> list[bool]:
    """Eight writers, each of every kind of write; whether each of their rotations was the one that advanced."""

    async def writer(name: str) -> bool:
        done = True
        for number in range(20):
            family = a_family(f"{name}-{number}", subject=name)
            await stores.refresh_tokens.create(family, families_per_subject=5, now=NOW)
            done &= isinstance(await present(stores.refresh_tokens, "R1", family=family), Advanced)
            await stores.revocations.revoke(RevocationKind.TOKEN, f"{name}-{number}", epoch=None, until=NOW)
            done &= await stores.accounts.create(an_account(f"{name}-{number}", f"{name}-{number}"))
        return done

    return await together(writer(f"{process}-{number}") for number in range(8))


@pytest.mark.requirement("R-90", "holds")
async def test_two_processes_with_eight_writers_each_are_never_told_that_the_file_is_locked(path: Path) -> None:
    """Each of 1,280 writes is done, and nothing of them is lost."""
    assert await in_processes(partial(opened_stores, path), write_much, [("one",), ("two",)]) == [[True] * 8] * 2
    async with opened_stores(path) as stores:
        assert len((await stores.revocations.changes_since(None)).items) == 320


@pytest.mark.requirement("R-91", "refuses")
async def test_a_process_that_hangs_in_a_transaction_makes_writes_unavailable_until_it_dies(path: Path) -> None:
    """The deadline ends the wait; reads go on; the kernel frees the lock, and nothing has to be repaired."""
    async with opened_stores(path, deadline=0.1) as stores:
        await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW)
        with process(HOLDER, path) as holder:
            assert lines(holder, 1) == ["locked\n"]
            with pytest.raises(StoreUnavailable):
                await present(stores.refresh_tokens, "R1")
            assert await stores.accounts.get("nobody") is None
        assert isinstance(await present(stores.refresh_tokens, "R1"), Advanced)


@pytest.mark.requirement("R-32", "refuses")
async def test_what_was_answered_survives_a_process_that_is_killed(path: Path) -> None:
    """Killed between any two steps of a rotation, ten times: nothing spent or revoked comes back, nothing is half."""
    for _ in range(10):
        path.unlink(missing_ok=True)
        async with opened_stores(path) as stores:
            await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW)
        with process(ROTATOR, path) as rotator:
            answered = lines(rotator, random.randint(1, 8))
        async with opened_stores(path) as stores:
            await assert_nothing_came_back(stores, answered)


async def assert_nothing_came_back(stores: SQLiteStores, answered: list[str]) -> None:
    revoked = {item.id for item in (await stores.revocations.changes_since(None)).items}
    assert revoked >= {f"token {line.split()[1]}" for line in answered if line.startswith("revoked")}
    spent = max(int(line.split()[1]) for line in answered if line.startswith("rotated"))
    assert isinstance(await present(stores.refresh_tokens, f"R{spent}", child="X", call="after"), Reused)
    family = await stores.refresh_tokens.revoke("family-1", member_digest=None, now=NOW)
    assert family is not None
    outcome: Advancement | None = await present(stores.refresh_tokens, f"R{spent + 1}", child="Y", call="late")
    assert isinstance(outcome, Expired | Reused)
