"""The credential layers around our own routes: who stands before which."""

from collections.abc import Iterable
from typing import Any

from ..authorization import authenticated
from ..errors import InvalidRequest
from ..middleware.api_key import APIKeyMiddleware
from ..middleware.authorization import Require
from ..middleware.bearer import BearerMiddleware
from ..middleware.session import SessionMiddleware
from ..services import AuthServices
from ..wire.asgi import ASGIApp, Scope
from ..wire.client_address import AddressOf, client_address
from ..wire.cookies import DEFAULT_COOKIE, SessionCookie
from ..wire.headers import authorization, bearer_token
from .table import OwnRoute, Reads

__all__ = ["CredentialLayers"]


class CredentialLayers:
    """How credentials travel: API keys in ``api_key_header``, sessions in ``cookie``, used by pages of ``origins``.

    Unknown keys are counted by ``client_address``.
    """

    def __init__(
        self,
        services: AuthServices,
        *,
        api_key_header: str = "X-API-Key",
        cookie: SessionCookie = DEFAULT_COOKIE,
        origins: Iterable[str] = (),
        client_address: AddressOf = client_address,
    ) -> None:
        self._services = services
        self._api_key_header = api_key_header
        self._cookie = cookie
        self._origins = tuple(origins)
        self._client_address = client_address

    def around(self, endpoint: ASGIApp, route: OwnRoute) -> ASGIApp:
        """The endpoint behind the layers that its route needs."""
        if route.owned:
            within = self._session(Require(endpoint, authenticated))
            keys = APIKeyMiddleware(
                within,
                api_keys=self._services.api_keys,
                header=self._api_key_header,
                unknown_tokens=self._services.unknown_tokens,
                client_address=self._client_address,
            )
            return BearerMiddleware(keys, access_tokens=self._services.access_tokens)
        if route.reads is Reads.NOTHING:
            return endpoint
        within = self._session(endpoint)
        return within if route.reads is Reads.COOKIE else _UnlessToken(within, endpoint)

    def _session(self, endpoint: ASGIApp) -> ASGIApp:
        return SessionMiddleware(endpoint, sessions=self._services.sessions, cookie=self._cookie, origins=self._origins)


class _UnlessToken:
    """Reads no cookie where ``Authorization: Bearer`` came, valid or not: the caller has said which one it means."""

    def __init__(self, within: ASGIApp, endpoint: ASGIApp) -> None:
        self._within = within
        self._endpoint = endpoint

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._endpoint if _has_token(scope) else self._within
        await app(scope, receive, send)


def _has_token(scope: Scope) -> bool:
    try:
        value = authorization(scope["headers"])
        return value is not None and bearer_token(value) is not None
    except InvalidRequest:
        return True  # the endpoint says what is wrong with it
