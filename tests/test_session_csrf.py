"""Which requests may use a session: those of our own pages, and those that show its token (R-43, R-44, R-96)."""

from collections.abc import AsyncIterator

import pytest
from browsers import ISSUER, Browser, Site, is_uncached, signed_in, subject_of
from harness import http, websocket
from session_tools import ANNA, IDLE, World, opened

from asgi_auth.errors import Forbidden, Reason
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.stores import MemoryStores
from asgi_auth.wire.asgi import Receive, Scope, Send

OURS = (b"origin", ISSUER.encode())
UNSAFE = pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "BREW", "CONNECT"])
FOREIGN = [
    [(b"origin", b"https://evil.example")],
    [(b"origin", b"null")],
    [(b"origin", b"null"), (b"sec-fetch-site", b"same-origin")],
    [OURS, OURS],
    [(b"sec-fetch-site", b"cross-site")],
    [(b"sec-fetch-site", b"same-site")],
    [],
    [(b"referer", b"https://api.example/")],
    [(b"x-csrf-token", b"wrong")],
    [(b"x-csrf-token", b"")],
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


async def token_of(browser: Browser) -> bytes:
    tokens: list[str] = []

    async def note(session: RequestSession) -> None:
        tokens.append(session.csrf_token)

    await browser.visit(note)
    return tokens[0].encode()


@pytest.mark.requirement("R-43", "holds")
@UNSAFE
@pytest.mark.parametrize("line", [OURS, (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"none")])
async def test_our_own_pages_may_change_things(world: World, method: str, line: tuple[bytes, bytes]) -> None:
    browser, site = await signed_in(world), Site()

    answer = await browser.visit(app=site, method=method, headers=[line])

    assert (answer.status, subject_of(site)) == (200, ANNA)


@pytest.mark.requirement("R-43", "refuses")
@UNSAFE
@pytest.mark.parametrize("lines", FOREIGN)
async def test_pages_of_others_are_refused_before_the_application(
    world: World, method: str, lines: list[tuple[bytes, bytes]]
) -> None:
    browser, site = await signed_in(world), Site()
    world.clock.advance(IDLE / 2)

    answer = await browser.visit(app=site, method=method, headers=lines)

    assert (answer.status, answer.problem["code"], site.scopes) == (403, "forbidden", [])
    assert is_uncached(answer)
    assert answer.header("set-cookie") == []
    assert "touch" not in world.journal.entries, "another site's page does not keep a session alive"


@pytest.mark.requirement("R-43", "holds")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
async def test_safe_methods_need_no_proof(world: World, method: str) -> None:
    """A link on another site leads here, signed in."""
    browser, site = await signed_in(world), Site()

    answer = await browser.visit(app=site, method=method, headers=[(b"sec-fetch-site", b"cross-site")])

    assert (answer.status, subject_of(site)) == (200, ANNA)


@pytest.mark.requirement("R-43", "holds")
async def test_without_a_session_there_is_nothing_to_protect(world: World) -> None:
    for cookie in (None, b"junk"):
        site = Site()
        answer = await Browser(world, cookie).visit(app=site, method="POST", headers=FOREIGN[0])
        assert (answer.status, subject_of(site)) == (200, "")


@pytest.mark.requirement("R-43", "refuses")
async def test_a_session_of_nobody_is_protected_too(world: World) -> None:
    browser = Browser(world)
    await token_of(browser)

    assert (await browser.visit(method="POST", headers=FOREIGN[0])).status == 403


@pytest.mark.requirement("R-44", "holds")
@pytest.mark.requirement("R-43", "holds")
async def test_with_neither_header_the_sessions_token_is_enough(world: World) -> None:
    for browser in (await signed_in(world), Browser(world)):
        token = await token_of(browser)
        answer = await browser.visit(method="POST", headers=[(b"x-csrf-token", token)])
        assert answer.status == 200


@pytest.mark.requirement("R-44", "refuses")
async def test_the_token_of_another_session_is_not_and_no_token_outweighs_a_foreign_origin(world: World) -> None:
    """CVE-2017-12159."""
    browser, other = await signed_in(world), await signed_in(world)
    own, others = await token_of(browser), await token_of(other)
    refused = [
        [(b"x-csrf-token", others)],
        [(b"x-csrf-token", own[:-1])],
        [(b"x-csrf-token", own), (b"x-csrf-token", own)],
        [(b"x-csrf-token", own), (b"origin", b"https://evil.example")],
        [(b"x-csrf-token", own), (b"sec-fetch-site", b"cross-site")],
        [(b"x-csrf-token", "é".encode())],
    ]

    assert [(await browser.visit(method="POST", headers=lines)).status for lines in refused] == [403] * 6


@pytest.mark.requirement("R-44", "refuses")
async def test_the_token_changes_with_a_sign_in(world: World) -> None:
    browser = Browser(world)
    before = await token_of(browser)

    async def log_in(session: RequestSession) -> None:
        await session.login(ANNA)

    await browser.visit(log_in, method="POST", headers=[OURS])

    assert await token_of(browser) != before
    assert (await browser.visit(method="POST", headers=[(b"x-csrf-token", before)])).status == 403


@pytest.mark.requirement("R-43", "refuses")
@pytest.mark.parametrize("lines", FOREIGN)
async def test_nobody_is_signed_in_by_another_sites_page(world: World, lines: list[tuple[bytes, bytes]]) -> None:
    """Login CSRF: a victim that works in the attacker's account shows it everything."""
    refusals: list[Reason] = []

    async def log_in(session: RequestSession) -> None:
        with pytest.raises(Forbidden) as refused:
            await session.login(ANNA)
        refusals.append(refused.value.reason)

    answer = await Browser(world).visit(log_in, method="POST", headers=lines)

    named = any(name in (b"origin", b"sec-fetch-site") for name, _ in lines)
    assert refusals == [Reason.ORIGIN_REFUSED if named else Reason.CSRF_TOKEN_WRONG]
    assert answer.header("set-cookie") == []


@pytest.mark.requirement("R-43", "holds")
async def test_the_origins_are_an_argument_and_replace_the_issuers(world: World) -> None:
    browser = await signed_in(world)
    layer = SessionMiddleware(Site(), sessions=world.sessions, origins=iter(["https://app.example"]))

    ours = await browser.ask(layer, method="POST", headers=[(b"origin", b"https://app.example")])
    issuers = await browser.ask(layer, method="POST", headers=[OURS])

    assert (ours.status, issuers.status) == (200, 403)


@pytest.mark.requirement("R-43", "refuses")
async def test_the_host_header_decides_nothing(world: World) -> None:
    browser = await signed_in(world)
    lines = [(b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example"), (b"origin", b"https://evil.example")]

    assert (await browser.visit(method="POST", headers=lines)).status == 403


@pytest.mark.requirement("R-96", "holds")
async def test_a_websocket_of_our_own_page_is_signed_in(world: World) -> None:
    browser, site = await signed_in(world), Site()
    layer = SessionMiddleware(site, sessions=world.sessions)

    answer = await websocket(layer, headers=[*browser.lines(), OURS])

    assert (answer.accepted, subject_of(site)) == (True, ANNA)


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize(
    "lines",
    [
        [],
        [(b"origin", b"null")],
        [(b"origin", b"https://evil.example")],
        [(b"origin", b"https://api.example.evil.example")],
        [OURS, OURS],
        [(b"sec-fetch-site", b"same-origin")],
    ],
)
@pytest.mark.parametrize("denial", [True, False])
async def test_a_websocket_from_elsewhere_is_refused_before_it_is_accepted(
    world: World, lines: list[tuple[bytes, bytes]], denial: bool
) -> None:
    """Cross-site WebSocket hijacking: no CORS rule stands before a socket, and the cookie comes along."""
    browser, site = await signed_in(world), Site()
    layer = SessionMiddleware(site, sessions=world.sessions)

    answer = await websocket(layer, headers=[*browser.lines(), *lines], denial=denial)

    assert (answer.accepted, site.scopes) == (False, [])
    assert (answer.status, answer.close) == ((403, None) if denial else (None, 4403))


@pytest.mark.requirement("R-96", "holds")
async def test_a_websocket_without_a_session_is_anonymous_wherever_it_comes_from(world: World) -> None:
    site = Site()
    layer = SessionMiddleware(site, sessions=world.sessions)

    for lines in ([], [(b"cookie", b"__Host-session=junk")]):
        answer = await websocket(layer, headers=[*lines, (b"origin", b"https://evil.example")])
        assert (answer.accepted, subject_of(site)) == (True, "")


async def test_an_application_may_ask_where_a_request_comes_from(world: World) -> None:
    class Asks(Site):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            get_session(scope).check_origin()

    layer = SessionMiddleware(Asks(), sessions=world.sessions)
    assert (await http(layer, method="POST", headers=FOREIGN[0])).status == 403
