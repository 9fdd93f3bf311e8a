"""Which site's page a request comes from: Origin (RFC 6454 §7.3), else Fetch Metadata (W3C, Sec-Fetch-Site).

Compared literally, never as patterns; nothing here looks at Host or Referer.
"""

from collections.abc import Iterable

from ..errors import ConfigurationError
from ..issuer import checked_origin

__all__ = ["CSRF_HEADER", "Origins", "csrf_header"]

CSRF_HEADER = "X-CSRF-Token"
"""The header of the session-bound token, for browsers that send neither Origin nor Sec-Fetch-Site."""

_OWN_SITES = (b"same-origin", b"none")

Headers = Iterable[tuple[bytes, bytes]]


class Origins:
    """The origins whose pages may use a session. None at all, or one written otherwise: ConfigurationError."""

    def __init__(self, origins: Iterable[str]) -> None:
        if isinstance(origins, str):
            raise ConfigurationError("origins are a collection of strings, not one string")
        self._allowed = frozenset(checked_origin(origin).encode() for origin in origins)
        if not self._allowed:
            raise ConfigurationError("name at least one origin whose pages may use a session")

    def admit(self, headers: Headers) -> bool | None:
        """Whether an unsafe http request may use a session; None where neither header came, and it must prove more.

        An Origin decides alone. ``null``, two lines, and an empty one are no origin of ours. Without it, the site must
        be the same origin, or the person itself (``none``: typed, a bookmark).
        """
        origins, sites = _lines(headers, b"origin"), _lines(headers, b"sec-fetch-site")
        if origins:
            return len(origins) == 1 and origins[0] in self._allowed
        if sites:
            return len(sites) == 1 and sites[0] in _OWN_SITES
        return None

    def admit_websocket(self, headers: Headers) -> bool:
        """Whether a websocket may use a session: no CORS guards it, so an Origin is demanded (RFC 6455 §10.2)."""
        origins = _lines(headers, b"origin")
        return len(origins) == 1 and origins[0] in self._allowed


def csrf_header(headers: Headers) -> bytes:
    """The token in the CSRF header; empty where there is none, or two."""
    lines = _lines(headers, CSRF_HEADER.lower().encode())
    return lines[0] if len(lines) == 1 else b""


def _lines(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]
