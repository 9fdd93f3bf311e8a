"""``POST /auth/login``: a token pair for an e-mail address and its password, or with ``"session": true`` a session."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..middleware.session import get_session
from ..services import AuthServices
from ..wire.body import Kind, fields, read_json
from .sessions import begun

__all__ = ["login"]


async def login(request: Request, services: AuthServices) -> Response:
    """The tokens (RFC 6749 §5.1) or the session's cookie, or one 401 for unknown, wrong and disabled alike.

    403 for a session that another site's page may have asked for: nobody is to be signed in as somebody else.
    """
    body = fields(await read_json(request.scope, request.receive), ("email", "password"), {"session": Kind.BOOLEAN})
    session = get_session(request) if body.get("session") else None
    if session is not None:
        session.check_origin()
    account = await services.accounts.authenticate(body["email"], body["password"])
    if session is not None:
        await session.login(account.subject, epoch=account.epoch)
        return begun(session)
    tokens = await services.refresh_tokens.issue(account, client_id=services.client_id)
    return JSONResponse(tokens.as_json())
