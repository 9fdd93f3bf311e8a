"""Every route of ours in one table: what it is called, how it is asked, and who may ask."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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

__all__ = ["JWKS_PATH", "Handler", "OwnRoute", "own_routes"]

JWKS_PATH = "/.well-known/jwks.json"
"""Where the public keys are, whatever the prefix (RFC 8615)."""

Handler = Callable[[Request, AuthServices], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """One route: ``owned`` ones are for authenticated callers, the others read their own credential.

    A ``{name}`` segment of the path is one segment of any text; the handler finds it in ``request.path_params``.
    """

    path: str
    method: str
    handler: Handler
    owned: bool = False

    @property
    def methods(self) -> frozenset[str]:
        """The methods it answers: GET brings HEAD (RFC 9110 §9.3.2)."""
        return frozenset({"GET", "HEAD"} if self.method == "GET" else {self.method})


def own_routes(prefix: str, *, registration: bool = True) -> tuple[OwnRoute, ...]:
    """The routes under ``prefix``, and the public keys; ``register`` only with ``registration``."""
    routes = (
        OwnRoute(f"{prefix}/login", "POST", login),
        OwnRoute(f"{prefix}/refresh", "POST", refresh),
        OwnRoute(f"{prefix}/logout", "POST", logout),
        OwnRoute(f"{prefix}/password", "POST", password, owned=True),
        OwnRoute(f"{prefix}/me", "GET", me, owned=True),
        OwnRoute(f"{prefix}/api-keys", "GET", list_api_keys, owned=True),
        OwnRoute(f"{prefix}/api-keys", "POST", create_api_key, owned=True),
        OwnRoute(f"{prefix}/api-keys/{{key_id}}/rotate", "POST", rotate_api_key, owned=True),
        OwnRoute(f"{prefix}/api-keys/{{key_id}}", "DELETE", revoke_api_key, owned=True),
        OwnRoute(JWKS_PATH, "GET", jwks),
    )
    return (OwnRoute(f"{prefix}/register", "POST", register), *routes) if registration else routes
