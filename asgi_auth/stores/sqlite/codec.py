"""Columns and values. What a column holds is checked as it is read: a damaged row is an error, never an absence."""

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from types import NoneType
from typing import Any

from asgi_auth.errors import StoreUnavailable

__all__ = [
    "BLOB",
    "BLOB_OR_NULL",
    "INTEGER",
    "INTEGER_OR_NULL",
    "REAL",
    "REAL_OR_NULL",
    "TEXT",
    "TEXT_OR_NULL",
    "Column",
    "Layout",
    "checked",
    "names",
    "names_text",
]

Column = tuple[type, ...]

TEXT: Column = (str,)
TEXT_OR_NULL: Column = (str, NoneType)
BLOB: Column = (bytes,)
BLOB_OR_NULL: Column = (bytes, NoneType)
INTEGER: Column = (int,)
INTEGER_OR_NULL: Column = (int, NoneType)
# SQLite keeps a whole number as an integer, and RETURNING hands it out as one.
REAL: Column = (float, int)
REAL_OR_NULL: Column = (float, int, NoneType)


def checked(row: Sequence[Any], columns: Sequence[Column]) -> Sequence[Any]:
    """The row, or ``StoreUnavailable`` where a column holds another type than it must."""
    if not all(map(isinstance, row, columns)):
        raise StoreUnavailable
    return row


class Layout:
    """A row whose columns are the fields of ``record``, in their order."""

    def __init__(self, record: type, columns: Sequence[Column]) -> None:
        self.names = tuple(field.name for field in fields(record))
        self._columns = tuple(columns)
        self._instants = tuple(name for name, column in zip(self.names, columns, strict=True) if float in column)

    def by_name(self, row: Sequence[Any]) -> dict[str, Any]:
        """The checked row by its names, every ``REAL`` a float: RETURNING hands out integers."""
        values = dict(zip(self.names, checked(row, self._columns), strict=True))
        for name in self._instants:
            if isinstance(values[name], int):
                values[name] = float(values[name])
        return values


def names_text(names: frozenset[str]) -> str:
    """Roles or scopes as JSON: equal sets give equal text, so the database can compare them."""
    return json.dumps(sorted(names), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1024)
def names(text: str) -> frozenset[str]:
    """The set again, or ``StoreUnavailable`` where the text is not what ``names_text`` writes."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise StoreUnavailable from None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise StoreUnavailable
    return frozenset(found)
