"""Request headers: lines that may come once, what Authorization holds, and what makes a CORS preflight.

Header names are lower case, as ASGI says. Every expression is linear.
"""

import re
from collections.abc import Iterable

from ..errors import InvalidRequest, Reason

__all__ = ["AUTHORIZATION_LIMIT", "authorization", "bearer_token", "is_preflight", "only_line"]

AUTHORIZATION_LIMIT = 8 * 1024
"""The longest Authorization value that is read, in bytes."""

# RFC 9110 §5.6.2: a scheme is a token.
_SCHEME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 §11.4 and RFC 6750 §2.1: the scheme in any case, spaces, one token68 and nothing after it.
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")

Headers = Iterable[tuple[bytes, bytes]]


def authorization(headers: Headers) -> bytes | None:
    """The value of the Authorization line, or None where there is none.

    Two lines, or one longer than 8 KiB, are an InvalidRequest; nothing is copied before that.
    """
    found = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
            found = value
    if found is not None and len(found) > AUTHORIZATION_LIMIT:
        raise InvalidRequest(Reason.AUTHORIZATION_TOO_LARGE)
    return found


def only_line(headers: Headers, wanted: bytes) -> bytes | None:
    """The value of the header ``wanted``, or None where there is none; two lines of it are an InvalidRequest."""
    found = None
    for name, value in headers:
        if name == wanted:
            if found is not None:
                raise InvalidRequest(Reason.KEY_REPEATED)
            found = value
    return found


def bearer_token(value: bytes) -> bytes | None:
    """The credential of a ``Bearer`` value, or None where the value belongs to another scheme.

    A value that is neither is an InvalidRequest: no scheme at all, or Bearer with an empty or a
    second credential, a comma, a control byte, a byte beyond ASCII.
    """
    bearer = _BEARER.fullmatch(value)
    if bearer is not None:
        return bearer[1]
    scheme = _SCHEME.match(value)
    if scheme is None or scheme[0].lower() == b"bearer":
        raise InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return None


def is_preflight(headers: Headers) -> bool:
    """Whether an OPTIONS request is a CORS preflight (WHATWG Fetch): it names an origin and a method to come."""
    names = {name for name, value in headers if value}
    return b"origin" in names and b"access-control-request-method" in names
