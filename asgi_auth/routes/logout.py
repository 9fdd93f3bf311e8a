"""``POST /auth/logout``: ends what the caller presents, at once and everywhere.

An access token ends together with its refresh family, a refresh token likewise; an access token that has
expired still ends its family. A session ends by its cookie, which is cleared. What proves nothing ends nothing.
"""

from starlette.requests import Request
from starlette.responses import Response

from ..errors import InvalidToken, NotAuthenticated
from ..middleware.request_session import RequestSession
from ..services import AuthServices
from ..wire.body import fields, read_optional_json
from ..wire.headers import authorization, bearer_token
from .visitors import Visitors

__all__ = ["logout"]


async def logout(request: Request, services: AuthServices, visitors: Visitors) -> Response:
    """204 when everything presented has ended, also where it had ended before or never was good.

    401 only where no credential came. 409 where the cookie is one that another request has just renewed. 429 where the
    client's address has presented too many refresh tokens that nobody knows. 503, and not 204, where a store did not
    take the ending.
    """
    body = fields(await read_optional_json(request.scope, request.receive), (), ("refresh_token",))
    value = authorization(request.scope["headers"])
    access_token = None if value is None else bearer_token(value)
    refresh_token = body.get("refresh_token")
    session = request.scope.get("session")  # absent beside an access token: explicit beats ambient
    has_cookie = isinstance(session, RequestSession) and session.has_cookie
    if access_token is None and refresh_token is None and not has_cookie:
        raise NotAuthenticated
    if refresh_token is not None:
        services.unknown_tokens.check(visitors.address(request))
    if refresh_token is not None and not await services.refresh_tokens.revoke(refresh_token):
        services.unknown_tokens.note(visitors.address(request))
    if access_token is not None:
        await _end(access_token, services)
    if isinstance(session, RequestSession):
        await session.logout()
    return Response(status_code=204)


async def _end(access_token: bytes, services: AuthServices) -> None:
    try:
        caller = await services.access_tokens.verify(access_token, expired_for=services.refresh_token_lifetime)
    except InvalidToken:
        return
    family_id = caller.claims.get("sid")
    # The family first: where it fails, the access token is still good for another attempt.
    if family_id is not None:
        await services.refresh_tokens.revoke_family(family_id)
    await services.access_tokens.revoke(caller)
