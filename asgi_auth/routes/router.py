"""The router of our own routes: takes what lies under the prefix, passes everything else on.

Open routes stand before every credential layer, so an expired token never blocks its own renewal. Owned
ones are wrapped once in the credential layer and a requirement. Every answer, a refusal too, is
``no-store`` and varies by Cookie, unless the route says otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route, Router

from ..errors import ConfigurationError, InvalidCredentials, MethodNotAllowed, NotFound, Refusal
from ..middleware.opening import OpenServices
from ..patterns import Pattern, segments
from ..services import AuthServices
from ..wire.asgi import ASGIApp, Message, Receive, Scope, Send, is_request
from ..wire.challenges import for_presented, session
from ..wire.path import readings
from ..wire.responses import refuse
from .layers import CredentialLayers
from .table import JWKS_PATH, Handler, OwnRoute, own_routes
from .visitors import Visitors

__all__ = ["OwnRoutes", "checked_prefix"]

_CACHING = ((b"cache-control", b"no-store"), (b"vary", b"Cookie"))


class OwnRoutes:
    """Answers our own routes under ``prefix`` and at ``/.well-known/jwks.json``; ``app`` gets the rest.

    Paths are taken below ``scope["root_path"]``, or below ``root_path`` where that is empty; doubled slashes
    do not lead around the prefix. Opens the services on first use.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: AuthServices,
        layers: CredentialLayers | None = None,
        visitors: Visitors | None = None,
        *,
        prefix: str,
        registration: bool = True,
        root_path: str = "",
    ) -> None:
        self.app = app
        self._services = services
        self._prefix = segments(checked_prefix(prefix))
        self._jwks = segments(JWKS_PATH)
        self._root_path = root_path
        routes = own_routes(prefix, Visitors() if visitors is None else visitors, registration=registration)
        layers = CredentialLayers(services) if layers is None else layers
        paths = {route.path: _Methods(_by_method(route.path, routes, services, layers)) for route in routes}
        endpoints = [Route(path, answering) for path, answering in paths.items()]
        router = Router(endpoints, redirect_slashes=False, default=_not_found)
        self._routes = OpenServices(router, services)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        path = self._own_path(scope) if is_request(scope) else None
        if path is None:
            await self.app(scope, receive, send)
        else:
            await self._routes({**scope, "path": path, "root_path": ""}, receive, _uncached(send))

    def _own_path(self, scope: Scope) -> str | None:
        # An ambiguous path is nobody's: the policy below refuses it.
        root_path = scope.get("root_path") or self._root_path
        paths = readings(scope["path"], root_path.rstrip("/"))
        if paths is None:
            return None
        parts = segments(paths[0])
        own = parts[: len(self._prefix)] == self._prefix or parts == self._jwks
        return paths[0] if own else None


def checked_prefix(prefix: str) -> str:
    """The prefix, if it is a path of literal segments: ``/auth``, ``/api/v1/auth``. Else ConfigurationError."""
    pattern = Pattern.parse(prefix)
    literal = [segment for segment in pattern.segments if segment is not None]
    if not literal or prefix != "/" + "/".join(literal):
        raise ConfigurationError("the prefix of the own routes is one or more literal segments, as in '/auth'")
    return prefix


def _by_method(
    path: str, routes: Iterable[OwnRoute], services: AuthServices, layers: CredentialLayers
) -> dict[str, ASGIApp]:
    """What answers which method of one path."""
    found: dict[str, ASGIApp] = {}
    for route in routes:
        if route.path == path:
            found |= dict.fromkeys(route.methods, layers.around(_Endpoint(route.handler, services), route))
    return found


class _Methods:
    """Refuses other methods, OPTIONS among them: who may call from elsewhere, CORSMiddleware outside says."""

    def __init__(self, answering: Mapping[str, ASGIApp]) -> None:
        self._answering = answering

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._answering.get(scope["method"])
        if app is None:
            await refuse(scope, receive, send, MethodNotAllowed(self._answering))
        else:
            await app(scope, receive, send)


class _Endpoint:
    """One handler as an ASGI application: its answer, or its refusal; silence where the client is gone."""

    def __init__(self, handler: Handler, services: AuthServices) -> None:
        self._handler = handler
        self._services = services
        self._realm = services.access_tokens.realm

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        send = _uncached(send)  # before a credential layer says that the answer is private
        try:
            response = await self._handler(Request(scope, receive), self._services)
        except ClientDisconnect:
            return
        except Refusal as refusal:
            with suppress(OSError):
                await refuse(scope, receive, send, refusal, challenges=self._challenges(refusal))
            return
        if scope["method"] == "HEAD":
            response.body = b""  # the header lines of GET stay, content-length too (RFC 9110 §9.3.2)
        with suppress(OSError):
            await response(scope, receive, send)

    def _challenges(self, refusal: Refusal) -> Sequence[str]:
        wants_password = isinstance(refusal, InvalidCredentials)
        return (session(self._realm),) if wants_password else for_presented(refusal, self._realm)


def _uncached(send: Send) -> Send:
    """Every answer ``no-store`` and ``Vary: Cookie``, unless it says itself how it may be kept."""

    async def uncached(message: Message) -> None:
        headers = message.get("headers")
        if headers is not None and all(name.lower() != b"cache-control" for name, _ in headers):
            message = {**message, "headers": [*headers, *_CACHING]}
        await send(message)

    return uncached


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, receive, send, NotFound())
