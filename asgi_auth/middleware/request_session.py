"""The session of one request: what an application finds in ``scope["session"]``."""

from collections.abc import Callable
from hmac import compare_digest

from ..devices import device_label
from ..errors import Conflict, Forbidden, Reason
from ..principal import Principal
from ..session_data import NO_DATA, SessionData
from ..session_store import Found, Lost, Renewal, Session
from ..sessions import Sessions, cookie_of, csrf_token, secret_of
from ..tokens import digest, matches, mint_secret
from ..wire.asgi import Scope
from ..wire.origin import Origins, csrf_header

__all__ = ["RequestSession"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 §9.2.1."""
_OTHER_ORIGIN = "The request comes from an origin that may not use this session."
_RENEWED = "The session was renewed by another request. Send this one again."
_NO_ORIGIN = "Send the Origin of an allowed page, or the session's token in X-CSRF-Token."
_BEGUN = "the response has begun: its cookie is sent, and what is changed now would be lost"


class RequestSession(SessionData):
    """The browser's session: a mapping of names to JSON values, and who is signed in with it.

    Without a cookie it is empty; the first change, or ``csrf_token``, makes a session of nobody, which is stored when
    the response begins. Changes are saved then, too: ``SessionClosed`` for those that come later, in a websocket, or
    where the caller came with a token or a key. Of concurrent requests of one session each keeps what it set; of one
    name the last value stays; what was deleted meanwhile is not brought back.

    Raises StoreUnavailable (503) where the data cannot be read.
    """

    # In the class, since almost no request changes one of them.
    cookie: str | None = None
    """What the browser's cookie becomes: another value, nothing (empty), or as it was (None)."""
    has_cookie = False
    """Whether the request came with a cookie of this name, good or not."""
    is_due = False
    """Whether this use must be written."""
    _session: Session | None = None
    _opened: Session
    _presented: bytes = b""
    _secret: str | None = None
    _renewal: Renewal | None = None
    _is_wanted = False
    _is_superseded = False

    def __init__(self, sessions: Sessions, scope: Scope, origins: Origins) -> None:
        # Not the mapping's own: it begins without data, as its class does.
        self._sessions = sessions
        self._scope = scope
        self._origins = origins

    @property
    def session_id(self) -> str | None:
        """Public, the ``sid``; None while there is no session."""
        return None if self._session is None else self._session.session_id

    @property
    def subject(self) -> str | None:
        """Who is signed in with it; None for nobody."""
        return None if self._session is None else self._session.subject

    @property
    def expires_at(self) -> float | None:
        """When it ends whatever happens, in seconds since the epoch; None while there is no session."""
        return None if self._session is None else self._session.expires_at

    @property
    def csrf_token(self) -> str:
        """The token for ``X-CSRF-Token``, base62 of 43 characters: bound to the session, another one after a sign-in.

        For browsers that send neither Origin nor Sec-Fetch-Site. Makes a session where there is none.
        """
        self.is_accessed = True
        if self._session is None and self._secret is None:
            self.demand_open()
            self._secret = mint_secret()
            self._is_wanted = True
        return csrf_token(self._coming_secret())

    async def login(self, subject: str, *, epoch: int | None = None) -> Principal:
        """Sign ``subject`` in, who has just proved itself; the cookie of before is dead when this returns.

        ``epoch``: the account's, as it was read with the proof; without it, as it is now. The data stays, unless
        somebody else was signed in. The principal is the caller's from the next request on; this request's stays.
        Raises InvalidCredentials (401) for an account that is unknown, disabled or ended since, and what
        ``check_origin`` raises.
        """
        self.demand_open()
        self.check_origin()
        signed = await self._sessions.sign_in(
            subject, epoch=epoch, device=self._device(), before=self._session, changes=self.changes()
        )
        self._become(signed.session, signed.secret, signed.session.data)
        return signed.principal

    async def logout(self) -> None:
        """End the session, at once and everywhere, and clear its cookie. Nothing where there is none.

        Raises Conflict (409), and clears nothing, where another request has renewed the secret meanwhile: the session
        lives, and this cookie does not prove it any more. The browser sends the new one with its next request.
        """
        self.demand_open()
        if self._is_superseded:
            raise Conflict(Reason.SESSION_RENEWED, detail=_RENEWED)
        if self._session is not None:
            await self._sessions.log_out(self._session)
        had_cookie = self.has_cookie or self.cookie is not None
        self._become(None, None, NO_DATA)
        self.cookie = "" if had_cookie else None

    def check_origin(self) -> None:
        """Refuse (Forbidden, 403) an unsafe request that a page of another site may have sent, session or not.

        ``login`` asks it, and so does the session layer for every unsafe request with a session.
        """
        if self._scope.get("method") in _SAFE_METHODS:
            return
        is_ours = self._origins.admit(self._scope["headers"])
        if is_ours is None and not self._has_token():
            raise Forbidden(Reason.CSRF_TOKEN_WRONG, detail=_NO_ORIGIN)
        if is_ours is False:
            raise Forbidden(Reason.ORIGIN_REFUSED, detail=_OTHER_ORIGIN)

    def watch(self, principal: Principal, end: Callable[[], None]) -> Callable[[], None]:
        """Call ``end`` once, when the session that ``open`` has found ends; what is returned stops that."""
        return self._sessions.watch(self._opened, end, roles=principal.roles)

    def open(self, found: Found | Lost, cookie: bytes) -> Principal | None:
        """Take what was found for ``cookie``; who is signed in with it.

        Raises Forbidden for a request that may come from another site.
        """
        if not isinstance(found, Found):
            self.cookie = "" if found is Lost.OVER else None
            self._is_superseded = found is Lost.SUPERSEDED
            return None
        self._session = self._opened = found.session
        self._presented = cookie
        self._text = found.session.data
        if self._scope["type"] == "http":
            if self._scope["method"] not in _SAFE_METHODS:
                self.check_origin()
            if found.other_roles is not None:
                # It is paid when the response begins: a secret that no browser ever gets would sign it out.
                self._renewal = Renewal(mint_secret(), found.other_roles)
        elif not self._origins.admit_websocket(self._scope["headers"]):
            raise Forbidden(Reason.ORIGIN_REFUSED, detail=_OTHER_ORIGIN)
        if found.is_due:
            self.is_due = True
        return found.principal

    async def touch(self) -> None:
        """Write that the session is used now."""
        await self._sessions.touch(self._opened)

    def seconds_left(self) -> float:
        """Seconds until it ends whatever happens."""
        return max(0.0, (self.expires_at or 0.0) - self._sessions.clock.now())

    def close(self) -> bool:
        """Refuse changes from now on; whether ``save`` may have something to do with those of before."""
        if self.closed is not None:
            return False
        self.closed = _BEGUN
        return self._values is not None or self._is_wanted or self._renewal is not None

    async def save(self) -> None:
        """Store what the request did, and say in ``cookie`` what becomes of it. Once, after ``close``.

        Raises TypeError and ValueError for what the application has put into its lists and objects, and what
        ``Sessions`` raises.
        """
        changes = self.changes()
        if self._session is None:
            # A cookie now would drive out the one that another request has just been given.
            if (changes.values or self._is_wanted) and not self._is_superseded:
                await self._begin(changes.applied_to(NO_DATA))
        elif changes or self._renewal is not None:
            renewal = self._renewal
            saved = await self._sessions.save(self._session, changes, renewal=renewal)
            if saved is Lost.OVER:
                self.cookie = ""
            elif isinstance(saved, Session) and renewal is not None:
                self._renewed(saved, renewal)

    async def _begin(self, data: str) -> None:
        secret = self._secret or mint_secret()
        session = await self._sessions.begin(secret, device=self._device(), data=data)
        self._become(session, secret, data)

    def _become(self, session: Session | None, secret: str | None, data: str) -> None:
        self._session, self._secret = session, secret
        self._renewal = None
        self._is_wanted = False
        self.cookie = None if session is None or secret is None else cookie_of(session, secret)
        self.restart(data)

    def _renewed(self, saved: Session, renewal: Renewal) -> None:
        # The loser of two renewals leaves the cookie alone, which the winner has set.
        if matches(saved.secret_digest, digest(renewal.secret)):
            self.cookie = cookie_of(saved, renewal.secret)

    def _coming_secret(self) -> str:
        if self._renewal is not None:
            return self._renewal.secret
        return self._secret or secret_of(self._presented) or ""

    def _has_token(self) -> bool:
        secret = secret_of(self._presented) if self._session is not None else None
        shown = csrf_header(self._scope["headers"])
        return secret is not None and compare_digest(csrf_token(secret).encode(), shown)

    def _device(self) -> str:
        agents = [value for name, value in self._scope["headers"] if name == b"user-agent"]
        return device_label(agents[0] if agents else b"")
