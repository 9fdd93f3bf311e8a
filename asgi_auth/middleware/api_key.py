"""API keys from one request header; never from a query string, and never from Authorization."""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Protocol

from ..errors import ConfigurationError, InvalidRequest, InvalidToken, Reason, Refusal
from ..principal import Anonymous, Auth, Principal
from ..unknown_tokens import UnknownTokens
from ..wire.asgi import ASGIApp, Message, Scope, Send, is_request
from ..wire.challenges import api_key, joined
from ..wire.client_address import AddressOf, client_address
from ..wire.edge import pass_on
from ..wire.headers import only_line
from ..wire.responses import refuse

__all__ = ["API_KEY_LIMIT", "APIKeyMiddleware", "VerifiesAPIKeys"]

API_KEY_LIMIT = 512
"""The longest value that is looked at, in bytes."""

# RFC 9110 §5.1: a field name is a token.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_OURS = {b"authorization", b"cookie"}
_PRIVATE = (b"cache-control", b"private")


class VerifiesAPIKeys(Protocol):
    """What the middleware asks of ``APIKeys``."""

    @property
    def realm(self) -> str:
        """The realm of the challenges: the issuer."""
        ...

    def cached(self, value: bytes, /) -> Principal | None:
        """The principal of a key verified before, every condition checked again; None to verify it now.

        Gets whatever bytes came, at most 512 of them; never raises.
        """
        ...

    async def verify(self, value: bytes, /) -> Principal:
        """The key's principal, or a Refusal."""
        ...

    def watch(self, principal: Principal, end: Callable[[], None], /) -> Callable[[], None]:
        """Call ``end`` once, when the key of ``principal`` ends; what is returned stops that."""
        ...


class APIKeyMiddleware:
    """Reads the header named ``header`` and puts the caller in ``scope["auth"]`` and ``scope["user"]``.

    No such header: the caller stays who it was, and this layer's challenge joins those of Anonymous. A living key: a
    Principal, and the answer says ``Vary`` on the header and ``Cache-Control: private``, unless the application says
    how it may be kept. Anything else is answered here and never reaches the application: 400 for two header lines and
    for a second credential in ``Authorization``, 401 for what is no living key, 503 while that cannot be known; 429
    where the client, by ``client_address``, has presented too many keys that nobody knows. ``unknown_tokens`` counts
    those: None means in this layer alone.

    ConfigurationError for a header that has no name of RFC 9110, or another purpose.
    """

    authenticates: ClassVar[bool] = True

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_keys: VerifiesAPIKeys,
        header: str = "X-API-Key",
        unknown_tokens: UnknownTokens | None = None,
        client_address: AddressOf = client_address,
    ) -> None:
        if not _NAME.fullmatch(header) or header.lower().encode() in _NOT_OURS:
            raise ConfigurationError("the header of API keys has a name of its own, as in 'X-API-Key'")
        self.app = app
        self._name = header.lower().encode()
        self._marking = _marking(header)
        self._cached = api_keys.cached
        self._verify = api_keys.verify
        self._watch = api_keys.watch
        self._unknown_tokens = UnknownTokens() if unknown_tokens is None else unknown_tokens
        self._client_address = client_address
        self._realm = api_keys.realm
        self._challenge = api_key(self._realm)
        self._anonymous = Anonymous((self._challenge,))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http" and not is_request(scope):
            await self.app(scope, receive, send)
            return
        auth: Auth
        before = scope.get("auth")
        try:
            value = only_line(scope["headers"], self._name)
            if value is None:
                auth = joined(before, self._anonymous)
            # Only keys that passed every check are in the cache, so a hit needs no look at the characters.
            elif type(before) is Principal or len(value) > API_KEY_LIMIT or (known := self._cached(value)) is None:
                auth = await self._cold(value, before, scope)
            else:
                auth = known
        except Refusal as refusal:
            challenges = (self._challenge,) if refusal.status_code == 401 else ()
            await refuse(scope, receive, send, refusal, challenges=challenges)
            return
        if value is not None:
            send = self._marking(send)
        await pass_on(self.app, scope, receive, send, auth, self._realm, self._watch)

    async def _cold(self, value: bytes, before: object, scope: Scope) -> Principal:
        # RFC 6750 §2: one request carries one explicit credential.
        if isinstance(before, Principal) and before.scheme == "bearer":
            raise InvalidRequest(Reason.AUTHORIZATION_REPEATED)
        if len(value) > API_KEY_LIMIT:
            raise InvalidToken(Reason.KEY_MALFORMED)
        known = self._cached(value)
        if known is None:
            address = self._client_address(scope)
            known = await self._unknown_tokens.ask(address, partial(self._verify, value))
        return known


def _marking(header: str) -> Callable[[Send], Send]:
    """What makes a ``send`` that marks the answer: it varies by ``header``, and is private unless it says otherwise."""
    vary = (b"vary", header.encode())

    def marked(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        lines = [*headers, vary]  # several Vary lines are one list (RFC 9110 §5.3)
        for name, _ in headers:
            if name.lower() == b"cache-control":
                return lines
        lines.append(_PRIVATE)
        return lines

    def marking(send: Send) -> Send:
        def private(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": marked(message.get("headers") or ())}
            return send(message)

        return private

    return marking
