"""The whole stack around an application, and the two ways to compose its parts by hand.

RateLimit → own routes → Bearer → APIKey → Session → Authorization → app
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from starlette.middleware import Middleware

from .authorization import Policy
from .errors import ConfigurationError
from .middleware.api_key import APIKeyMiddleware
from .middleware.authorization import AuthorizationMiddleware
from .middleware.bearer import BearerMiddleware
from .middleware.opening import Lifespan, OpenServices
from .middleware.rate_limit import RateLimitMiddleware
from .middleware.session import SessionMiddleware
from .routes.layers import CredentialLayers
from .routes.router import OwnRoutes
from .routes.table import JWKS_PATH
from .routes.visitors import Visitors
from .services import AuthServices
from .wire.asgi import ASGIApp, is_request
from .wire.client_address import AddressOf, client_address
from .wire.cookies import DEFAULT_COOKIE, SessionCookie

__all__ = ["AuthStack", "chain", "mount"]


class AuthStack:
    """An application behind authentication, authorization and the routes that people sign in with.

    ``policy`` says who may do what; what it does not name needs an authenticated caller. The own routes are
    under ``prefix``, none at all with None; without ``registration`` accounts are made by the application. API keys
    come in the header ``api_key_header``, sessions in ``cookie``; ``origins`` are those whose pages may use a session,
    none means the issuer's. ``root_path`` fills an empty one, for
    servers that are started without. The services are opened and closed with the lifespan, around the application's
    own.

    Guesses are counted by ``client_address``, and so is every request where there is a ``rate_limit``: "100/minute;
    2000/hour" is what one address may send, the own routes included, counted in this process. By default it is the
    socket's peer; behind a proxy it must be ``ClientAddress(trusted=…)``, or all clients are one.

    Raises ConfigurationError for a limit that is not written so, for a prefix that is not a path of literal
    segments, for policy patterns under it, and where the application sets another ``root_path`` by itself.
    """

    authenticates: ClassVar[bool] = True

    def __init__(
        self,
        app: ASGIApp,
        services: AuthServices,
        *,
        policy: Policy | None = None,
        prefix: str | None = "/auth",
        registration: bool = True,
        client_address: AddressOf = client_address,
        api_key_header: str = "X-API-Key",
        cookie: SessionCookie = DEFAULT_COOKIE,
        origins: Iterable[str] = (),
        root_path: str = "",
        rate_limit: str | None = None,
    ) -> None:
        self.app = app
        policy = Policy({}) if policy is None else policy
        origins = tuple(origins)
        guarded = chain(
            app,
            Middleware(BearerMiddleware, access_tokens=services.access_tokens),
            Middleware(
                APIKeyMiddleware,
                api_keys=services.api_keys,
                header=api_key_header,
                unknown_tokens=services.unknown_tokens,
                client_address=client_address,
            ),
            Middleware(SessionMiddleware, sessions=services.sessions, cookie=cookie, origins=origins),
            Middleware(AuthorizationMiddleware, policy=policy, root_path=root_path),
        )
        if prefix is not None:
            guarded = mount(
                guarded,
                services,
                prefix=prefix,
                registration=registration,
                client_address=client_address,
                api_key_header=api_key_header,
                cookie=cookie,
                origins=origins,
                root_path=root_path,
            )
            _refuse_rules_for(policy, prefix)
        self._requests: ASGIApp = OpenServices(guarded, services)
        if rate_limit is not None:
            self._requests = RateLimitMiddleware(self._requests, limit=rate_limit, key=client_address)
        self._lifespan = Lifespan(app, services)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        app: ASGIApp = self._requests if is_request(scope) else self._lifespan
        await app(scope, receive, send)


def chain(app: ASGIApp, *middleware: Middleware) -> ASGIApp:
    """``app`` inside these layers, named in the order in which a request travels: the first is the outermost."""
    for layer in reversed(middleware):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def mount(
    app: ASGIApp,
    services: AuthServices,
    prefix: str = "/auth",
    *,
    registration: bool = True,
    client_address: AddressOf = client_address,
    api_key_header: str = "X-API-Key",
    cookie: SessionCookie = DEFAULT_COOKIE,
    origins: Iterable[str] = (),
    root_path: str = "",
) -> ASGIApp:
    """``app`` with the own routes in front of it, complete whatever surrounds it; it guards nothing else.

    Place it outside the credential layers, so that an expired token never blocks its own renewal. Nothing
    opens the services with the lifespan here; the first use does, else the application's own lifespan.
    """
    layers = CredentialLayers(
        services, api_key_header=api_key_header, cookie=cookie, origins=origins, client_address=client_address
    )
    visitors = Visitors(client_address, cookie)
    return OwnRoutes(app, services, layers, visitors, prefix=prefix, registration=registration, root_path=root_path)


def _refuse_rules_for(policy: Policy, prefix: str) -> None:
    for path in (prefix, JWKS_PATH):
        if policy.names_below(path):
            raise ConfigurationError(f"the policy has a pattern under {path}, where our own routes guard themselves")
