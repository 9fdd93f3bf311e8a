"""The schema: numbered steps in ``migrations/``, append-only, applied when a store is opened."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from asgi_auth.errors import ConfigurationError
from asgi_auth.stores.sqlite.statements import Execute

__all__ = ["Migration", "load_migrations", "migrate", "require_version", "require_wal"]

OLDEST_SQLITE = (3, 35, 0)
"""The first with ``RETURNING``."""

TABLE = """
CREATE TABLE IF NOT EXISTS asgi_auth_schema (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at REAL NOT NULL
)
"""
APPLIED = "SELECT version, checksum FROM asgi_auth_schema ORDER BY version"
RECORD = "INSERT INTO asgi_auth_schema VALUES (?, ?, ?, CAST(strftime('%s', 'now') AS REAL))"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Once released it never changes: a mend is another step."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, recorded where it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def require_version(version: tuple[int, ...]) -> None:
    """``ConfigurationError`` where this SQLite is too old for the statements of the stores."""
    if version < OLDEST_SQLITE:
        raise ConfigurationError("SQLiteStores needs SQLite 3.35 or later. Use a Python that is linked with one.")


def require_wal(mode: str) -> None:
    """``ConfigurationError`` where the file could not be switched to the journal that lets reads pass writes."""
    if mode != "wal":
        raise ConfigurationError("SQLite cannot keep a write-ahead log there. Put the file on a local file system.")


def load_migrations() -> tuple[Migration, ...]:
    """The steps that this version of the package knows, in order."""
    folder = files("asgi_auth.stores.sqlite").joinpath("migrations")
    found = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    steps = (Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in found)
    return tuple(sorted(steps, key=lambda step: step.version))


async def migrate(execute: Execute, migrations: Sequence[Migration]) -> None:
    """Apply the steps that are missing, inside the caller's transaction: of many processes one does it.

    ``ConfigurationError`` where the file was written by a newer version, or a step changed after it was applied.
    """
    await execute(TABLE, ())
    known = {step.version: step for step in migrations}
    applied = {int(version): str(checksum) for version, checksum in await execute(APPLIED, ())}
    for version, checksum in applied.items():
        _check(known.get(version), checksum)
    for step in migrations:
        if step.version not in applied:
            await _apply(execute, step)


def _check(step: Migration | None, checksum: str) -> None:
    if step is None:
        raise ConfigurationError("The database was written by a newer asgi_auth. Install that version or a later one.")
    if step.checksum != checksum:
        raise ConfigurationError(
            f"Migration {step.name} differs from the one this database was made with. "
            "Restore the file as it was released; a change is a new migration."
        )


async def _apply(execute: Execute, step: Migration) -> None:
    for statement in _statements(step.sql):
        await execute(statement, ())
    await execute(RECORD, (step.version, step.name, step.checksum))


def _statements(sql: str) -> Iterator[str]:
    """The single statements: ``executescript`` would commit the transaction first."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
