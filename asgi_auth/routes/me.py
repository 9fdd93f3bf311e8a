"""``GET /auth/me``: who the caller is, for an application's front end."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..authorization import authenticated
from ..errors import InvalidToken, Reason
from ..middleware.authorization import check
from ..services import AuthServices

__all__ = ["me"]


async def me(request: Request, services: AuthServices) -> Response:
    """The caller's subject, e-mail address, and what its credential may do; one read of the account."""
    caller = check(request, authenticated)
    account = await services.accounts.get(caller.subject)
    if account is None or account.is_disabled:
        raise InvalidToken(Reason.ACCOUNT_UNKNOWN if account is None else Reason.ACCOUNT_DISABLED)
    return JSONResponse(
        {
            "subject": caller.subject,
            "email": account.email,
            "roles": sorted(caller.roles),
            "scopes": sorted(caller.scopes),
            "scheme": caller.scheme,
            "client_id": caller.client_id,
            "authenticated_at": caller.authenticated_at,
            "expires_at": caller.expires_at,
        }
    )
