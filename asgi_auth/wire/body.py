"""JSON bodies of our own routes: read within limits, parsed in one way, with known fields only.

Anything but ``application/json`` is refused: a form of a foreign page can send ``text/plain`` without a
preflight. Nothing of a body appears in an answer, a message or a log line.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect

from ..errors import FieldError, Invalid, InvalidRequest, Reason, TooLarge, WrongMediaType
from ..strict_json import loads
from .asgi import Receive, Scope

__all__ = ["BODY_LIMIT", "fields", "read_json", "read_optional_json"]

BODY_LIMIT = 64 * 1024
"""The longest body that is read, in bytes."""

Headers = Iterable[tuple[bytes, bytes]]

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


def fields(document: Mapping[str, Any], required: Collection[str], optional: Collection[str] = ()) -> dict[str, str]:
    """The named fields of a document: each a string, the required ones there, no other ones.

    Else Invalid (422), which lists known fields as ``missing`` or ``not_a_string`` and counts the unknown.
    """
    known = {*required, *optional}
    errors = [FieldError(name, "missing") for name in required if name not in document]
    errors += [
        FieldError(name, "not_a_string") for name in sorted(known) if not isinstance(document.get(name, ""), str)
    ]
    unknown = sum(name not in known for name in document)
    if errors or unknown:
        raise Invalid(errors, unknown_fields=unknown)
    return dict(document)


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
