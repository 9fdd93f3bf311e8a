"""Who may manage an account's credentials: its owner, with a credential that was not narrowed."""

from starlette.requests import Request

from ..authorization import authenticated, grants
from ..errors import Forbidden, InvalidToken, Reason
from ..middleware.authorization import check
from ..principal import Principal
from ..services import AuthServices

__all__ = ["whole_owner"]


async def whole_owner(request: Request, services: AuthServices) -> Principal:
    """The caller, if it may do all that its account may now; one read of the account.

    So no narrowed token, and no API key whatever it may, gets hold of a credential that may do more or lives longer:
    403. 401 where the account is disabled or gone.
    """
    caller = check(request, authenticated)
    account = await services.accounts.get(caller.subject)
    if account is None or account.is_disabled:
        raise InvalidToken(Reason.ACCOUNT_UNKNOWN if account is None else Reason.ACCOUNT_DISABLED)
    granted = services.roles.scopes(account.roles)
    is_whole = account.roles <= caller.roles and all(grants(caller.scopes, scope) for scope in granted)
    if caller.scheme == "api_key" or not is_whole:
        raise Forbidden(Reason.CREDENTIAL_NARROWED, detail="This needs a sign-in that was not narrowed.")
    return caller
