"""The guards: a policy before an application, a requirement before a sub-application, a check in a handler.

They decide about ``scope["auth"]`` and nothing else. Where none of our layers has put it there, or
something inside has replaced it, they raise ConfigurationError: the server logs it, answers 500, and
nothing is let through.
"""

from collections.abc import Awaitable, Mapping
from typing import Any

from ..authorization import Policy, Requirement, all_of, authenticated, decide
from ..errors import ConfigurationError, Denied, InvalidRequest, NotAuthenticated, Reason, Refusal
from ..principal import Anonymous, Auth, Principal
from ..wire.asgi import ASGIApp, HasScope, Receive, Scope, Send, is_request, layers_of, scope_of
from ..wire.challenges import for_denial
from ..wire.edge import Noted, edge_of, pass_on
from ..wire.headers import is_preflight
from ..wire.path import readings
from ..wire.responses import refuse

__all__ = ["AuthorizationMiddleware", "Require", "allows", "check", "get_auth"]

_MEMO_SIZE = 1024
_MEMO_PATH = 256
_AUTH = (Principal, Anonymous)


class AuthorizationMiddleware:
    """Asks the policy about every request before the application sees it.

    ``root_path`` is for servers that are started without one: it fills an empty ``scope["root_path"]``, for
    the policy and for the application alike. An application whose own ``root_path`` attribute is set
    (FastAPI) must be given the same here, else ConfigurationError.
    """

    def __init__(self, app: ASGIApp, *, policy: Policy, root_path: str = "") -> None:
        self.app = app
        self._policy = policy
        self._root_path = root_path
        self._forced_root_path = _own_root_path(app, root_path)
        self._memo: dict[tuple[str | None, str, str], Requirement] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if not is_request(scope):
            await self.app(scope, receive, send)
            return
        root_path = self._forced_root_path or scope.get("root_path") or self._root_path
        requirement = self._requirement(scope.get("method"), scope["path"], root_path)
        if root_path and not scope.get("root_path"):
            scope = {**scope, "root_path": root_path}
        await _guarded(self.app, requirement, scope, receive, send)

    def _requirement(self, method: str | None, path: str, root_path: str) -> Requirement:
        key = (method, path, root_path)
        found = self._memo.get(key)
        if found is None:
            found = self._decided(method, path, root_path)
            if len(path) <= _MEMO_PATH and len(method or "") <= _MEMO_PATH:
                if len(self._memo) >= _MEMO_SIZE:
                    self._memo.clear()
                self._memo[key] = found
        return found

    def _decided(self, method: str | None, path: str, root_path: str) -> Requirement:
        # Werkzeug upper-cases methods, Starlette does not: `post` would be two different things.
        if method is not None and method != method.upper():
            return _ambiguous_method
        paths = readings(path, root_path)
        if paths is None:
            return _ambiguous_path
        requirements = tuple(self._policy.requirement(method, reading) for reading in paths)
        return requirements[0] if len(requirements) == 1 else all_of(*requirements)


class Require:
    """Guards a whole sub-application with one requirement, whatever its path and its router.

    What must hold whatever a router does belongs here or in ``check``: Litestar, for one, gives a mount at
    ``/sub`` every path that begins with these letters, ``/subway`` too, which the pattern ``/sub/`` does not cover.
    """

    def __init__(self, app: ASGIApp, requirement: Requirement) -> None:
        self.app = app
        self._requirement = requirement

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if is_request(scope):
            await _guarded(self.app, self._requirement, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def check(connection: HasScope | Mapping[str, Any], requirement: Requirement = authenticated) -> Principal:
    """The caller, if it is authenticated and the requirement lets it through.

    ``connection`` is a request, a websocket or a scope. Raises a Refusal with its challenge, which becomes
    the right answer in every framework, or ConfigurationError where no layer of ours stands before.
    """
    scope = scope_of(connection)
    auth = _auth(scope)
    denied = _refusal(requirement, auth)
    if denied is None:
        if isinstance(auth, Principal):
            return auth
        denied = NotAuthenticated()
    raise _noted(scope, auth, denied)


def allows(connection: HasScope | Mapping[str, Any], requirement: Requirement) -> bool:
    """Whether ``requirement`` lets the caller through: the question of ``check`` without its exception."""
    return decide(requirement, _auth(scope_of(connection))) is None


def get_auth(connection: HasScope | Mapping[str, Any]) -> Auth:
    """Who is calling: a Principal, or Anonymous. ConfigurationError where no layer of ours stands before."""
    return _auth(scope_of(connection))


def _guarded(app: ASGIApp, requirement: Requirement, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """The application's run or the refusal: decided now, to be awaited by the caller without another task frame."""
    auth = _auth(scope)
    denied = None if _is_preflight(scope) else _refusal(requirement, auth)
    if denied is not None:
        return refuse(scope, receive, send, denied, challenges=_challenges(scope, auth, denied))
    if edge_of(scope) is None:
        return pass_on(app, scope, receive, send, auth)
    return app(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    # A browser sends a preflight without credentials (WHATWG Fetch); any other OPTIONS is decided like the rest.
    return scope.get("method") == "OPTIONS" and is_preflight(scope["headers"])


def _refusal(requirement: Requirement, auth: Auth) -> Refusal | None:
    try:
        return decide(requirement, auth)
    except Refusal as refusal:
        return refusal


def _noted(scope: Scope, auth: Auth, refusal: Refusal) -> Refusal:
    challenges = _challenges(scope, auth, refusal)
    if challenges:
        # RFC 9110 §11.6.1: several challenges may share a line; a framework's headers are a mapping.
        refusal.headers = {**(refusal.headers or {}), "WWW-Authenticate": ", ".join(challenges)}
    edge = edge_of(scope)
    if edge is not None:
        edge.noted = Noted(refusal, challenges)
    return refusal


def _challenges(scope: Scope, auth: Auth, refusal: Refusal) -> tuple[str, ...]:
    edge = edge_of(scope)
    return for_denial(refusal, auth, None if edge is None else edge.realm)


def _auth(scope: Scope) -> Auth:
    auth = scope.get("auth")
    if isinstance(auth, _AUTH):
        return auth
    if edge_of(scope) is None:
        raise ConfigurationError(
            "no layer of asgi_auth ran before this guard: put BearerMiddleware or AuthStack around it"
        )
    raise ConfigurationError('something replaced scope["auth"] inside: remove the other authentication middleware')


def _own_root_path(app: Any, given: str) -> str:
    """The ``root_path`` that the application, or one that a middleware holds as ``app``, sets by itself."""
    for layer in layers_of(app):
        own = getattr(layer, "root_path", None)
        # Flask's and Quart's attribute of that name is a folder; they alone have an import_name.
        if isinstance(own, str) and own and not hasattr(layer, "import_name"):
            if own.rstrip("/") != given.rstrip("/"):
                raise ConfigurationError("the application sets a root_path of its own: pass the same root_path here")
            return own
    return ""


def _ambiguous_path(auth: Auth) -> Denied | None:
    return InvalidRequest(Reason.PATH_AMBIGUOUS)


def _ambiguous_method(auth: Auth) -> Denied | None:
    return InvalidRequest(Reason.METHOD_UNKNOWN)
