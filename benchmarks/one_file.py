"""Services that several processes have on one SQLite file, and what became of a call of theirs."""

import sqlite3
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from secrets import token_hex

from asgi_auth.accounts import Account
from asgi_auth.errors import InvalidToken
from asgi_auth.keys import SigningKeys
from asgi_auth.passwords import TESTING, PasswordHasher
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices, Stores
from asgi_auth.stores import SQLiteStores

__all__ = ["CLIENT", "issue", "live_families", "on_file", "refusal", "register"]

CLIENT = "first-party"


def on_file(path: Path, *, reuse_leeway: float, stores: Stores | None = None, deadline: float = 1.5) -> AuthServices:
    """The services of one process; all processes share the file and the key beside it."""
    return AuthServices(
        stores=SQLiteStores(path, deadline=deadline) if stores is None else stores,
        issuer="https://api.example",
        signing_keys=SigningKeys.load_or_generate(path.with_suffix(".keys"), "ES256"),
        client_id=CLIENT,
        access_token_lifetime=7 * 86400,  # none expires while this runs: what is refused was revoked
        reuse_leeway=reuse_leeway,
        passwords=PasswordHasher(TESTING),
    )


async def register(services: AuthServices) -> Account:
    """A new account."""
    return await services.accounts.register(f"{token_hex(8)}@example.com", "correct horse battery staple")


async def issue(services: AuthServices, account: Account) -> Tokens:
    """The first tokens of one more family."""
    return await services.refresh_tokens.issue(account, client_id=CLIENT)


async def refusal(call: Awaitable[object]) -> str | None:
    """Why a token was refused, None where it was not; whatever else was raised by the name of its type."""
    try:
        await call
    except InvalidToken as refused:
        return refused.reason.value
    except Exception as error:
        return type(error).__name__
    return None


def live_families(path: Path, subject: str) -> int:
    """How many families of ``subject`` are not revoked, as the file itself has it."""
    with closing(sqlite3.connect(path)) as connection:
        ((count,),) = connection.execute(
            "SELECT count(*) FROM asgi_auth_refresh_families WHERE subject = ? AND revoked_at IS NULL", (subject,)
        )
    return int(count)
