"""``GET /.well-known/jwks.json``: the public keys that verify our access tokens (RFC 7517 §5)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..services import AuthServices

__all__ = ["JWKS_MAX_AGE", "jwks"]

JWKS_MAX_AGE = 300
"""Seconds for which a cache may keep the set: keys are published before they sign, and stay after it."""


async def jwks(request: Request, services: AuthServices) -> Response:
    """Every public key, the next one included; an empty set where tokens are signed with HMAC.

    The same for everybody, so it is the one answer of ours that may be cached.
    """
    return JSONResponse(
        services.signing_keys.jwks(),
        headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"},
        media_type="application/jwk-set+json",
    )
