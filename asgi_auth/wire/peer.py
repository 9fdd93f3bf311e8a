"""The address that a connection came from."""

from collections.abc import Callable

from .asgi import Scope

__all__ = ["AddressOf", "socket_peer"]

AddressOf = Callable[[Scope], str]


def socket_peer(scope: Scope) -> str:
    """The socket's peer; one name for all whose address is not known."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
