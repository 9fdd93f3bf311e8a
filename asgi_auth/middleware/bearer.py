"""Bearer tokens from the Authorization header (RFC 6750 §2.1), and from the subprotocols of a websocket.

Never from a body or a query (RFC 6750 §2.2, §2.3).
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from ..errors import InvalidRequest, Reason, Refusal
from ..principal import Anonymous, Auth, Principal
from ..wire.asgi import ASGIApp, Receive, Scope, Send, is_request
from ..wire.challenges import bearer, for_presented, joined
from ..wire.edge import pass_on
from ..wire.headers import authorization, bearer_token
from ..wire.responses import refuse
from ..wire.subprotocols import echoing, offered_token, without_token

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

    A websocket may bring its token as ``Sec-WebSocket-Protocol: bearer, <token>`` instead; the application sees
    neither of the two, and where it accepts with no subprotocol the client gets ``bearer``.

    No Authorization, or one of another scheme: the caller stays who it was, and this layer's challenge
    joins those of Anonymous. A valid token: a Principal. Anything else is answered here and never
    reaches the application: 400 for a malformed header, two header lines or two credentials, 401 for a
    token that is not valid, 503 while that cannot be known.
    """

    authenticates: ClassVar[bool] = True

    def __init__(self, app: ASGIApp, *, access_tokens: BearerTokens) -> None:
        self.app = app
        self._cached = access_tokens.cached
        self._verify = access_tokens.verify
        self._watch = access_tokens.watch
        self._realm = access_tokens.realm
        self._anonymous = Anonymous((bearer(self._realm),))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await (self._socket if is_request(scope) else self.app)(scope, receive, send)
            return
        auth: Auth
        try:
            value = authorization(scope["headers"])
            if value is None:
                auth = joined(scope.get("auth"), self._anonymous)
            # Only tokens that passed every check are in the cache, so a hit needs no look at the characters.
            elif value[:7] == b"Bearer " and (principal := self._cached(value[7:])) is not None:
                auth = _alone(principal, scope) if "auth" in scope else principal
            else:
                auth = await self._cold(scope, bearer_token(value))
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal, challenges=for_presented(refusal, self._realm))
            return
        await pass_on(self.app, scope, receive, send, auth, self._realm, self._watch)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            value, token = authorization(scope["headers"]), offered_token(scope)
            if token is not None:
                scope, send = without_token(scope), echoing(send)
            if value is not None and (presented := bearer_token(value)) is not None:
                if token is not None:
                    raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
                token = presented
            auth = await self._cold(scope, token)
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal, challenges=for_presented(refusal, self._realm))
            return
        await pass_on(self.app, scope, receive, send, auth, self._realm, self._watch)

    async def _cold(self, scope: Scope, token: bytes | None) -> Auth:
        if token is None:
            return joined(scope.get("auth"), self._anonymous)
        return _alone(await self._verify(token), scope)


def _alone(principal: Principal, scope: Scope) -> Principal:
    before = scope.get("auth")
    # RFC 6750 §2: one request carries one explicit credential.
    if isinstance(before, Principal) and before.scheme == "api_key":
        raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
    return principal
