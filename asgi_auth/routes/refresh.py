"""``POST /auth/refresh``: the next token pair for a refresh token (RFC 6749 §6), which is spent by it."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..services import AuthServices
from ..wire.body import fields, read_json

__all__ = ["refresh"]


async def refresh(request: Request, services: AuthServices) -> Response:
    """The tokens (RFC 6749 §5.1), or 401. A token that was spent before ends everything of its subject."""
    body = fields(await read_json(request.scope, request.receive), ("refresh_token",))
    tokens = await services.refresh_tokens.rotate(body["refresh_token"], client_id=services.client_id)
    return JSONResponse(tokens.as_json())
