"""Two processes on one file: what one ends, closes the connections that the other has open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from live_apps import LIVE
from sites import serving
from test_live_frameworks import closed
from test_revocations_processes import on_file, other_process, warm
from websockets.asyncio.client import ClientConnection, connect

from asgi_auth.services import AuthServices
from asgi_auth.stack import AuthStack


@asynccontextmanager
async def both_open(
    auth: AuthServices, token: str, socket: str
) -> AsyncIterator[tuple[AsyncIterator[bytes], ClientConnection]]:
    """An idle stream and a socket of one token, in this process."""
    headers = {"Authorization": f"Bearer {token}"}
    async with serving(AuthStack(LIVE["starlette"]().app, auth)) as port:
        url = f"127.0.0.1:{port}"
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", f"http://{url}/idle", headers=headers) as answer,
            connect(f"ws://{url}/ws/{socket}", additional_headers=headers) as opened,
        ):
            received = answer.aiter_bytes()
            assert (await anext(received), await opened.recv()) == (b"data: x\n\n", "open")
            yield received, opened


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("verb", ["token", "family", "disable", "reuse"])
async def test_what_one_process_ends_closes_what_the_other_has_open(tmp_path: Path, verb: str) -> None:
    """The bound is measured in ``benchmarks/live.py``; here both end, cleanly."""
    place = str(tmp_path / "auth.db"), str(tmp_path / "keys.json")
    async with on_file(*place) as auth:
        tokens, subject = await warm(auth)
        argument = {"token": tokens.access_token, "disable": subject}.get(verb, tokens.refresh_token)
        async with both_open(auth, tokens.access_token, "sleep") as (stream, socket):
            with other_process(*place) as other:
                assert await other.says() == "open"
                await other.does(verb, argument)
                assert [chunk async for chunk in stream] == []
                assert await closed(socket) == (4401, "invalid_token")


@pytest.mark.requirement("R-96", "holds")
async def test_what_one_process_refreshes_stays_open_in_the_other(tmp_path: Path) -> None:
    """The other rotates the family, and ends another one of the same account."""
    place = str(tmp_path / "auth.db"), str(tmp_path / "keys.json")
    async with on_file(*place) as auth:
        tokens, _ = await warm(auth)
        second, _ = await warm(auth)
        async with (
            both_open(auth, tokens.access_token, "receive") as (_, socket),
            both_open(auth, second.access_token, "receive") as (ended, _),
            on_file(*place) as elsewhere,
        ):
            await elsewhere.refresh_tokens.rotate(tokens.refresh_token, client_id=auth.client_id)
            await elsewhere.refresh_tokens.revoke(second.refresh_token)
            # The feed that has brought what ends the second has brought all that was before it.
            assert [chunk async for chunk in ended] == []
            await (await socket.ping())
            assert socket.close_code is None
