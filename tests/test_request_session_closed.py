"""Where a session can only be read: late, in a websocket, beside a token or a key."""

from collections.abc import AsyncIterator

import pytest
from browsers import ISSUER, Browser, Site, setting, signed_in
from harness import USER, websocket
from session_tools import ANNA, IDLE, World, opened

from asgi_auth.errors import SessionClosed
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.stores import MemoryStores
from asgi_auth.wire.asgi import Receive, Scope, Send

OURS = (b"origin", ISSUER.encode())
CLEARED = "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


async def test_whoever_asks_for_the_session_only_after_the_response_has_begun_can_change_nothing(world: World) -> None:
    class Late(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with pytest.raises(SessionClosed, match="begun"):
                get_session(scope)["a"] = 1
            with pytest.raises(SessionClosed, match="begun"):
                assert get_session(scope).csrf_token
            await send({"type": "http.response.body", "body": b""})

    assert (await Browser(world).visit(app=Late())).status == 200


async def test_changes_after_the_response_has_begun_are_refused(world: World) -> None:
    class Late(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            session = get_session(scope)
            session["a"] = 1
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await refused(session)
            assert dict(session) == {"a": 1}
            await send({"type": "http.response.body", "body": session.csrf_token.encode()})

    answer = await Browser(world).visit(app=Late())

    assert (answer.status, len(answer.body)) == (200, 43)


async def refused(session: RequestSession) -> None:
    with pytest.raises(SessionClosed):
        session["b"] = 2
    with pytest.raises(SessionClosed):
        session.clear()
    with pytest.raises(SessionClosed):
        await session.login(ANNA)
    with pytest.raises(SessionClosed):
        await session.logout()


async def test_a_websocket_reads_the_session_and_changes_nothing(world: World) -> None:
    browser = await signed_in(world)
    await browser.visit(setting(a=1))
    seen: list[object] = []

    async def handler(session: RequestSession) -> None:
        await refused(session)
        seen.extend([dict(session), session.subject, len(session.csrf_token)])

    layer = SessionMiddleware(Site(handler), sessions=world.sessions)
    answer = await websocket(layer, headers=[*browser.lines(), OURS])

    assert (answer.accepted, seen) == (True, [{"a": 1}, ANNA, 43])


async def test_a_websocket_without_a_session_cannot_begin_one(world: World) -> None:
    async def handler(session: RequestSession) -> None:
        with pytest.raises(SessionClosed, match="websocket"):
            assert session.csrf_token

    assert (await websocket(SessionMiddleware(Site(handler), sessions=world.sessions))).accepted


async def test_a_websocket_owes_no_renewal(world: World) -> None:
    browser, site = await signed_in(world), Site()
    await world.auth.accounts.set_roles(ANNA, {"admin"})
    world.clock.advance(IDLE / 2)
    world.journal.entries.clear()

    await websocket(SessionMiddleware(site, sessions=world.sessions), headers=[*browser.lines(), OURS])

    assert site.scopes[0]["auth"].roles == {"admin"}
    assert world.journal.entries == ["get", "touch"]


async def test_with_a_token_or_a_key_the_session_is_empty_and_read_only(world: World) -> None:
    async def handler(session: RequestSession) -> None:
        assert dict(session) == {}
        await refused_without_clear(session)

    answer = await (await signed_in(world)).visit(handler, auth=USER)

    assert answer.headers == []


async def refused_without_clear(session: RequestSession) -> None:
    for change in (lambda: session.update(a=1), lambda: session.csrf_token):
        with pytest.raises(SessionClosed, match="token or a key"):
            change()
    for verb in (session.login(ANNA), session.logout()):
        with pytest.raises(SessionClosed, match="token or a key"):
            await verb


async def test_it_shows_nothing_of_what_it_holds(world: World) -> None:
    shown: list[str] = []

    async def handler(session: RequestSession) -> None:
        session["a"] = "canary"
        shown.append(repr(session))

    await Browser(world).visit(handler)

    assert shown == ["<RequestSession>"]
