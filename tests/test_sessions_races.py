"""Requests of one browser that overtake each other: nobody is signed out, nothing is lost, and the dead stay dead."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browser, setting, signed_in
from session_tools import ANNA, BOB, IDLE, World, world_in
from sites import EMAIL, ISSUER, PASSWORD, site

from asgi_auth.accounts import Account
from asgi_auth.errors import Conflict, Reason
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.session_data import NO_CHANGES, Changes
from asgi_auth.session_store import Found, Renewal, Session
from asgi_auth.sessions import cookie_of
from asgi_auth.stores import MemoryStores
from asgi_auth.stores.memory import MemoryAccounts
from asgi_auth.tokens import mint_secret


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(request.param, tmp_path) as opened_world:
        yield opened_world


async def read_token(session: RequestSession) -> None:
    assert session.csrf_token


async def superseded(world: World) -> tuple[Browser, Browser]:
    """Two with one cookie, of which the second was given the next one, since its subject's roles have changed."""
    late = await signed_in(world)
    current = late.twin()
    await world.auth.accounts.set_roles(ANNA, ["admin"])
    await current.visit()
    assert current.cookie not in {None, late.cookie}
    return late, current


@pytest.mark.requirement("R-47", "holds")
async def test_of_sixty_requests_that_write_at_once_every_one_is_kept(world: World) -> None:
    """In one process they wait for each other: a handler that has done its work is not told to try again."""
    signed = await world.sign_in()

    saved = await asyncio.gather(
        *(
            world.sessions.save(signed.session, Changes({f"name {number}": number}, frozenset()), renewal=None)
            for number in range(60)
        )
    )

    assert all(isinstance(session, Session) for session in saved)
    assert json.loads((await world.found(signed)).data) == {f"name {number}": number for number in range(60)}


@pytest.mark.requirement("R-40", "holds")
async def test_a_renewal_does_not_take_back_that_the_session_was_used(world: World) -> None:
    browser = await signed_in(world)
    await world.auth.accounts.set_roles(ANNA, ["admin"])
    world.clock.advance(IDLE - 10)
    await browser.visit()
    world.clock.advance(IDLE - 10)

    found = await world.sessions.find(browser.cookie or b"")

    assert isinstance(found, Found)
    assert found.session.last_seen_at == world.clock.now() - IDLE + 10


@pytest.mark.requirement("R-39", "holds")
@pytest.mark.parametrize("write", [setting(basket=[1]), read_token], ids=["data", "csrf token"])
async def test_a_late_request_does_not_drive_out_the_cookie_of_another(world: World, write: Any) -> None:
    late, current = await superseded(world)

    answer = await late.visit(write)

    assert answer.header("set-cookie") == []
    assert isinstance(await world.sessions.find(current.cookie or b""), Found)


@pytest.mark.requirement("R-46", "refuses")
async def test_a_logout_with_a_cookie_that_was_renewed_does_not_say_that_it_is_done(world: World) -> None:
    """The session lives, and this cookie cannot end it: 204 would leave it to whoever was given the next one."""
    late, current = await superseded(world)
    refused: list[Conflict] = []

    async def log_out(session: RequestSession) -> None:
        with pytest.raises(Conflict) as caught:
            await session.logout()
        refused.append(caught.value)

    answer = await late.visit(log_out)

    assert [refusal.reason for refusal in refused] == [Reason.SESSION_RENEWED]
    assert answer.header("set-cookie") == []
    assert isinstance(await world.sessions.find(current.cookie or b""), Found)


@pytest.mark.requirement("R-39", "refuses")
async def test_a_session_that_somebody_else_signed_in_over_is_dead_although_it_was_renewed_meanwhile(
    world: World,
) -> None:
    """Also when the feed has forgotten that it ended."""
    annas = await world.sign_in()
    secret = mint_secret()
    renewed = await world.sessions.save(annas.session, NO_CHANGES, renewal=Renewal(secret, frozenset({"user"})))
    assert isinstance(renewed, Session)

    await world.sign_in(BOB, before=annas.session)

    assert await world.sessions.list(ANNA) == ()
    assert await world.stores.sessions.get(annas.session.session_id) is None


class OvertakenAccounts(MemoryAccounts):
    """Accounts of which one gets a new epoch just before its sign-in reads it."""

    is_overtaken = False

    async def get(self, subject: str) -> Account | None:
        if self.is_overtaken:
            await self.raise_epoch(subject, 1)
        return await super().get(subject)


@pytest.mark.requirement("R-15", "refuses")
async def test_a_password_that_was_changed_while_it_was_verified_gives_no_session() -> None:
    stores = MemoryStores()
    stores.accounts = accounts = OvertakenAccounts()
    async with site(stores=stores) as visit:
        await visit.register()
        accounts.is_overtaken = True
        credentials = {"email": EMAIL, "password": PASSWORD, "session": True}

        answer = await visit.client.post("/auth/login", json=credentials, headers={"Origin": ISSUER})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_what_is_remembered_of_cookies_is_bounded(world: World) -> None:
    for _ in range(1_100):
        session = await world.sessions.begin(secret := mint_secret(), device="d", data="{}")
        assert isinstance(await world.sessions.find(cookie_of(session, secret).encode()), Found)

    assert len(world.sessions._known) <= 1_024
