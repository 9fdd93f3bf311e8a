"""``POST /auth/refresh``: the next token pair for a refresh token (RFC 6749 §6), which is spent by it."""

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..services import AuthServices
from ..wire.body import fields, read_json
from .visitors import Visitors

__all__ = ["refresh"]


async def refresh(request: Request, services: AuthServices, visitors: Visitors) -> Response:
    """The tokens (RFC 6749 §5.1), or 401. A token that was spent before ends everything of its subject.

    429 where the client's address has presented too many tokens that nobody knows.
    """
    body = fields(await read_json(request.scope, request.receive), ("refresh_token",))
    rotate = partial(services.refresh_tokens.rotate, body["refresh_token"], client_id=services.client_id)
    tokens = await services.unknown_tokens.ask(visitors.address(request), rotate)
    return JSONResponse(tokens.as_json())
