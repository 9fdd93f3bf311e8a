"""Sessions from a cookie: who is signed in, and ``scope["session"]``. No body is read here, and no cookie is trusted.

A cookie that is unknown, malformed or over counts as absent, and the answer clears it: a browser cannot delete an
HttpOnly cookie itself. Explicit beats ambient: a caller with a token or a key is not asked for a cookie.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError, Refusal
from ..issuer import is_loopback_http, origin_of
from ..principal import Anonymous, Principal
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
_EXPLICIT = "the caller came with a token or a key: its cookie is not read, and there is no session to change"
_WEBSOCKET = "a websocket has no response that could carry the cookie: change the session in an http request"


class SessionMiddleware:
    """Reads the session cookie and puts the caller in ``scope["auth"]`` and its data in ``scope["session"]``.

    ``origins`` are those whose pages may use a session, each as browsers write it; none means the issuer's. An unsafe
    request with a session, and every websocket with one, is answered with 403 here unless it comes from one of them.
    503 while the session cannot be known.

    A cookie without Secure is a ConfigurationError unless the issuer is plain http on a loopback address.
    """

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
        self._cookie = cookie
        if not self._cookie.secure and not is_loopback_http(sessions.issuer):
            raise ConfigurationError("a cookie without Secure is for an issuer on http and a loopback address alone")
        self._name = self._cookie.effective_name.encode()
        self._origins = Origins(tuple(origins) or (origin_of(sessions.issuer),))
        self._realm = sessions.issuer
        self._anonymous = Anonymous((session(self._realm),))
        explicit = RequestSession(sessions, {"type": "http", "headers": ()}, self._origins)
        explicit.closed = _EXPLICIT
        self._explicit: Scope = {"session": explicit}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http" and not is_request(scope):
            await self.app(scope, receive, send)
            return
        before = scope.get("auth")
        if isinstance(before, Principal):
            if before.scheme != "session":
                await pass_on(self.app, scope, receive, send, before, self._realm, None, self._explicit)
                return
            before = None  # another session layer around this one: the cookie is read again
        current = RequestSession(self._sessions, scope, self._origins)
        if scope["type"] == "http":
            send = _Answer(current, self._cookie, scope, receive, send).send
        else:
            current.closed = _WEBSOCKET
        principal = None
        values = cookie_values(scope["headers"], self._name)
        if values:
            try:
                principal = await current.open(values)
            except Refusal as refusal:
                await refuse(scope, receive, send, refusal)
                return
        more = {"session": current}
        if principal is None:
            await pass_on(self.app, scope, receive, send, joined(before, self._anonymous), self._realm, None, more)
        else:
            await pass_on(self.app, scope, receive, send, principal, self._realm, current.watch, more)


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
        if self._current.has_work():
            return self._save(message)
        self._current.close()
        return self._send(self._dressed(message))

    async def _save(self, start: Message) -> None:
        try:
            await self._current.save()
        except Refusal as refusal:
            await refuse(self._scope, self._receive, self.send, refusal)
            self._is_refused = True
        else:
            await self._send(self._dressed(start))

    def _dressed(self, start: Message) -> Message:
        current = self._current
        if not (current.has_cookie or current.is_accessed or current.cookie is not None):
            return start
        headers = _uncached(start.get("headers") or ())
        if current.cookie == "":
            headers.append((b"set-cookie", self._cookie.cleared()))
        elif current.cookie is not None:
            headers.append((b"set-cookie", self._cookie.holding(current.cookie, current.seconds_left())))
        return {**start, "headers": headers}


def _uncached(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """``no-store`` whatever the application says, and ``Vary: Cookie`` beside what it varies by (RFC 9111 §4.1)."""
    lines: list[tuple[bytes, bytes]] = [_NO_STORE]
    varies = False
    for line in headers:
        name = line[0].lower()
        if name != b"cache-control":
            lines.append(line)
            varies = varies or (name == b"vary" and _names_cookie(line[1]))
    if not varies:
        lines.append(_VARY)
    return lines


def _names_cookie(vary: bytes) -> bool:
    return any(name.strip(b" \t") in (b"cookie", b"*") for name in vary.lower().split(b","))


async def _swallowed() -> None:
    pass
