"""What becomes of a session when the response begins: saved, renewed, or refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from browsers import ISSUER, Browser, Site, data, is_uncached, setting, signed_in, subject_of
from session_tools import ANNA, World, opened, value

from asgi_auth.authorization import has_role
from asgi_auth.errors import Refusal, StoreUnavailable
from asgi_auth.middleware.authorization import check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.session_store import Found
from asgi_auth.stores import MemoryStores
from asgi_auth.wire.asgi import Receive, Scope, Send

OURS = (b"origin", ISSUER.encode())
CLEARED = "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


async def log_in(session: RequestSession) -> None:
    await session.login(ANNA)


@pytest.mark.requirement("R-47", "holds")
async def test_of_two_overlapping_requests_each_keeps_what_it_set_and_of_one_name_the_last_stays(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(gone=0, seen=[0]))
    first_has_read = asyncio.Event()
    second_is_done = asyncio.Event()

    async def first(session: RequestSession) -> None:
        session["first"] = session["both"] = 1
        del session["gone"]
        first_has_read.set()
        await second_is_done.wait()

    async def second() -> None:
        await first_has_read.wait()
        await browser.twin().visit(setting(second=2, both=2, gone=3))
        second_is_done.set()

    await asyncio.gather(browser.twin().visit(first), second())

    assert await data(browser) == {"seen": [0], "first": 1, "second": 2, "both": 1}


@pytest.mark.requirement("R-47", "holds")
async def test_of_eight_overlapping_writers_every_name_is_kept(world: World) -> None:
    browser = await signed_in(world)
    barrier, numbers = asyncio.Barrier(8), iter(range(8))

    async def meet_and_set(session: RequestSession) -> None:
        session[f"k{next(numbers)}"] = 1
        await barrier.wait()

    await asyncio.gather(*(browser.twin().visit(meet_and_set) for _ in range(8)))

    assert await data(browser) == {f"k{number}": 1 for number in range(8)}


async def test_a_list_that_grew_is_saved(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(seen=[1]))

    async def append(session: RequestSession) -> None:
        session["seen"].append(2)

    await browser.visit(append)

    assert await data(browser) == {"seen": [1, 2]}


async def test_what_was_only_read_is_not_written(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(seen=[1]))
    world.journal.entries.clear()

    await data(browser)

    assert world.journal.entries == ["get"]


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.requirement("R-46", "refuses")
async def test_what_was_ended_during_a_request_is_not_brought_back_and_the_cookie_is_cleared(world: World) -> None:
    browser = await signed_in(world)

    async def handler(session: RequestSession) -> None:
        session["a"] = 1
        await world.sessions.end_others(ANNA, None)

    answer = await browser.visit(handler)

    assert (answer.status, answer.header("set-cookie")) == (200, [CLEARED])
    assert await world.sessions.list(ANNA) == ()


@pytest.mark.requirement("R-39", "refuses")
async def test_a_request_that_overlaps_a_sign_in_changes_nothing_after_it_and_leaves_the_new_cookie_alone(
    world: World,
) -> None:
    planted = Browser(world)
    await planted.visit(setting(a=1))
    victim = planted.twin()

    async def handler(session: RequestSession) -> None:
        session["evil"] = True
        await victim.visit(log_in, method="POST", headers=[OURS])

    answer = await planted.visit(handler)

    assert answer.header("set-cookie") == []
    assert await data(victim) == {"a": 1}


@pytest.mark.requirement("R-39", "holds")
async def test_other_rights_renew_the_cookie_when_the_response_begins(world: World) -> None:
    browser = await signed_in(world)
    before, seen = browser.twin(), Site()
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    tokens: list[str] = []

    async def handler(session: RequestSession) -> None:
        tokens.append(session.csrf_token)

    answer = await browser.visit(handler)
    await browser.visit(app=seen)
    await before.visit(app=seen)

    assert (len(answer.header("set-cookie")), is_uncached(answer)) == (1, True)
    assert [sorted(scope["auth"].roles) for scope in seen.scopes] == [["admin"], []]
    assert (await browser.visit(method="POST", headers=[(b"x-csrf-token", tokens[0].encode())])).status == 200
    assert (await browser.visit()).header("set-cookie") == []


async def test_a_renewal_and_a_change_are_one_write(world: World) -> None:
    browser = await signed_in(world)
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    world.journal.entries.clear()

    await browser.visit(setting(a=1))

    assert world.journal.entries == ["get", "replace"]
    assert await data(browser) == {"a": 1}


async def test_a_response_that_never_begins_renews_nothing(world: World) -> None:
    """A secret that no browser ever gets would sign it out."""
    browser = await signed_in(world)
    await world.auth.accounts.set_roles(ANNA, {"admin"})

    async def fails(session: RequestSession) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await browser.visit(fails)

    assert browser.cookie is not None
    assert isinstance(await world.sessions.find(browser.cookie), Found)


@pytest.mark.requirement("R-39", "refuses")
async def test_of_five_overlapping_requests_that_owe_a_renewal_one_sets_the_cookie(world: World) -> None:
    browser = await signed_in(world)
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    barrier = asyncio.Barrier(5)

    async def meet(session: RequestSession) -> None:
        await barrier.wait()

    twins = [browser.twin() for _ in range(5)]
    answers = await asyncio.gather(*(twin.visit(meet) for twin in twins))

    assert sorted(len(answer.header("set-cookie")) for answer in answers) == [0, 0, 0, 0, 1]
    (renewed,) = [twin for twin in twins if twin.cookie != browser.cookie]
    site = Site()
    await renewed.visit(app=site)
    assert subject_of(site) == ANNA


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("verb", ["create", "save", "replace"])
async def test_what_cannot_be_saved_is_503_and_the_applications_answer_is_swallowed(world: World, verb: str) -> None:
    browser = Browser(world) if verb == "create" else await signed_in(world)
    if verb == "replace":
        await world.auth.accounts.set_roles(ANNA, {"admin"})

    async def down() -> None:
        raise StoreUnavailable

    world.before(verb, down)
    answer = await browser.visit(setting(a=1))

    assert (answer.status, answer.problem["code"], answer.header("set-cookie")) == (503, "unavailable", [])
    assert [message["type"] for message in answer.sent] == ["http.response.start", "http.response.body"]
    assert is_uncached(answer)


async def test_data_that_the_application_spoiled_is_its_own_error_and_the_500_passes(world: World) -> None:
    class Spoils(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen: list[object] = [1]
            get_session(scope)["seen"] = seen
            seen.append(object())
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            except TypeError:
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b"oops"})

    answer = await Browser(world).visit(app=Spoils())

    assert (answer.status, answer.body, world.journal.entries) == (500, b"oops", [])
    assert is_uncached(answer)


@pytest.mark.requirement("R-47", "refuses")
async def test_bad_data_in_the_store_is_503_for_whoever_asks_and_for_nobody_else(world: World) -> None:
    signed = await world.sign_in()
    await world.stores.sessions.save(signed.session.session_id, version=0, data="cos\nsystem\n", now=world.clock.now())
    browser, site = Browser(world, value(signed)), Site()

    await browser.visit(app=site)
    answer = await browser.visit(setting(a=1))

    assert (subject_of(site), answer.status) == (ANNA, 503)


async def test_the_edge_keeps_the_new_cookie_where_it_replaces_the_answer(world: World) -> None:
    """A framework made a 500 of a refusal in a handler; the renewal that its response paid for is in force."""

    class Framework(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                check(scope, has_role("owner"))
            except Refusal:
                await send({"type": "http.response.start", "status": 500, "headers": [(b"x-own", b"1")]})
                await send({"type": "http.response.body", "body": b"oops"})

    browser = await signed_in(world)
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    layer = SessionMiddleware(Framework(), sessions=world.sessions)
    app = BearerMiddleware(layer, access_tokens=world.auth.access_tokens)

    answer = await browser.ask(app)

    assert (answer.status, answer.header("x-own"), is_uncached(answer)) == (403, [], True)
    assert browser.cookie is not None
    assert isinstance(await world.sessions.find(browser.cookie), Found)
