"""The whole stack around Starlette on uvicorn: a browser's session and a program's key, and what ends what they opened.

Each holds a stream that is idle and a socket; somebody else ends the credential.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from live_apps import LIVE
from sites import EMAIL, ISSUER, PASSWORD, services, serving
from test_live_frameworks import closed
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from asgi_auth.services import AuthServices
from asgi_auth.stack import AuthStack
from asgi_auth.testing.clock import FakeClock

ADA = {"email": EMAIL, "password": PASSWORD}


@dataclass
class Site:
    """A site that somebody has registered at."""

    auth: AuthServices
    clock: FakeClock
    client: httpx.AsyncClient
    address: str
    subject: str

    async def browser(self) -> dict[str, str]:
        """The headers of a browser that has signed in: its cookie, and the page that it shows."""
        answer = await self.client.post("/auth/login", json=ADA | {"session": True}, headers={"Origin": ISSUER})
        assert answer.status_code == 200, answer.text
        cookies = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
        return {"Cookie": "; ".join(cookies), "Origin": ISSUER}

    async def program(self) -> tuple[dict[str, str], str]:
        """The headers of a program with a new key, and the key's id."""
        token = (await self.client.post("/auth/login", json=ADA)).json()["access_token"]
        signed_in = {"Authorization": f"Bearer {token}"}
        answer = await self.client.post("/auth/api-keys", json={"name": "ci"}, headers=signed_in)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return {"X-API-Key": made["key"]}, made["key_id"]

    @asynccontextmanager
    async def opened(self, headers: dict[str, str]) -> AsyncIterator["Opened"]:
        """A stream and a socket with these credentials."""
        async with (
            self.client.stream("GET", "/idle", headers=headers) as answer,
            connect(f"ws://{self.address}/ws/receive", additional_headers=headers) as socket,
        ):
            received = answer.aiter_bytes()
            assert (await anext(received), await socket.recv()) == (b"data: x\n\n", "open")
            yield Opened(received, socket)


@dataclass
class Opened:
    """A stream and a socket that are open."""

    stream: AsyncIterator[bytes]
    socket: ClientConnection

    async def both_end(self) -> None:
        assert [chunk async for chunk in self.stream] == []
        assert await closed(self.socket) == (4401, "invalid_token")

    async def goes_on(self) -> None:
        await (await self.socket.ping())
        assert self.socket.close_code is None


@pytest.fixture
async def site(clock: FakeClock) -> AsyncIterator[Site]:
    auth = services(clock)
    async with auth, serving(AuthStack(LIVE["starlette"]().app, auth)) as port:
        address = f"127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as client:
            subject = (await client.post("/auth/register", json=ADA)).json()["subject"]
            client.cookies.clear()
            yield Site(auth, clock, client, address, subject)


async def logs_out(site: Site, headers: dict[str, str]) -> None:
    """Another tab of the same browser."""
    assert (await site.client.post("/auth/logout", headers=headers)).status_code == 204


async def is_ended_elsewhere(site: Site, headers: dict[str, str]) -> None:
    """A second browser ends all sessions but its own."""
    second = await site.browser()
    assert (await site.client.delete("/auth/sessions", headers=second)).status_code in {200, 204}


async def changes_the_password(site: Site, headers: dict[str, str]) -> None:
    second = await site.browser()
    passwords = {"current_password": PASSWORD, "new_password": "another walk in the woods"}
    assert (await site.client.post("/auth/password", json=passwords, headers=second)).status_code == 200


async def is_disabled(site: Site, headers: dict[str, str]) -> None:
    await site.auth.accounts.disable(site.subject)


async def loses_its_roles(site: Site, headers: dict[str, str]) -> None:
    await site.auth.accounts.set_roles(site.subject, set())


async def is_idle_for_long(site: Site, headers: dict[str, str]) -> None:
    site.clock.advance(1800)


End = Callable[[Site, dict[str, str]], Awaitable[None]]


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize(
    "end", [logs_out, is_ended_elsewhere, changes_the_password, is_disabled, loses_its_roles, is_idle_for_long]
)
async def test_what_ends_a_session_ends_its_stream_and_its_socket(site: Site, end: End) -> None:
    headers = await site.browser()
    async with site.opened(headers) as opened:
        await end(site, headers)
        await opened.both_end()


@pytest.mark.requirement("R-96", "holds")
async def test_a_session_that_is_used_keeps_its_socket_beyond_its_idle_end(site: Site) -> None:
    headers = await site.browser()
    async with site.opened(headers) as opened, site.opened(await site.browser()) as idle:
        site.clock.advance(1700)
        assert (await site.client.get("/auth/me", headers=headers)).status_code == 200
        site.clock.advance(100)
        await idle.both_end()
        await opened.goes_on()
        await logs_out(site, headers)
        await opened.both_end()


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", ISSUER + ".evil.example"])
async def test_a_socket_with_a_session_from_another_site_is_refused_before_it_is_accepted(
    site: Site, origin: str | None
) -> None:
    headers = {"Cookie": (await site.browser())["Cookie"]} | ({} if origin is None else {"Origin": origin})
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{site.address}/ws/receive", additional_headers=headers)

    assert refused.value.response.status_code == 403


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("how", ["revoked", "owner disabled", "owner's rights changed", "rotated without overlap"])
async def test_what_ends_a_key_ends_its_stream_and_its_socket(site: Site, how: str) -> None:
    headers, key_id = await site.program()
    async with site.opened(headers) as opened:
        if how == "revoked":
            await site.auth.api_keys.revoke(key_id, subject=site.subject)
        elif how == "owner disabled":
            await is_disabled(site, headers)
        elif how == "owner's rights changed":
            await loses_its_roles(site, headers)
        else:
            await site.auth.api_keys.rotate(key_id, subject=site.subject, overlap=0)
        await opened.both_end()


@pytest.mark.requirement("R-96", "holds")
async def test_a_new_password_keeps_a_keys_connections_and_so_does_a_rotation_until_its_overlap_is_over(
    site: Site,
) -> None:
    headers, key_id = await site.program()
    browser = await site.browser()
    async with site.opened(headers) as opened, site.opened(browser) as ended:
        await site.auth.api_keys.rotate(key_id, subject=site.subject, overlap=60)
        await changes_the_password(site, headers)
        await ended.both_end()
        await opened.goes_on()
        site.clock.advance(60)
        await opened.both_end()
