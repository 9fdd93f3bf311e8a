"""The one renderer: any Refusal as an answer over http or websocket.

RFC 9457 ``application/problem+json`` bodies of type ``about:blank``, and a challenge with every 401
(RFC 9110 §15.5.2). Over a websocket that is not accepted yet the same response travels through the
``websocket.http.response`` extension; without it the socket is closed before it is accepted,
which servers answer with 403.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from ..errors import Invalid, Refusal
from .asgi import Receive, Scope, Send
from .challenges import DEFAULT_REALM, bearer

__all__ = ["close_code", "refuse"]

_CLOSE_CODES = 4000
"""RFC 6455 §7.4.2: 4000 to 4999 are the application's own; 4000 + status is what we use of them."""


async def refuse(
    scope: Scope, receive: Receive, send: Send, refusal: Refusal, *, challenges: Sequence[str] = ()
) -> None:
    """Answer with the refusal; nothing may have been sent before, and ``receive`` is not read.

    ``challenges`` become one WWW-Authenticate line each, and replace one in the refusal's headers. A
    401 without any gets a Bearer challenge.
    """
    body = _problem(refusal)
    prefix = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": close_code(refusal), "reason": refusal.code})
            return
        prefix = "websocket.http.response"
    headers = _header_lines(refusal, challenges, len(body))
    await send({"type": f"{prefix}.start", "status": refusal.status_code, "headers": headers})
    # RFC 9110 §9.3.2: a HEAD answer has the header lines of GET, content-length too, and no content.
    await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else body})


def close_code(refusal: Refusal) -> int:
    """The code that closes an accepted websocket: 4401, 4403, and 4000 + status for the rest."""
    return _CLOSE_CODES + refusal.status_code


def _problem(refusal: Refusal) -> bytes:
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status_code).phrase,
        "status": refusal.status_code,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    if isinstance(refusal, Invalid):
        members["errors"] = [{"field": error.field, "code": error.code} for error in refusal.errors]
        members["unknown_fields"] = refusal.unknown_fields
    return json.dumps(members).encode()


def _header_lines(refusal: Refusal, challenges: Sequence[str], length: int) -> list[tuple[bytes, bytes]]:
    lines = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % length)]
    lines += _own_lines(refusal.headers or {}, replaced=bool(challenges))
    if refusal.status_code == 401 and not challenges and all(name != b"www-authenticate" for name, _ in lines):
        challenges = (bearer(DEFAULT_REALM),)
    return lines + [(b"www-authenticate", challenge.encode("latin-1")) for challenge in challenges]


def _own_lines(headers: Mapping[str, str], *, replaced: bool) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers.items():
        if not (replaced and name.lower() == "www-authenticate"):
            yield name.lower().encode("latin-1"), value.encode("latin-1")
