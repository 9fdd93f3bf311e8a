"""What hits are counted by, beyond the client's address: who is calling, with which key, on which path.

A key is a function of the scope. One that asks who is calling says so (``needs_auth``), for it has its place inside the
layers that find that out.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import ConfigurationError
from ..patterns import segments
from ..principal import Anonymous, Auth, Principal
from ..wire.client_address import AddressOf, client_address

__all__ = ["ByAPIKey", "ByRoute", "BySubject", "Key"]

Key = Callable[[Any], str]
"""A function of the scope: requests with the same word share a limit."""

_AUTH = (Principal, Anonymous)


class BySubject:
    """One limit for all of a subject's requests, whatever their credentials; Anonymous counts by ``address``."""

    needs_auth: ClassVar[bool] = True

    def __init__(self, address: AddressOf = client_address) -> None:
        self._address = address

    def __call__(self, scope: Any) -> str:
        """The key of ``scope``'s caller. ConfigurationError where no layer of ours has said who that is."""
        auth = _auth(scope)
        return f"subject:{auth.subject}" if isinstance(auth, Principal) else self._address(scope)


class ByAPIKey:
    """One limit for each API key; callers with other credentials count by subject, Anonymous by ``address``."""

    needs_auth: ClassVar[bool] = True

    def __init__(self, address: AddressOf = client_address) -> None:
        self._by_subject = BySubject(address)

    def __call__(self, scope: Any) -> str:
        """The key of ``scope``'s caller. ConfigurationError where no layer of ours has said who that is."""
        auth = _auth(scope)
        if isinstance(auth, Principal) and auth.scheme == "api_key":
            return f"api_key:{auth.credential_id}"
        return self._by_subject(scope)


class ByRoute:
    """One limit for each address on each path. Paths are a client's own words: where they matter, use patterns."""

    def __init__(self, address: AddressOf = client_address) -> None:
        self._address = address

    def __call__(self, scope: Any) -> str:
        """The key of ``scope``'s client and path: the method, and the segments that are not empty."""
        return f"{self._address(scope)} {scope.get('method', 'WS')} /{'/'.join(segments(scope['path']))}"


def _auth(scope: Any) -> Auth:
    auth = scope.get("auth")
    if isinstance(auth, _AUTH):
        return auth
    raise ConfigurationError(
        "a rate limit by subject or API key stands inside the layers that authenticate: "
        "put BearerMiddleware, APIKeyMiddleware and SessionMiddleware, or AuthStack, around it"
    )
