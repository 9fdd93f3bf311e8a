"""``scope["session"]``: what an application does with it, and what becomes of it when the response begins."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from browsers import ISSUER, Browser, Site, data, is_uncached, setting, signed_in, subject_of
from session_tools import ANNA, BOB, World, opened

from asgi_auth.errors import InvalidCredentials
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.session_store import Lost
from asgi_auth.stores import MemoryStores

OURS = (b"origin", ISSUER.encode())
CLEARED = "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


async def log_in(session: RequestSession) -> None:
    await session.login(ANNA)


async def log_out(session: RequestSession) -> None:
    await session.logout()


@pytest.mark.requirement("R-39", "holds")
@pytest.mark.requirement("R-39", "refuses")
async def test_a_planted_cookie_is_dead_after_the_sign_in(world: World) -> None:
    """Fixation: the attacker visits, plants its cookie in the victim's browser, and waits."""
    attacker = Browser(world)
    await attacker.visit(setting(basket=[1]))
    victim, seen = attacker.twin(), Site()

    answer = await victim.visit(log_in, method="POST", headers=[OURS])
    await attacker.visit(app=seen)
    await victim.visit(app=seen)

    assert [scope["auth"].identity for scope in seen.scopes] == ["", ANNA]
    assert await data(attacker) == {}
    assert await data(victim) == {"basket": [1]}
    assert len(answer.header("set-cookie")) == 1
    assert is_uncached(answer)


async def test_a_sign_in_tells_who_is_calling_from_the_next_request_on(world: World) -> None:
    principals: list[Any] = []

    async def handler(session: RequestSession) -> None:
        assert (session.session_id, session.subject, session.expires_at) == (None, None, None)
        principals.append(await session.login(ANNA, epoch=0))
        assert (session.session_id, session.subject) == (principals[0].credential_id, ANNA)
        assert session.expires_at == principals[0].expires_at

    browser, first, second = Browser(world), Site(handler), Site()
    await browser.visit(app=first, method="POST", headers=[OURS, (b"user-agent", b"curl/8")])
    await browser.visit(app=second)

    assert (subject_of(first), second.scopes[0]["auth"]) == ("", principals[0])
    (session,) = await world.sessions.list(ANNA)
    assert session.device == "curl/8"


@pytest.mark.requirement("R-39", "refuses")
async def test_of_ten_concurrent_sign_ins_with_one_cookie_each_has_a_session_and_the_cookie_is_dead(
    world: World,
) -> None:
    planted = Browser(world)
    await planted.visit(setting(a=1))
    browsers = [planted.twin() for _ in range(10)]
    barrier = asyncio.Barrier(10)

    async def meet_and_log_in(session: RequestSession) -> None:
        await barrier.wait()
        await session.login(ANNA)

    await asyncio.gather(*(one.visit(meet_and_log_in, method="POST", headers=[OURS]) for one in browsers))

    assert len({one.cookie for one in browsers} - {planted.cookie}) == 10
    assert [await data(one) for one in browsers] == [{"a": 1}] * 10
    assert planted.cookie is not None
    assert await world.sessions.find(planted.cookie) is Lost.SUPERSEDED


async def test_what_was_set_in_the_same_request_is_carried_over_and_can_be_set_afterwards(world: World) -> None:
    async def handler(session: RequestSession) -> None:
        session["before"] = 1
        await session.login(ANNA)
        session["after"] = 2

    browser = Browser(world)
    answer = await browser.visit(handler, method="POST", headers=[OURS])

    assert await data(browser) == {"before": 1, "after": 2}
    assert len(answer.header("set-cookie")) == 1


@pytest.mark.requirement("R-39", "refuses")
async def test_somebody_else_who_signs_in_finds_nothing_of_the_one_before(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(diary="private"))
    before = browser.twin()

    async def as_bob(session: RequestSession) -> None:
        session["also"] = "private"
        await session.login(BOB)
        assert len(session) == 0

    await browser.visit(as_bob, method="POST", headers=[OURS])

    assert (await data(browser), await data(before)) == ({}, {})
    assert await world.sessions.list(ANNA) == ()


async def test_an_unknown_account_is_not_signed_in(world: World) -> None:
    async def handler(session: RequestSession) -> None:
        for subject, epoch in (("nobody", None), (ANNA, -1)):
            with pytest.raises(InvalidCredentials):
                await session.login(subject, epoch=epoch)

    answer = await Browser(world).visit(handler)
    assert answer.header("set-cookie") == []


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.requirement("R-46", "refuses")
async def test_logging_out_ends_the_session_and_clears_the_cookie(world: World) -> None:
    browser = await signed_in(world)
    before = browser.twin()

    async def handler(session: RequestSession) -> None:
        await session.logout()
        assert (len(session), session.subject) == (0, None)

    answer = await browser.visit(handler, method="POST", headers=[OURS])

    assert (answer.header("set-cookie"), browser.cookie) == ([CLEARED], None)
    assert is_uncached(answer)
    assert before.cookie is not None
    assert await world.sessions.find(before.cookie) is Lost.OVER


async def test_logging_out_without_a_session_does_nothing_and_a_dead_cookie_is_cleared(world: World) -> None:
    assert (await Browser(world).visit(log_out)).headers == []
    assert (await Browser(world, b"junk").visit(log_out)).header("set-cookie") == [CLEARED]


async def test_what_is_set_after_a_logout_begins_a_session_of_nobody(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(old=1))
    before = browser.twin()

    async def handler(session: RequestSession) -> None:
        await session.logout()
        session["message"] = "bye"

    answer, site = await browser.visit(handler, method="POST", headers=[OURS]), Site()
    await browser.visit(app=site)

    assert (len(answer.header("set-cookie")), subject_of(site)) == (1, "")
    assert await data(browser) == {"message": "bye"}
    assert await data(before) == {}


async def test_signing_in_and_out_in_one_request_leaves_nothing(world: World) -> None:
    async def handler(session: RequestSession) -> None:
        await session.login(ANNA)
        await session.logout()

    answer = await Browser(world).visit(handler)

    assert answer.header("set-cookie") == [CLEARED]
    assert await world.sessions.list(ANNA) == ()
