"""The schema of the SQLite stores: numbered steps, applied once, by one of many, and never half."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_tools import opened_stores

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.refresh_tokens import Advanced, Reused
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores.sqlite import (
    SQLiteAccounts,
    SQLiteRefreshTokens,
    SQLiteRevocations,
    accounts,
    api_keys,
    lockout,
    one_time,
    refresh_tokens,
    sessions,
)
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.schema import Migration, load_migrations, require_version, require_wal
from asgi_auth.testing.contract.accounts import NOW, an_account
from asgi_auth.testing.contract.api_keys.programs import a_key
from asgi_auth.testing.contract.refresh_tokens.families import a_family, present
from asgi_auth.testing.contract.sessions.browsers import a_session

KNOWN = load_migrations()
FIRST_TABLES = {
    "asgi_auth_accounts",
    "asgi_auth_refresh_families",
    "asgi_auth_revocations",
    "asgi_auth_revocation_head",
}
STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]} {name}": sql
    for module in (accounts, api_keys, lockout, one_time, refresh_tokens, sessions)
    for name, sql in vars(module).items()
    if isinstance(sql, str) and sql.strip().partition(" ")[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
}
NEXT = Migration(
    len(KNOWN) + 1,
    "next",
    """
-- A comment; with a semicolon.
CREATE TABLE later (id INTEGER);
CREATE TRIGGER later_too AFTER INSERT ON later BEGIN
    DELETE FROM later WHERE id < 0;
    DELETE FROM later WHERE id > 9;
END;
INSERT INTO later VALUES (10), (5);
""",
)
BROKEN = Migration(NEXT.version, "broken", "CREATE TABLE later (id INTEGER);\nINSERT INTO nowhere VALUES (1);\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


async def apply(path: Path, migrations: Sequence[Migration]) -> None:
    database = Database(path, deadline=1.5)
    try:
        await database.open(migrations)
    finally:
        await database.close()


def select(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def tables(path: Path) -> set[object]:
    return {name for (name,) in select(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_steps_are_numbered_without_a_gap() -> None:
    assert [step.version for step in KNOWN] == list(range(1, len(KNOWN) + 1))
    assert all(step.name.startswith(f"{step.version:04}_") for step in KNOWN)


async def test_each_step_is_recorded_with_its_checksum(path: Path) -> None:
    await apply(path, KNOWN)
    recorded = select(path, "SELECT version, name, checksum FROM asgi_auth_schema ORDER BY version")
    assert recorded == [(step.version, step.name, step.checksum) for step in KNOWN]
    assert select(path, "SELECT applied_at FROM asgi_auth_schema WHERE applied_at < 1700000000") == []


@pytest.mark.parametrize("version", range(len(KNOWN) + 1))
async def test_every_older_version_is_brought_up_to_date(path: Path, version: int) -> None:
    """From nothing, and from each step that was ever released; afterwards the stores work."""
    await apply(path, KNOWN[:version])
    async with opened_stores(path) as stores:
        assert await stores.accounts.create(an_account())
        assert await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW) == ()
        assert (await stores.revocations.changes_since(None)).cursor.number == 0


def test_a_released_step_is_as_it_was_released() -> None:
    """Databases out there hold this checksum: another one shuts them."""
    assert KNOWN[0].checksum == "3d25f90d98135e5b9842a585b80fe527c59157a0b7577841d380910d115c9952"


@pytest.mark.requirement("R-32", "holds")
async def test_the_first_schema_becomes_the_second_and_loses_nothing(path: Path) -> None:
    """A process that still runs on the old schema goes on, and what it writes is there too."""
    old = Database(path, deadline=1.5)
    await old.open(KNOWN[:1])
    assert await SQLiteAccounts(old).create(an_account())
    await SQLiteRefreshTokens(old).create(a_family(), families_per_subject=1, now=NOW)
    await SQLiteRevocations(old).revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW)
    cursor = (await SQLiteRevocations(old).changes_since(None)).cursor
    before = {table: select(path, f"SELECT * FROM {table}") for table in FIRST_TABLES}
    assert tables(path) == {*FIRST_TABLES, "asgi_auth_schema"}
    async with opened_stores(path) as stores:
        assert {table: select(path, f"SELECT * FROM {table}") for table in FIRST_TABLES} == before
        await SQLiteRevocations(old).revoke(RevocationKind.TOKEN, "b", epoch=None, until=NOW)
        changes = await stores.revocations.changes_since(cursor)
        assert ([item.id for item in changes.items], changes.restart) == (["b"], False)
        assert await stores.accounts.get("subject-1") == an_account()
        assert isinstance(await present(stores.refresh_tokens, "R1"), Advanced)
        assert await stores.sessions.create(a_session())
        assert await stores.api_keys.create(a_key(), keys_per_subject=1, now=NOW)
        assert await stores.one_time.put(b"key", "value", expires_at=NOW + 1, now=NOW)
        assert isinstance(await present(SQLiteRefreshTokens(old), "R1", child="X"), Reused)
    await old.close()


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
async def test_no_statement_reads_a_whole_table(path: Path, statement: str) -> None:
    """However many rows there are: each is found by a key or an index."""
    await apply(path, KNOWN)
    named: Mapping[str, None] = defaultdict(lambda: None)
    parameters = [None] * statement.count("?") or named
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert [step for step in plan if step.startswith("SCAN asgi_auth")] == []


async def test_a_new_step_keeps_what_is_stored(path: Path) -> None:
    """It is applied once, whole: also comments, and triggers that have semicolons of their own and delete the 10."""
    async with opened_stores(path) as stores:
        await stores.accounts.create(an_account())
    for _ in range(2):
        await apply(path, (*KNOWN, NEXT))
    assert select(path, "SELECT id FROM later") == [(5,)]
    assert select(path, "SELECT subject FROM asgi_auth_accounts") == [("subject-1",)]


@pytest.mark.requirement("R-90", "refuses")
async def test_a_step_that_fails_leaves_nothing(path: Path) -> None:
    """Neither its first statements nor its record; the steps before it stay."""
    await apply(path, KNOWN)
    before = tables(path)
    with pytest.raises(StoreUnavailable):
        await apply(path, (*KNOWN, BROKEN))
    assert tables(path) == before
    await apply(path, (*KNOWN, NEXT))
    assert tables(path) == {*before, "later"}


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await apply(path, (*KNOWN, NEXT))
    with pytest.raises(ConfigurationError, match="newer"):
        async with opened_stores(path):
            pytest.fail("opened")


async def test_a_step_that_changed_after_it_was_applied_is_refused(path: Path) -> None:
    await apply(path, (*KNOWN, NEXT))
    with pytest.raises(ConfigurationError, match="Migration next differs"):
        await apply(path, (*KNOWN, Migration(NEXT.version, NEXT.name, NEXT.sql + "\n")))


def test_an_old_sqlite_is_refused() -> None:
    require_version((3, 35, 0))
    with pytest.raises(ConfigurationError, match=r"3\.35"):
        require_version((3, 34, 9))


def test_a_file_system_without_a_write_ahead_log_is_refused() -> None:
    require_wal("wal")
    with pytest.raises(ConfigurationError, match="local file system"):
        require_wal("delete")
