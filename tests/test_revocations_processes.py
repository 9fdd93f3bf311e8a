"""Two processes on one file: what one revokes, the other refuses, although it has it in its cache."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sites import EMAIL, PASSWORD

from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.keys import SigningKeys
from asgi_auth.passwords import TESTING, PasswordHasher
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices
from asgi_auth.stores import SQLiteStores

OTHER = """
import asyncio, sys
from asgi_auth.errors import InvalidToken
from test_revocations_processes import on_file

async def obey():
    async with on_file(sys.argv[1], sys.argv[2]) as auth:
        print("open", flush=True)
        for line in sys.stdin:
            verb, argument = line.split()
            if verb == "token":
                await auth.access_tokens.revoke(await auth.access_tokens.verify(argument))
            elif verb == "family":
                await auth.refresh_tokens.revoke(argument)
            elif verb == "disable":
                await auth.accounts.disable(argument)
            elif verb == "reuse":
                for _ in range(2):
                    try:
                        await auth.refresh_tokens.rotate(argument, client_id=auth.client_id)
                    except InvalidToken:
                        pass
            print("done", flush=True)

asyncio.run(obey())
"""


def on_file(path: str, keys: str) -> AuthServices:
    return AuthServices(
        stores=SQLiteStores(path),
        issuer="https://api.example",
        signing_keys=SigningKeys.load_or_generate(keys, "ES256"),
        passwords=PasswordHasher(TESTING),
    )


class Other:
    """Another process on the same file, which does what it is told."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running

    async def does(self, verb: str, argument: str) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(f"{verb} {argument}\n")
        self._running.stdin.flush()
        assert await self.says() == "done"

    async def says(self) -> str:
        assert self._running.stdout is not None
        return (await asyncio.to_thread(self._running.stdout.readline)).strip()


@contextmanager
def other_process(*arguments: str) -> Iterator[Other]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, *arguments],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield Other(running)
        finally:
            running.kill()


async def warm(auth: AuthServices) -> tuple[Tokens, str]:
    """Tokens of a sign-in, the access token in the cache; and their subject."""
    account = await auth.accounts.get_by_email(EMAIL) or await auth.accounts.register(EMAIL, PASSWORD)
    tokens = await auth.refresh_tokens.issue(account, client_id=auth.client_id)
    await auth.access_tokens.verify(tokens.access_token)
    assert auth.access_tokens.cached(tokens.access_token.encode()) is not None
    return tokens, account.subject


async def refusal(auth: AuthServices, token: str) -> Reason:
    with pytest.raises(InvalidToken) as caught:
        await auth.access_tokens.verify(token)
    return caught.value.reason


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("verb", ["token", "family", "disable", "reuse"])
async def test_what_one_process_ends_the_other_refuses_although_it_was_warm(tmp_path: Path, verb: str) -> None:
    """Within its bound; and after a restart it still is refused."""
    place = str(tmp_path / "auth.db"), str(tmp_path / "keys.json")
    async with on_file(*place) as auth:
        tokens, subject = await warm(auth)
        arguments: dict[str, Any] = {
            "token": tokens.access_token,
            "family": tokens.refresh_token,
            "disable": subject,
            "reuse": tokens.refresh_token,
        }
        with other_process(*place) as other:
            assert await other.says() == "open"
            await other.does(verb, arguments[verb])
        async with asyncio.timeout(30):
            while auth.access_tokens.cached(tokens.access_token.encode()) is not None:
                await asyncio.sleep(0.001)
        assert await refusal(auth, tokens.access_token) is Reason.TOKEN_REVOKED
    async with on_file(*place) as again:
        assert await refusal(again, tokens.access_token) is Reason.TOKEN_REVOKED


@pytest.mark.requirement("R-33", "holds")
async def test_a_worker_that_follows_nothing_yet_asks_before_it_answers(tmp_path: Path) -> None:
    """Another instance revokes; the first, whose knowledge is too old, reads the feed with its next request."""
    place = str(tmp_path / "auth.db"), str(tmp_path / "keys.json")
    async with on_file(*place) as other:
        first = on_file(*place)
        await first._stores.open()
        tokens, _ = await warm(first)
        await other.refresh_tokens.revoke(tokens.refresh_token)
        await first.revocations.close()
        assert first.access_tokens.cached(tokens.access_token.encode()) is None
        assert await refusal(first, tokens.access_token) is Reason.TOKEN_REVOKED
        await first.accounts.close()
        await first._stores.close()
