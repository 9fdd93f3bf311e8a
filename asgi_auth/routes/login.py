"""``POST /auth/login``: a token pair for an e-mail address and its password."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..services import AuthServices
from ..wire.body import fields, read_json

__all__ = ["login"]


async def login(request: Request, services: AuthServices) -> Response:
    """The tokens (RFC 6749 §5.1), or one 401 for unknown, wrong and disabled alike."""
    body = fields(await read_json(request.scope, request.receive), ("email", "password"))
    account = await services.accounts.authenticate(body["email"], body["password"])
    tokens = await services.refresh_tokens.issue(account, client_id=services.client_id)
    return JSONResponse(tokens.as_json())
