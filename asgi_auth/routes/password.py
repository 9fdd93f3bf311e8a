"""``POST /auth/password``: the caller's new password, for the current one."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..authorization import authenticated
from ..middleware.authorization import check
from ..middleware.session import get_session
from ..services import AuthServices
from ..wire.body import fields, read_json
from .sessions import begun
from .visitors import Visitors

__all__ = ["password"]


async def password(request: Request, services: AuthServices, visitors: Visitors) -> Response:
    """Fresh tokens (RFC 6749 §5.1) of the new epoch; every credential of before has ended when they arrive.

    A caller with a session gets a fresh session.

    401 where the current password is wrong, or was too often; 429 where the client's address, or everybody, has failed
    too often; 422 where the new one is not acceptable.
    """
    caller = check(request, authenticated)
    body = fields(await read_json(request.scope, request.receive), ("current_password", "new_password"))
    account = await services.accounts.change_password(
        caller.subject, body["current_password"], body["new_password"], visitor=visitors.visitor(request)
    )
    if caller.scheme == "session":
        session = get_session(request)
        await session.login(account.subject, epoch=account.epoch)
        return begun(session)
    tokens = await services.refresh_tokens.issue(account, client_id=services.client_id)
    return JSONResponse(tokens.as_json())
