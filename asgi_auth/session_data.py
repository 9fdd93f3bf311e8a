"""The data of a session: a mapping that knows what it changed, so that the changes can be made again to newer data.

JSON alone is stored, and nothing that could not be read again: integers of up to 20 digits, 16 levels. A tuple comes
back as a list, and a name in an inner object as a string.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from .errors import SessionClosed, StoreUnavailable
from .strict_json import loads

__all__ = ["DATA_LIMIT", "NO_CHANGES", "NO_DATA", "Changes", "SessionData"]

DATA_LIMIT = 16 * 1024
"""The most that a session may hold, in bytes of JSON."""

NO_DATA = "{}"
"""The JSON of a session that holds nothing."""

_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Changes:
    """What one request did to the data: the names it set, with their values, and those it deleted."""

    values: Mapping[str, Any]
    deleted: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.values or self.deleted)

    def applied_to(self, text: str) -> str:
        """The JSON of ``text`` with these changes: what others wrote under other names stays.

        Raises ValueError where that is more than 16 KiB, StoreUnavailable where ``text`` is no data of a session.
        """
        if not self:
            return text
        data = {key: value for key, value in _decoded(text).items() if key not in self.deleted}
        return _within_limit({**data, **self.values})


NO_CHANGES = Changes({}, frozenset())


class SessionData(MutableMapping[str, Any]):
    """The data in ``text``, decoded when it is first asked for. Names are strings, values are JSON.

    What cannot be stored is refused where it is assigned: a TypeError that names the key, a ValueError over 16 KiB in
    all. A list or an object that was read is compared when it is saved, so ``data["seen"].append(1)`` is kept; there
    it is ``changes`` that raises these. Raises StoreUnavailable where ``text`` is no data of a session.
    """

    is_accessed = False
    """Whether anybody has asked for anything."""
    closed: str | None = None
    """Why it cannot be changed any more: the message of the ``SessionClosed`` that a change raises."""
    _text = NO_DATA
    _values: dict[str, Any] | None = None

    def __init__(self, text: str = NO_DATA) -> None:
        self._text = text

    def __getitem__(self, key: str) -> Any:
        value = self._loaded()[key]
        if not isinstance(value, _PLAIN) and key not in self._lent:
            self._lent[key] = _encoded(key, value)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.demand_open()
        _encoded(key, value)
        values = {**self._loaded(), key: value}
        _within_limit(values)
        self._values = values
        self._set.add(key)
        self._deleted.discard(key)

    def __delitem__(self, key: str) -> None:
        self.demand_open()
        del self._loaded()[key]
        self._set.discard(key)
        self._deleted.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._loaded()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # whatever it holds is nobody else's business

    def demand_open(self) -> None:
        """Raise SessionClosed where changes would be lost."""
        if self.closed is not None:
            raise SessionClosed(self.closed)

    def changes(self) -> Changes:
        """What was done to the data so far. Raises TypeError and ValueError for what was put into a list or object."""
        if self._values is None:
            return NO_CHANGES
        changed = self._set | {
            key
            for key, before in self._lent.items()
            if key in self._values and _encoded(key, self._values[key]) != before
        }
        for key in changed:
            _encoded(key, self._values[key])
        return Changes({key: self._values[key] for key in changed}, frozenset(self._deleted))

    def restart(self, text: str) -> None:
        """Begin anew with this data: nothing has been changed."""
        self._text = text
        self._values = None

    def _loaded(self) -> dict[str, Any]:
        self.is_accessed = True
        if self._values is None:
            self._values = _decoded(self._text)
            self._set: set[str] = set()
            self._deleted: set[str] = set()
            self._lent: dict[str, str] = {}
        return self._values


def _decoded(text: str) -> dict[str, Any]:
    try:
        data = loads(text.encode())
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise StoreUnavailable
    return data


def _encoded(key: str, value: Any) -> str:
    """The JSON of one value. What our own strict reader would not read again must not be stored."""
    if not isinstance(key, str):
        raise TypeError("the names in a session are strings")
    try:
        text = json.dumps({key: value}, allow_nan=False)
        loads(text.encode())
    except (TypeError, ValueError, RecursionError):
        # Python's own messages may hold the value.
        raise TypeError(f"session[{key!r}]: the value is not JSON, or nested too deeply") from None
    return text


def _within_limit(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"))
    if len(text) > DATA_LIMIT:
        raise ValueError(f"a session holds at most {DATA_LIMIT} bytes of JSON; keep a key here and the data elsewhere")
    return text
