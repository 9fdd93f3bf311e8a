"""Sessions from a cookie: who is signed in, and ``scope["session"]``. No body is read here, and no cookie is trusted.

A cookie that is unknown, malformed or over counts as absent, and the answer clears it: a browser cannot delete an
HttpOnly cookie itself. Explicit beats ambient: a caller with a token or a key is not asked for a cookie.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, ClassVar

from ..errors import ConfigurationError, Refusal
from ..issuer import is_loopback_http, origin_of
from ..principal import Anonymous, Auth, Principal
from ..sessions import Sessions
from ..wire.asgi import ASGIApp, HasScope, Message, Receive, Scope, Send, is_request, scope_of
from ..wire.challenges import joined, session
from ..wire.cookies import DEFAULT_COOKIE, SessionCookie, cookie_values
from ..wire.edge import pass_on
from ..wire.origin import Origins
from ..wire.responses import refuse
from .request_session import RequestSession

__all__ = ["SessionMiddleware", "get_session"]

_NO_STORE = (b"cache-control", b"no-store")
_VARY = (b"vary", b"Cookie")
_CACHING = frozenset({b"cache-control", b"vary"})
_EXPLICIT = "the caller came with a token or a key: its cookie is not read, and there is no session to change"
_WEBSOCKET = "a websocket has no response that could carry the cookie: change the session in an http request"


class SessionMiddleware:
    """Reads the session cookie and puts the caller in ``scope["auth"]`` and its data in ``scope["session"]``.

    ``origins`` are those whose pages may use a session, each as browsers write it; none means the issuer's. An unsafe
    request with a session, and every websocket with one, is answered with 403 here unless it comes from one of them.
    503 while the session cannot be known.

    A cookie without Secure is a ConfigurationError unless the issuer is plain http on a loopback address.
    """

    authenticates: ClassVar[bool] = True

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        cookie: SessionCookie = DEFAULT_COOKIE,
        origins: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._sessions = sessions
        self._find = sessions.find
        self._cookie = cookie
        if not self._cookie.secure and not is_loopback_http(sessions.issuer):
            raise ConfigurationError("a cookie without Secure is for an issuer on http and a loopback address alone")
        self._name = self._cookie.effective_name.encode()
        self._origins = Origins(tuple(origins) or (origin_of(sessions.issuer),))
        self._realm = sessions.issuer
        self._anonymous = Anonymous((session(self._realm),))
        self._joined: tuple[object, Auth] = (None, self._anonymous)
        explicit = RequestSession(sessions, {"type": "http", "headers": ()}, self._origins)
        explicit.closed = _EXPLICIT
        self._explicit: Scope = {"session": explicit}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        kind, before = scope["type"], scope.get("auth")
        if kind != "http" and not is_request(scope):
            await self.app(scope, receive, send)
            return
        if isinstance(before, Principal) and before.scheme != "session":
            await pass_on(self.app, scope, receive, send, before, self._realm, None, self._explicit)
            return
        current = RequestSession(self._sessions, scope, self._origins)
        if kind == "http":
            send = _Answer(current, self._cookie, scope, receive, send).send
        else:
            current.closed = _WEBSOCKET
        auth: Auth | None = None
        values = cookie_values(scope["headers"], self._name)
        if values:
            current.has_cookie = True
            try:
                # Two cookies of one name: somebody has planted one, and nobody can say which.
                found = await self._find(values[0] if len(values) == 1 else b"")
                auth = current.open(found, values[0])
                if current.is_due:
                    await current.touch()
            except Refusal as refusal:
                await refuse(scope, receive, send, refusal)
                return
        watch = None if auth is None else current.watch
        await pass_on(
            self.app, scope, receive, send, auth or self._absent(before), self._realm, watch, {"session": current}
        )

    def _absent(self, before: object) -> Auth:
        known, auth = self._joined
        if before is known:  # the layer before this one has the same Anonymous for everybody
            return auth
        # Another session layer stands around this one: the cookie was read again.
        auth = joined(None if isinstance(before, Principal) else before, self._anonymous)
        if isinstance(before, Anonymous):
            self._joined = (before, auth)
        return auth


def get_session(connection: HasScope | Mapping[str, Any]) -> RequestSession:
    """The session of a request, a websocket or a scope. ConfigurationError where no session layer stands before."""
    found = scope_of(connection).get("session")
    if not isinstance(found, RequestSession):
        raise ConfigurationError("no session of asgi_auth is here: put SessionMiddleware or AuthStack around this")
    return found


class _Answer:
    """What an application sends: the session is saved before it begins, the cookie and the caching lines are added."""

    _is_refused = False

    def __init__(
        self, current: RequestSession, cookie: SessionCookie, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._current = current
        self._cookie = cookie
        self._scope = scope
        self._receive = receive
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; after a refusal of ours, swallow the rest of the application's answer."""
        if self._is_refused:
            return _swallowed()
        if message["type"] != "http.response.start":
            return self._send(message)
        return self._save(message) if self._current.close() else self._send(self._dressed(message))

    async def _save(self, start: Message) -> None:
        try:
            await self._current.save()
        except Refusal as refusal:
            self._is_refused = True
            await refuse(self._scope, self._receive, self._send_refusal, refusal)
        else:
            await self._send(self._dressed(start))

    def _send_refusal(self, message: Message) -> Awaitable[None]:
        return self._send(self._dressed(message) if "headers" in message else message)

    def _dressed(self, start: Message) -> Message:
        current = self._current
        if not (current.has_cookie or current.is_accessed or current.cookie is not None):
            return start
        given = list(start.get("headers") or ())
        # no-store whatever the application says, and Vary: Cookie beside what it varies by (RFC 9111 §4.1).
        headers: list[tuple[bytes, bytes]] = [line for line in given if line[0].lower() not in _CACHING]
        headers.append(_NO_STORE)
        headers += (_VARY,) if len(headers) > len(given) else _varying(given)
        if current.cookie == "":
            headers.append((b"set-cookie", self._cookie.cleared()))
        elif current.cookie is not None:
            headers.append((b"set-cookie", self._cookie.holding(current.cookie, current.seconds_left())))
        return {**start, "headers": headers}


def _varying(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = [line for line in headers if line[0].lower() == b"vary"]
    return own if any(_names_cookie(line[1]) for line in own) else [*own, _VARY]


def _names_cookie(vary: bytes) -> bool:
    return any(name.strip(b" \t") in (b"cookie", b"*") for name in vary.lower().split(b","))


async def _swallowed() -> None:
    pass
