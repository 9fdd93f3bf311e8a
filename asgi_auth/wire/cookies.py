"""The session cookie in its two directions (RFC 6265 §5.4, RFC 6265bis §4.1): found among others, set, cleared.

Left out: cookies with data, quoted values (they are never unquoted), Domain, Partitioned. A cookie without a name is
nobody's, and a value that looks like ``__Host-…`` is a value. Linear whatever the bytes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigurationError

__all__ = ["COOKIE_LIMIT", "DEFAULT_COOKIE", "SessionCookie", "cookie_values"]

COOKIE_LIMIT = 16 * 1024
"""The most bytes of Cookie lines that are read."""

_PAIR_LIMIT = 4096
"""RFC 6265bis §5.6: browsers drop a cookie whose name and value are longer together."""
_VALUE_LENGTH = 128
"""More than any value of ours."""
# RFC 9110 §5.6.2: a cookie's name is a token.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFIXES = ("__host-", "__secure-", "__http-", "__host-http-")
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}

Headers = Iterable[tuple[bytes, bytes]]


def cookie_values(headers: Headers, name: bytes) -> list[bytes]:
    """The values of all cookies with this name, exactly as they came; names are case-sensitive.

    None at all where the Cookie lines are longer than 16 KiB together: a browser cannot delete such cookies, so they
    count as absent rather than as an error; nothing is copied before that.
    """
    found: list[bytes] = []
    length = 0
    for header, line in headers:
        if header == b"cookie":
            length += len(line)
            if length > COOKIE_LIMIT:
                return []
            for pair in line.split(b";") if name in line else ():
                key, equals, value = pair.partition(b"=")
                if equals and (key == name or key.strip(b" \t") == name):
                    found.append(value.strip(b" \t"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookie:
    """How the session cookie is called and kept: ``__Host-session``, Secure, HttpOnly, Path=/, SameSite=Lax.

    ``secure=False`` drops Secure and the ``__Host-`` together, for development on http; the session layer takes it
    only where the issuer is plain http on a loopback address. A name that is no token or has a prefix of its own, an
    unknown ``same_site``, and ``none`` without ``secure`` are a ConfigurationError.
    """

    name: str = "session"
    secure: bool = True
    same_site: Literal["lax", "strict", "none"] = "lax"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.lower().startswith(_PREFIXES):
            raise ConfigurationError("the cookie's name is a token of its own; __Host- comes by itself")
        if len(self.effective_name) + _VALUE_LENGTH > _PAIR_LIMIT:
            raise ConfigurationError("the cookie's name and value are at most 4096 bytes together")
        if self.same_site not in _SAME_SITE or (self.same_site == "none" and not self.secure):
            raise ConfigurationError("same_site is 'lax', 'strict' or, with secure, 'none'")

    @property
    def effective_name(self) -> str:
        """The name that browsers see: with ``__Host-`` they demand Secure, Path=/ and no Domain."""
        return f"__Host-{self.name}" if self.secure else self.name

    def holding(self, value: str, max_age: float) -> bytes:
        """The Set-Cookie line for ``value``, kept for ``max_age`` seconds."""
        secure = "; Secure" if self.secure else ""
        line = f"{self.effective_name}={value}; Path=/; Max-Age={int(max_age)}; HttpOnly{secure}"
        return f"{line}; SameSite={_SAME_SITE[self.same_site]}".encode()

    def cleared(self) -> bytes:
        """The Set-Cookie line that deletes it: the same attributes, no value and no time."""
        return self.holding("", 0)


DEFAULT_COOKIE = SessionCookie()
"""``__Host-session`` with every protection that a cookie can have."""
