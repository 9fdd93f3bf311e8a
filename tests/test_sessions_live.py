"""What hangs on a session ends with it: told by the feed, at its end, and where its subject's rights change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from browsers import ISSUER, Browser
from harness import websocket_scope
from session_tools import ANNA, BOB, IDLE, World, opened, value

from asgi_auth.authorization import Roles
from asgi_auth.errors import StoreUnavailable
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.session_data import NO_CHANGES
from asgi_auth.session_store import Session
from asgi_auth.sessions import Sessions
from asgi_auth.stores import MemoryStores
from asgi_auth.tokens import mint_secret
from asgi_auth.wire.asgi import Message, Receive, Scope, Send


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


ENDINGS: dict[str, Callable[[World, Session], Awaitable[object]]] = {
    "logged out": lambda world, session: world.sessions.log_out(session),
    "ended by its owner": lambda world, session: world.sessions.end(ANNA, session.session_id),
    "ended with the others": lambda world, session: world.sessions.end_others(ANNA, None),
    "disabled": lambda world, session: world.auth.accounts.disable(ANNA),
    "logged out everywhere": lambda world, session: world.auth.accounts.end_credentials(ANNA),
    "other roles": lambda world, session: world.auth.accounts.set_roles(ANNA, {"admin"}),
    "somebody else signed in": lambda world, session: world.sign_in(BOB, before=session),
}


@pytest.mark.requirement("R-46", "refuses")
@pytest.mark.parametrize("how", ENDINGS)
async def test_what_ends_a_session_ends_what_hangs_on_it(world: World, how: str) -> None:
    signed, other = await world.sign_in(), await world.sign_in(BOB)
    ended, others = asyncio.Event(), asyncio.Event()
    world.sessions.watch(signed.session, ended.set)
    unwatch = world.sessions.watch(other.session, others.set)

    await ENDINGS[how](world, signed.session)
    async with asyncio.timeout(5):
        await ended.wait()

    assert not others.is_set()
    unwatch()


@pytest.mark.requirement("R-86", "refuses")
async def test_rights_that_change_before_the_connection_opens_end_it_too(world: World) -> None:
    """The caller was read before, and is watched after it."""
    signed = await world.sign_in()
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    ended = asyncio.Event()
    world.sessions.watch(signed.session, ended.set)

    async with asyncio.timeout(5):
        await ended.wait()


@pytest.mark.requirement("R-86", "holds")
async def test_rights_that_changed_before_the_caller_was_read_end_nothing(world: World) -> None:
    """Also where the session itself has still to be renewed for them."""
    signed = await world.sign_in()
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    ended = asyncio.Event()
    unwatch = world.sessions.watch(signed.session, ended.set, roles=frozenset({"admin"}))

    await asked(world)
    world.clock.advance(IDLE - 1)
    await world.sessions.touch(signed.session)
    world.clock.advance(1)
    await asked(world)
    assert not ended.is_set()
    unwatch()


async def test_a_new_sign_in_of_the_same_subject_ends_nothing(world: World) -> None:
    signed = await world.sign_in()
    ended = asyncio.Event()
    unwatch = world.sessions.watch(signed.session, ended.set)

    await world.sign_in(before=signed.session)

    assert not ended.is_set()
    unwatch()


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-40", "refuses")
async def test_it_ends_when_the_session_is_no_longer_used(world: World) -> None:
    signed = await world.sign_in()
    ended = asyncio.Event()
    world.sessions.watch(signed.session, ended.set)

    world.clock.advance(IDLE)
    async with asyncio.timeout(5):
        await ended.wait()


async def asked(world: World) -> None:
    """Wait until the end of a session was looked up."""
    looked_up = asyncio.Event()

    async def note() -> None:
        looked_up.set()

    world.before("get", note)
    async with asyncio.timeout(5):
        await looked_up.wait()


@pytest.mark.requirement("R-96", "holds")
async def test_it_goes_on_where_the_session_was_used_elsewhere(world: World) -> None:
    signed = await world.sign_in()
    ended = asyncio.Event()
    world.sessions.watch(signed.session, ended.set)
    world.clock.advance(IDLE - 1)
    await world.sessions.touch(signed.session)

    world.clock.advance(1)
    await asked(world)
    world.clock.advance(IDLE - 2)
    assert not ended.is_set()
    world.clock.advance(1)
    async with asyncio.timeout(5):
        await ended.wait()


async def down() -> None:
    raise StoreUnavailable


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("why", ["deleted", "another's", "nobody's", "epoch", "unknown"])
async def test_it_ends_where_the_session_is_no_longer_what_it_was(world: World, why: str) -> None:
    """At its end the row is read again: whoever died between a change and its revocation is seen by then."""
    signed = await world.sign_in()
    ended = asyncio.Event()
    world.sessions.watch(signed.session, ended.set)
    store = world.stores.stores.sessions
    world.clock.advance(IDLE - 1)
    await world.sessions.touch(signed.session)
    if why == "deleted":
        await store.delete(signed.session.session_id, subject=ANNA)
    elif why == "epoch":
        await world.stores.accounts.raise_epoch(ANNA, 5)
    elif why == "unknown":
        world.before("get", down)
    else:
        subject = None if why == "nobody's" else BOB
        await store.delete(signed.session.session_id, subject=ANNA)
        await store.create(replace(signed.session, subject=subject, idle_expires_at=world.clock.now() + IDLE))

    world.clock.advance(1)
    async with asyncio.timeout(5):
        await ended.wait()


async def test_without_a_feed_nothing_is_ended_and_without_a_subject_there_is_nothing_to_end(world: World) -> None:
    accounts = PresentAccounts(world.stores.accounts, None, clock=world.clock)
    without = Sessions(world.stores.sessions, accounts, None, issuer=ISSUER, roles=Roles({}), clock=world.clock)
    signed = await without.sign_in(ANNA, epoch=None, device="d", before=None, changes=NO_CHANGES)
    ended = asyncio.Event()

    without.watch(signed.session, ended.set)()
    unwatch = without.watch(signed.session, ended.set)
    await without.log_out(signed.session)
    unwatch()
    nobodys = await world.sessions.begin(mint_secret(), device="d", data="{}")
    world.sessions.watch(nobodys, ended.set)()

    assert not ended.is_set()


@pytest.mark.requirement("R-46", "refuses")
async def test_a_stream_that_begins_after_its_own_logout_ends_at_once(world: World) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await get_session(scope).logout()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    browser = Browser(world, value(await world.sign_in()))
    async with asyncio.timeout(5):
        answer = await browser.visit(app=app, method="POST", headers=[(b"origin", ISSUER.encode())])

    assert (answer.status, answer.sent[-1].get("more_body"), browser.cookie) == (200, False, None)


@pytest.mark.requirement("R-96", "refuses")
async def test_a_socket_opened_with_a_session_is_closed_with_4401_when_it_ends(world: World) -> None:
    sent: list[Message] = []
    accepted = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        accepted.set()
        await receive()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    messages = iter([{"type": "websocket.connect"}])

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    signed = await world.sign_in()
    browser = Browser(world, value(signed))
    scope = websocket_scope(headers=[*browser.lines(), (b"origin", ISSUER.encode())])
    layer = SessionMiddleware(app, sessions=world.sessions)
    running = asyncio.create_task(layer(scope, receive, send))
    await accepted.wait()

    await world.sessions.log_out(signed.session)
    async with asyncio.timeout(5):
        await running

    assert [(message["type"], message.get("code")) for message in sent] == [
        ("websocket.accept", None),
        ("websocket.close", 4401),
    ]
