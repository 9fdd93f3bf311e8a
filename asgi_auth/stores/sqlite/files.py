"""The database file: where it lies and who may read it."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from asgi_auth.errors import ConfigurationError

__all__ = ["database_path", "make_private"]

OWNER_ONLY = 0o600
COMPANIONS = ("", "-wal", "-shm", "-journal")


def database_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path, whatever the process's folder becomes later. Only a file on disk will do."""
    name = os.fspath(path)
    if name in ("", ":memory:") or name.startswith("file:"):
        raise ConfigurationError(
            "SQLiteStores needs a file that every connection and process can open, not a database in memory or a URI. "
            "Use MemoryStores() to keep nothing."
        )
    return Path(name).absolute()


def make_private(path: Path) -> None:
    """Create the file if it is missing, and let nobody but its owner read it or its companions.

    SQLite gives ``-wal`` and ``-shm`` the mode of the file itself, so this comes before the first connection.
    """
    if path.exists() and not path.is_file():
        raise ConfigurationError("SQLiteStores needs a file, and something else has that name.")
    try:
        _create(path)
        for companion in COMPANIONS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + companion).chmod(OWNER_ONLY)
        sqlite3.connect(path).close()
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"SQLiteStores cannot use its file: {error}. Its folder must exist.") from error


def _create(path: Path) -> None:
    # Only a new file is opened here: closing a descriptor of a file that SQLite has open would drop SQLite's locks.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
