"""Every route of ours in one table: what it is called, how it is asked, and who may ask."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ..services import AuthServices
from .api_keys import create_api_key, list_api_keys, revoke_api_key, rotate_api_key
from .jwks import jwks
from .login import login
from .logout import logout
from .me import me
from .password import password
from .refresh import refresh
from .register import register
from .sessions import end_other_sessions, end_session, list_sessions
from .visitors import Visitors

__all__ = ["JWKS_PATH", "Handler", "OwnRoute", "Reads", "own_routes"]

JWKS_PATH = "/.well-known/jwks.json"
"""Where the public keys are, whatever the prefix (RFC 8615)."""

Handler = Callable[[Request, AuthServices], Awaitable[Response]]


class Reads(Enum):
    """Which credentials are read before an open route; its handler reads what else there is."""

    NOTHING = "nothing"
    COOKIE = "cookie"
    COOKIE_UNLESS_TOKEN = "cookie unless token"
    """The session's cookie, but where an access token came: explicit beats ambient."""


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """One route: ``owned`` ones are for authenticated callers, the others read their own credential.

    A ``{name}`` segment of the path is one segment of any text; the handler finds it in ``request.path_params``.
    """

    path: str
    method: str
    handler: Handler
    owned: bool = False
    reads: Reads = Reads.NOTHING

    @property
    def methods(self) -> frozenset[str]:
        """The methods it answers: GET brings HEAD (RFC 9110 §9.3.2)."""
        return frozenset({"GET", "HEAD"} if self.method == "GET" else {self.method})


def own_routes(prefix: str, visitors: Visitors, *, registration: bool = True) -> tuple[OwnRoute, ...]:
    """The routes under ``prefix``, and the public keys; ``register`` only with ``registration``.

    ``visitors`` says who tries to guess.
    """
    routes = (
        OwnRoute(f"{prefix}/login", "POST", partial(login, visitors=visitors), reads=Reads.COOKIE),
        OwnRoute(f"{prefix}/refresh", "POST", partial(refresh, visitors=visitors)),
        OwnRoute(f"{prefix}/logout", "POST", partial(logout, visitors=visitors), reads=Reads.COOKIE_UNLESS_TOKEN),
        OwnRoute(f"{prefix}/password", "POST", partial(password, visitors=visitors), owned=True),
        OwnRoute(f"{prefix}/me", "GET", me, owned=True),
        OwnRoute(f"{prefix}/api-keys", "GET", list_api_keys, owned=True),
        OwnRoute(f"{prefix}/api-keys", "POST", create_api_key, owned=True),
        OwnRoute(f"{prefix}/api-keys/{{key_id}}/rotate", "POST", rotate_api_key, owned=True),
        OwnRoute(f"{prefix}/api-keys/{{key_id}}", "DELETE", revoke_api_key, owned=True),
        OwnRoute(f"{prefix}/sessions", "GET", list_sessions, owned=True),
        OwnRoute(f"{prefix}/sessions", "DELETE", end_other_sessions, owned=True),
        OwnRoute(f"{prefix}/sessions/{{session_id}}", "DELETE", end_session, owned=True),
        OwnRoute(JWKS_PATH, "GET", jwks),
    )
    return (OwnRoute(f"{prefix}/register", "POST", register), *routes) if registration else routes
