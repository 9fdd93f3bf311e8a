"""Rate limits before an application: 429 with Retry-After (RFC 6585 §4), and what is left in every answer.

RateLimit and RateLimit-Policy are structured fields (draft-ietf-httpapi-ratelimit-headers, RFC 9651). Left out: its
partition keys, since ours would tell addresses and subjects; its quota units; and problem types.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from limits.storage import StorageTypes

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ConfigurationError, InvalidRequest, Reason, Refusal, StoreUnavailable, TooManyRequests
from ..patterns import PatternMap, methods_for
from ..rate_limit import LocalLimiter, RateLimit, SharedLimiter, Strategy
from ..rate_limit_storage import Decision, InProcessStorage
from ..wire.asgi import ASGIApp, Message, Scope, Send, is_request, layers_of
from ..wire.client_address import client_address
from ..wire.path import readings
from ..wire.responses import refuse
from .rate_limit_keys import Key

__all__ = ["RateLimitMiddleware"]

_ON_OUTAGE = {"closed", "open"}


class RateLimitMiddleware:
    """Counts every request and websocket handshake, and refuses with 429 what is beyond the limit.

    ``limit`` is in the notation of ``limits``, "5/minute; 100/hour"; None leaves what no pattern covers unlimited.
    ``patterns`` maps patterns of a policy to limits of their own, in place of ``limit`` and with counters of their
    own; a path with dot segments or control characters, which routers read in several ways, is 400 where there are
    patterns. ``key`` says whose hits are counted together: the client's address by default. ``cost`` says how many
    hits a request counts for. ``strategy`` is one of ``limits``.

    ``storage`` None counts in this process; workers share limits through ``storage_from_string("async+redis://…")`` of
    ``limits``. While that fails everything is refused with 503, unless ``on_outage`` is "open": then it passes
    uncounted. Instances that share a storage need each a ``name``, which the answers show too. ``headers=False``
    leaves RateLimit and RateLimit-Policy out of the answers; a refusal has Retry-After all the same.

    ConfigurationError for what cannot be meant, and for a key that asks who is calling (BySubject, ByAPIKey) outside
    the layers that find that out: at once where such a layer is inside, else at the first request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: str | None,
        key: Key = client_address,
        patterns: Mapping[str, str] | None = None,
        cost: Callable[[Any], int] | None = None,
        strategy: Strategy = "fixed-window",
        storage: "StorageTypes | None" = None,
        headers: bool = True,
        on_outage: Literal["closed", "open"] = "closed",
        name: str = "default",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if limit is None and not patterns:
            raise ConfigurationError("a rate limit needs a limit, or patterns with limits of their own")
        _refuse_before_authentication(key, app)
        self.app = app
        self._key = key
        self._cost = cost
        self._tells = headers
        self._lets_pass = _lets_pass(on_outage)
        self._limit = None if limit is None else RateLimit.parse(limit, name=name)
        self._patterns = _parsed(patterns, name) if patterns else None
        storage = InProcessStorage(clock=clock) if storage is None else storage
        self._local: LocalLimiter | None = None
        if isinstance(storage, InProcessStorage):
            self._local = LocalLimiter(storage, strategy=strategy)
        else:
            self._shared = SharedLimiter(storage, strategy=strategy, clock=clock)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if not is_request(scope):
            await self.app(scope, receive, send)
            return
        try:
            limit = self._limit if self._patterns is None else _covering(scope, self._patterns, self._limit)
            if limit is not None:
                cost = 1 if self._cost is None else _checked(self._cost(scope))
                if self._local is not None:
                    decisions = self._local.hit(limit, self._key(scope), cost)
                else:
                    decisions = await self._hit_shared(limit, self._key(scope), cost)
                if decisions and not decisions[-1].allowed:
                    raise self._refusal(limit, decisions)
                if decisions and self._tells:
                    send = _telling(send, limit, decisions)
        except Refusal as refusal:
            await refuse(scope, receive, send, refusal)
            return
        await self.app(scope, receive, send)

    async def _hit_shared(self, limit: RateLimit, key: str, cost: int) -> list[Decision]:
        """What became of the hit; nothing where the storage is out and that is to be passed over."""
        try:
            return await self._shared.hit(limit, key, cost)
        except StoreUnavailable:
            if self._lets_pass:
                return []
            raise

    def _refusal(self, limit: RateLimit, decisions: list[Decision]) -> Refusal:
        refusal = TooManyRequests(retry_after=decisions[-1].reset_after)
        if self._tells:
            fields = {"RateLimit-Policy": limit.policy.decode(), "RateLimit": limit.state(decisions).decode()}
            refusal.headers = {**(refusal.headers or {}), **fields}
        return refusal


def _refuse_before_authentication(key: Key, app: ASGIApp) -> None:
    if getattr(key, "needs_auth", False) and any(
        getattr(layer, "authenticates", None) is True for layer in layers_of(app)
    ):
        raise ConfigurationError(
            "a rate limit by subject or API key stands inside the layers that authenticate, and this one is around them"
        )


def _lets_pass(on_outage: str) -> bool:
    if on_outage not in _ON_OUTAGE:
        raise ConfigurationError("on_outage is 'closed' or 'open'")
    return on_outage == "open"


def _parsed(patterns: Mapping[str, str], name: str) -> PatternMap[RateLimit]:
    return PatternMap((pattern, RateLimit.parse(text, name=f"{name} {pattern}")) for pattern, text in patterns.items())


def _covering(scope: Scope, patterns: PatternMap[RateLimit], default: RateLimit | None) -> RateLimit | None:
    """The limit of a request's path; where routers may read that in several ways, the limits of each of them."""
    paths = readings(scope["path"], scope.get("root_path") or "")
    if paths is None:
        raise InvalidRequest(Reason.PATH_AMBIGUOUS)
    found: RateLimit | None = None
    for path in paths:
        limit = _best(patterns.match(path) or {}, scope, default)
        if limit is not None:
            found = limit if found is None else found.beside(limit)
    return found


def _best(methods: Mapping[str | None, RateLimit], scope: Scope, default: RateLimit | None) -> RateLimit | None:
    # Some routers know `post`, which is no method of HTTP: it must not pass by the limit for POST.
    method = scope.get("method")
    for candidate in methods_for(method and method.upper()):
        if candidate in methods:
            return methods[candidate]
    return default


def _checked(cost: object) -> int:
    if type(cost) is int and cost >= 0:
        return cost
    raise ConfigurationError("the cost of a request is a whole number of hits, 0 or more")


def _telling(send: Send, limit: RateLimit, decisions: list[Decision]) -> Send:
    def telling(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            fields = ((b"ratelimit-policy", limit.policy), (b"ratelimit", limit.state(decisions)))
            message = {**message, "headers": [*(message.get("headers") or ()), *fields]}
        return send(message)

    return telling
