"""The file that private keys live in: mode 0600, always whole, agreed on by all who start at once."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from . import strict_json
from .errors import ConfigurationError

__all__ = ["load_or_create", "replace"]

Entries = list[dict[str, Any]]


def load_or_create(path: str | PathLike[str], create: Callable[[], Entries]) -> Entries:
    """The keys of the set at ``path``; where there is none, those of ``create``, now also in the file.

    A link never replaces what is there: of concurrent callers one puts its file in place and the others read it.
    """
    target = Path(path)
    if not target.exists():
        with _written(target, create()) as temporary, contextlib.suppress(FileExistsError):
            os.link(temporary, target)
    return _read(target)


def replace(path: str | PathLike[str], entries: Entries) -> None:
    """Put these keys in place of those at ``path``; a reader sees the old or the new file whole."""
    target = Path(path)
    with _written(target, entries) as temporary:
        # The rename takes the temporary name away; the link keeps what the caller removes.
        spare = temporary.with_name(temporary.name + "~")
        os.link(temporary, spare)
        spare.replace(target)


@contextlib.contextmanager
def _written(target: Path, entries: Entries) -> Iterator[Path]:
    """A temporary file beside ``target`` with these keys, durable before it gets its name; removed afterwards."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise ConfigurationError(f"the folder of the key file cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"keys": entries}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
        _sync_folder(target.parent)
    finally:
        Path(name).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Entries:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError("the key file can be read or written by others: chmod 600 it")
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the key file cannot be read: {error.strerror}") from None
    try:
        entries = strict_json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError):
        raise ConfigurationError("the key file is not a JWK set: restore it, or remove it to start anew") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError("the key file is not a JWK set: restore it, or remove it to start anew")
    return entries
