"""A bearer token among the subprotocols that a websocket offers: ``Sec-WebSocket-Protocol: bearer, <token>``.

A browser can set no other header on a websocket (RFC 6455 §4.1, WHATWG WebSockets), and a token in the URL ends up in
logs. The marker is exactly ``bearer``, and the token stands behind it. Neither reaches the application, and of the two
only the marker is ever sent back.
"""

import re
from collections.abc import Awaitable, Sequence

from ..errors import InvalidRequest, Reason
from .asgi import Message, Scope, Send
from .headers import AUTHORIZATION_LIMIT

__all__ = ["echoing", "offered_token", "without_token"]

_MARKER = "bearer"
_HEADER = b"sec-websocket-protocol"
# RFC 9110 §11.2: token68. A browser sends only those that are RFC 9110 §5.6.2 tokens too, as JSON web tokens are.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def offered_token(scope: Scope) -> bytes | None:
    """The token behind the marker, or None where a websocket offers no marker.

    An InvalidRequest: the marker twice or with nothing behind it, and a token that is none or longer than 8 KiB.
    """
    offered: Sequence[str] = scope.get("subprotocols") or ()
    if _MARKER not in offered:
        return None
    if offered.count(_MARKER) > 1:
        raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
    behind = offered[offered.index(_MARKER) + 1 :]
    if not behind:
        raise InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    if len(behind[0]) > AUTHORIZATION_LIMIT:
        raise InvalidRequest(Reason.AUTHORIZATION_TOO_LARGE)
    if not _TOKEN.fullmatch(behind[0]):
        raise InvalidRequest(Reason.AUTHORIZATION_MALFORMED)
    return behind[0].encode("ascii")


def without_token(scope: Scope) -> Scope:
    """A copy of a scope that offers a token: without marker and token, in the list and in the header lines."""
    offered = scope["subprotocols"]
    place = offered.index(_MARKER)
    others = [*offered[:place], *offered[place + 2 :]]
    headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
    if others:
        # RFC 6455 §4.1: their names are ASCII; whatever else a server lets through must not be a crash.
        headers.append((_HEADER, ", ".join(others).encode("ascii", "replace")))
    return {**scope, "subprotocols": others, "headers": headers}


def echoing(send: Send) -> Send:
    """``send`` for a websocket that offered a token: it is accepted with the marker, unless with another subprotocol.

    A browser closes a connection that answers its offer with none (WHATWG WebSockets).
    """

    def echo(message: Message) -> Awaitable[None]:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": _MARKER}
        return send(message)

    return echo
