"""Two processes on one file: what one does to a key, the other knows, although it has it in its cache."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sites import ISSUER, KEYS

from asgi_auth.accounts import Account
from asgi_auth.authorization import Roles
from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.passwords import TESTING, PasswordHasher
from asgi_auth.principal import Principal
from asgi_auth.services import AuthServices
from asgi_auth.stores import SQLiteStores

OTHER = """
import asyncio, sys
from test_api_keys_processes import on_file

async def obey():
    async with on_file(sys.argv[1]) as auth:
        print("open", flush=True)
        for line in sys.stdin:
            verb, argument = line.split()
            if verb == "revoke":
                await auth.api_keys.revoke(argument, subject="anna")
            elif verb == "rotate":
                await auth.api_keys.rotate(argument, subject="anna", overlap=0)
            elif verb == "disable":
                await auth.accounts.disable("anna")
            elif verb == "shrink":
                await auth.accounts.set_roles("anna", ["reader"])
            print("done", flush=True)

asyncio.run(obey())
"""


def on_file(path: str) -> AuthServices:
    return AuthServices(
        stores=SQLiteStores(path),
        issuer=ISSUER,
        signing_keys=KEYS,
        roles=Roles({"user": {"read:articles", "write:articles"}, "reader": {"read:articles"}}),
        passwords=PasswordHasher(TESTING),
    )


@contextmanager
def other_process(path: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, path],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


async def says(other: "subprocess.Popen[str]", line: str = "") -> str:
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(line)
    other.stdin.flush()
    return (await asyncio.to_thread(other.stdout.readline)).strip()


async def answered(auth: AuthServices, value: str) -> Principal | Reason:
    try:
        return await auth.api_keys.verify(value)
    except InvalidToken as refused:
        return refused.reason


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize(
    ("verb", "reason"),
    [
        ("revoke", Reason.KEY_REVOKED),
        ("rotate", Reason.KEY_EXPIRED),
        ("disable", Reason.ACCOUNT_DISABLED),
        ("shrink", None),
    ],
)
async def test_what_one_process_does_to_a_key_the_other_knows_although_it_was_warm(
    tmp_path: Path, verb: str, reason: Reason | None
) -> None:
    """Within its bound; its open connection ends too; and after a restart nothing has come back."""
    path = str(tmp_path / "auth.db")
    async with on_file(path) as auth:
        anna = Account(subject="anna", email="a@b.c", password_hash=None, roles=frozenset({"user"}), created_at=0)
        await auth._stores.accounts.create(anna)
        made = await auth.api_keys.create("anna", "a name")
        before = await auth.api_keys.verify(made.value)
        assert auth.api_keys.cached(made.value.encode()) is before
        ended = asyncio.Event()
        auth.api_keys.watch(before, ended.set)
        with other_process(path) as other:
            assert await says(other) == "open"
            assert await says(other, f"{verb} {made.key.key_id}\n") == "done"
        async with asyncio.timeout(30):
            while auth.api_keys.cached(made.value.encode()) is before:
                await asyncio.sleep(0.001)
            await ended.wait()
        after = await answered(auth, made.value)
    async with on_file(path) as again:
        assert await answered(again, made.value) == after
    if reason is None:
        assert isinstance(after, Principal)
        assert (after.scopes, after.roles) == (frozenset({"read:articles"}), frozenset({"reader"}))
    else:
        assert after is reason
