"""Bearer tokens from the Authorization header (RFC 6750 §2.1); never from a body or a query (§2.2, §2.3)."""

from collections.abc import Callable
from typing import Any, Protocol

from ..errors import InvalidRequest, Reason, Refusal
from ..principal import Anonymous, Auth, Principal
from ..wire.asgi import ASGIApp, Scope, is_request
from ..wire.challenges import bearer, for_presented, joined
from ..wire.edge import pass_on
from ..wire.headers import authorization, bearer_token
from ..wire.responses import refuse

__all__ = ["BearerMiddleware", "BearerTokens"]


class BearerTokens(Protocol):
    """What the middleware asks of ``AccessTokens``."""

    @property
    def realm(self) -> str:
        """The realm of the challenges: the issuer."""
        ...

    def cached(self, token: bytes, /) -> Principal | None:
        """The principal of a token verified before, every condition checked again; None to verify it now.

        Gets whatever bytes came, at most 8 KiB of them; never raises.
        """
        ...

    async def verify(self, token: bytes, /) -> Principal:
        """The token's principal, or a Refusal."""
        ...

    def watch(self, principal: Principal, end: Callable[[], None], /) -> Callable[[], None]:
        """Call ``end`` once, when the token of ``principal`` ends; what is returned stops that."""
        ...


class BearerMiddleware:
    """Reads ``Authorization: Bearer`` and puts the caller in ``scope["auth"]`` and ``scope["user"]``.

    No Authorization, or one of another scheme: the caller stays who it was, and this layer's challenge
    joins those of Anonymous. A valid token: a Principal. Anything else is answered here and never
    reaches the application: 400 for a malformed header, two header lines or two credentials, 401 for a
    token that is not valid, 503 while that cannot be known.
    """

    def __init__(self, app: ASGIApp, *, access_tokens: BearerTokens) -> None:
        self.app = app
        self._cached = access_tokens.cached
        self._verify = access_tokens.verify
        self._watch = access_tokens.watch
        self._realm = access_tokens.realm
        self._anonymous = Anonymous((bearer(self._realm),))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http" and not is_request(scope):
            await self.app(scope, receive, send)
            return
        auth: Auth
        try:
            value = authorization(scope["headers"])
            if value is None:
                auth = joined(scope.get("auth"), self._anonymous)
            # Only tokens that passed every check are in the cache, so a hit needs no look at the characters.
            elif value[:7] == b"Bearer " and (principal := self._cached(value[7:])) is not None:
                auth = principal if scope.get("auth") is None else _alone(principal, scope)
            else:
                auth = await self._cold(scope, value)
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal, challenges=for_presented(refusal, self._realm))
            return
        await pass_on(self.app, scope, receive, send, auth, self._realm, self._watch)

    async def _cold(self, scope: Scope, value: bytes) -> Auth:
        token = bearer_token(value)
        return joined(scope.get("auth"), self._anonymous) if token is None else _alone(await self._verify(token), scope)


def _alone(principal: Principal, scope: Scope) -> Principal:
    before = scope.get("auth")
    # RFC 6750 §2: one request carries one explicit credential.
    if isinstance(before, Principal) and before.scheme == "api_key":
        raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
    return principal
