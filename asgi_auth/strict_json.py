"""JSON that can be read in one way only (RFC 8259, RFC 8725 §3.7), for token segments and request bodies.

Python's parser alone takes duplicate members (the last one wins), NaN, a BOM, UTF-16, halves of surrogate
pairs, and nesting until its stack ends. Whatever the bytes: a value, or ValueError.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

__all__ = ["MAX_DEPTH", "MAX_INTEGER_DIGITS", "loads"]

MAX_DEPTH = 16
"""The deepest nesting of arrays and objects that is read."""

MAX_INTEGER_DIGITS = 20
"""The longest integer that is read: Python needs quadratic time for long ones."""

# A whole string, or one that never ends, is one match: linear whatever the text.
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(data: bytes) -> Any:
    """The value of one JSON text in UTF-8.

    Raises ValueError, whose message holds nothing of the text, for anything else: no UTF-8, a BOM, a member
    name that comes twice, NaN, an infinite or an overflowing number, an integer of more than 20 digits, a
    lone surrogate, nesting deeper than 16.
    """
    try:
        return _read(data.decode())
    except ValueError:
        # Python's own messages tell where and sometimes what; the chain would carry the text along.
        raise ValueError("not strict JSON") from None


def _read(text: str) -> Any:
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_deep(text)
    elif "\\" not in text:
        return _read_plain(text)
    value = _DECODER.decode(text)
    if _SURROGATE_ESCAPE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _read_plain(text: str) -> Any:
    """The value of a shallow text without a backslash: half the time of the general way."""
    try:
        value, end = _PLAIN_DECODER.raw_decode(text)
    except ValueError:
        value, end = None, -1
    if end != len(text):
        return _DECODER.decode(text)  # white space around it, or no JSON
    # Every quotation mark begins or ends a string here, so a member that another one replaced is a string too few.
    if 2 * _strings(value) != text.count('"'):
        raise ValueError
    return value


def _strings(value: Any) -> int:
    """How many strings there are in a value, names of members included. Refuses numbers out of range."""
    if type(value) is dict:
        return len(value) + _strings_in(value.values())
    if type(value) is list:
        return _strings_in(value)
    return _strings_in((value,))


def _strings_in(values: Iterable[Any]) -> int:
    count = 0
    for value in values:
        kind = type(value)
        if kind is str:
            count += 1
        elif kind is int:
            if not -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
                raise ValueError
        elif kind is float:
            if not math.isfinite(value):
                raise ValueError
        elif kind is dict or kind is list:
            count += _strings(value)
    return count


def _refuse_deep(text: str) -> None:
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError
        elif mark in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError
    return number


def _constant(_: str) -> Any:
    raise ValueError


_INTEGER_LIMIT = 10**MAX_INTEGER_DIGITS
_PLAIN_DECODER = json.JSONDecoder(parse_constant=_constant)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
