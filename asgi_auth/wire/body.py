"""JSON bodies of our own routes: read within limits, parsed in one way, with known fields only.

Anything but ``application/json`` is refused: a form of a foreign page can send ``text/plain`` without a
preflight. Nothing of a body appears in an answer, a message or a log line.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

from starlette.requests import ClientDisconnect

from ..errors import FieldError, Invalid, InvalidRequest, Reason, TooLarge, WrongMediaType
from ..strict_json import loads
from .asgi import Receive, Scope

__all__ = ["BODY_LIMIT", "Kind", "fields", "read_json", "read_optional_json"]

BODY_LIMIT = 64 * 1024
"""The longest body that is read, in bytes."""

Headers = Iterable[tuple[bytes, bytes]]


class Kind(StrEnum):
    """What a field holds; each is the code of a field that does not."""

    STRING = "not_a_string"
    BOOLEAN = "not_a_boolean"
    NUMBER = "not_a_number"
    STRINGS = "not_a_list_of_strings"


Names = Collection[str] | Mapping[str, Kind]
"""Names of fields that are strings, or of fields with their kinds."""

# RFC 9110 §8.3.1. JSON is UTF-8 (RFC 8259 §8.1); no other parameter means anything to us.
_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE)


async def read_json(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The JSON object in the body.

    Raises WrongMediaType (415: the type is not ``application/json``, or the body is compressed), TooLarge
    (413: over 64 KiB, before anything of the excess is copied), InvalidRequest (400: not one JSON object in
    the strict sense of ``strict_json``), ClientDisconnect where the client went away.
    """
    _demand_json(scope["headers"])
    return _object(await _read(scope["headers"], receive))


async def read_optional_json(scope: Scope, receive: Receive) -> dict[str, Any]:
    """Like ``read_json``, but no body at all is an empty object, whatever its type says."""
    body = await _read(scope["headers"], receive)
    if not body:
        return {}
    _demand_json(scope["headers"])
    return _object(body)


def fields(document: Mapping[str, Any], required: Names, optional: Names = ()) -> dict[str, Any]:
    """The named fields of a document: each of its kind, the required ones there, no other ones.

    Else Invalid (422), which lists known fields as ``missing`` or with the code of their kind and counts the unknown.
    A null is a field that is there and of no kind.
    """
    known = {**_kinds(required), **_kinds(optional)}
    errors = [FieldError(name, "missing") for name in required if name not in document]
    errors += [
        FieldError(name, kind)
        for name, kind in sorted(known.items())
        if name in document and not _IS[kind](document[name])
    ]
    unknown = sum(name not in known for name in document)
    if errors or unknown:
        raise Invalid(errors, unknown_fields=unknown)
    return dict(document)


def _kinds(names: Names) -> Mapping[str, Kind]:
    return names if isinstance(names, Mapping) else dict.fromkeys(names, Kind.STRING)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_IS: Mapping[Kind, Callable[[object], bool]] = {
    Kind.STRING: _is_string,
    Kind.BOOLEAN: _is_boolean,
    Kind.NUMBER: _is_number,
    Kind.STRINGS: _is_list_of_strings,
}


def _demand_json(headers: Headers) -> None:
    types = [value for name, value in headers if name == b"content-type"]
    encodings = [value for name, value in headers if name == b"content-encoding"]
    if len(types) != 1 or not _JSON.fullmatch(types[0]) or any(value.lower() != b"identity" for value in encodings):
        raise WrongMediaType


async def _read(headers: Headers, receive: Receive) -> bytes:
    _refuse_announced(headers)
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        chunk = message.get("body") or b""
        length += len(chunk)
        if length > BODY_LIMIT:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _refuse_announced(headers: Headers) -> None:
    # A length that is no number is the server's business; what arrives is counted all the same.
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > BODY_LIMIT:
            raise TooLarge


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = loads(body)
    except ValueError:
        raise InvalidRequest(Reason.BODY_MALFORMED) from None
    if not isinstance(document, dict):
        raise InvalidRequest(Reason.BODY_MALFORMED)
    return document
