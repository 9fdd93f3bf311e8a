"""``POST /auth/register``: a new account for an e-mail address and a password."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..services import AuthServices
from ..wire.body import fields, read_json

__all__ = ["register"]


async def register(request: Request, services: AuthServices) -> Response:
    """201 with ``subject`` and ``email``; 409 where the address is taken, 422 where a field is not acceptable.

    Roles are those of ``default_roles``: nothing in the body can set them.
    """
    body = fields(await read_json(request.scope, request.receive), ("email", "password"))
    account = await services.accounts.register(body["email"], body["password"])
    return JSONResponse({"subject": account.subject, "email": account.email}, status_code=201)
