"""``POST /auth/login``: a token pair for an e-mail address and its password, or with ``"session": true`` a session."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..middleware.session import get_session
from ..services import AuthServices
from ..wire.body import Kind, fields, read_json
from .sessions import begun
from .visitors import Visitors

__all__ = ["login"]


async def login(request: Request, services: AuthServices, visitors: Visitors) -> Response:
    """The tokens (RFC 6749 §5.1) or the session's cookie, or one 401 for unknown, wrong, locked and disabled alike.

    429 where the client's address, or everybody, has failed too often. 403 for a session that another site's page may
    have asked for: nobody is to be signed in as somebody else. The answer names a browser's device in a cookie.
    """
    body = fields(await read_json(request.scope, request.receive), ("email", "password"), {"session": Kind.BOOLEAN})
    session = get_session(request) if body.get("session") else None
    if session is not None:
        session.check_origin()
    visitor = visitors.visitor(request)
    account = await services.accounts.authenticate(body["email"], body["password"], visitor=visitor)
    device = await visitors.remember(request, visitor, account.email, services.lockout)
    response: Response
    if session is not None:
        await session.login(account.subject, epoch=account.epoch)
        response = begun(session)
    else:
        tokens = await services.refresh_tokens.issue(account, client_id=services.client_id)
        response = JSONResponse(tokens.as_json())
    if device is not None:
        response.raw_headers.append((b"set-cookie", device))
    return response
