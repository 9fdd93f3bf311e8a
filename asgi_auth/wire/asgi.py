"""The ASGI types of this package, in one place.

Inbound applications are typed as loosely as a framework may be: Starlette's stricter alias refuses
Litestar and Quart under mypy and pyright.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from ..errors import ConfigurationError

__all__ = ["ASGIApp", "HasScope", "Message", "Receive", "Scope", "Send", "is_request", "layers_of", "scope_of"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
"""Any ASGI application: one of ours, or of Starlette, FastAPI, Litestar, Quart and the others."""


_MAX_LAYERS = 32


class HasScope(Protocol):
    """A request or a websocket of any framework."""

    @property
    def scope(self) -> Any:
        """The connection's ASGI scope."""
        ...


def scope_of(connection: Any) -> Scope:
    """The scope of a request or a websocket of any framework; a scope is its own."""
    # Starlette's connections are mappings themselves, so the attribute is asked for first.
    scope: Scope = getattr(connection, "scope", connection)
    return scope


def is_request(scope: Scope) -> bool:
    """Whether the scope is ``http`` or ``websocket``; ``lifespan`` is not and passes.

    Anything else is refused: a kind of connection that no guard understands must not reach the
    application. Raises ConfigurationError.
    """
    kind = scope["type"]
    if kind == "http" or kind == "websocket":
        return True
    if kind == "lifespan":
        return False
    raise ConfigurationError("asgi_auth guards http and websocket and passes lifespan; this scope is none of them")


def layers_of(app: Any) -> Iterator[Any]:
    """``app``, and what it holds as ``app``, as middlewares do, and what that holds."""
    for _ in range(_MAX_LAYERS):
        yield app
        app = getattr(app, "app", None)
