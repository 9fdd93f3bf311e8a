"""The session layer: who is found by a cookie, what becomes of it, and what every answer says."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from browsers import ISSUER, NAME, Browser, Site, is_uncached, signed_in, subject_of
from harness import USER, Recorder, drive, http, http_scope, websocket
from hypothesis import given
from hypothesis import strategies as st
from session_tools import ANNA, IDLE, LIFETIME, World, opened, value

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.middleware.request_session import RequestSession
from asgi_auth.middleware.session import SessionMiddleware, get_session
from asgi_auth.principal import Anonymous, Principal
from asgi_auth.sessions import cookie_of
from asgi_auth.stores import MemoryStores
from asgi_auth.tokens import encode, mint_id, mint_secret
from asgi_auth.wire.asgi import Message, Receive, Scope, Send
from asgi_auth.wire.cookies import SessionCookie

CHALLENGE = f'Session realm="{ISSUER}"'
CLEARED = "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(MemoryStores()) as opened_world:
        yield opened_world


async def remember(session: RequestSession) -> None:
    session["a"] = 1


async def read(session: RequestSession) -> None:
    assert session.get("a") in (None, 1)


@pytest.mark.requirement("R-38", "holds")
async def test_a_cookie_says_who_is_calling(world: World) -> None:
    browser, site = await signed_in(world), Site()

    answer = await browser.visit(app=site)

    principal = site.scopes[0]["auth"]
    assert isinstance(principal, Principal)
    assert site.scopes[0]["user"] is principal
    assert (principal.subject, principal.scheme) == (ANNA, "session")
    assert (answer.header("set-cookie"), world.journal.entries[1:]) == ([], ["get"])


async def test_without_a_cookie_there_is_no_io_and_nothing_is_added(world: World) -> None:
    site = Site(headers=[(b"cache-control", b"public"), (b"vary", b"Accept")])

    answer = await Browser(world).visit(app=site)

    assert site.scopes[0]["auth"] == Anonymous((CHALLENGE,))
    assert answer.headers == [("cache-control", "public"), ("vary", "Accept")]
    assert world.journal.entries == []
    assert len(get_session(site.scopes[0])) == 0


async def test_the_session_challenge_joins_the_others(world: World) -> None:
    site = Site()
    await Browser(world).visit(app=site, auth=Anonymous(('Bearer realm="x"',)))

    assert site.scopes[0]["auth"].challenges == ('Bearer realm="x"', CHALLENGE)


@pytest.mark.requirement("R-38", "refuses")
@pytest.mark.requirement("R-40", "refuses")
@pytest.mark.parametrize("kind", ["junk", "unknown", "expired", "ended", "two", "empty", "quoted"])
async def test_a_cookie_that_is_no_session_counts_as_absent_and_is_cleared(world: World, kind: str) -> None:
    signed = await world.sign_in()
    good = value(signed)
    cookies = {
        "junk": b"junk",
        "unknown": encode("s", mint_id(), mint_secret()).encode(),
        "expired": good,
        "ended": good,
        "two": good + b"; __Host-session=" + good,
        "empty": b"",
        "quoted": b'"' + good + b'"',
    }
    if kind == "expired":
        world.clock.advance(IDLE)
    if kind == "ended":
        await world.sessions.log_out(signed.session)
    site = Site()

    answer = await Browser(world, cookies[kind]).visit(app=site)

    assert (answer.status, site.scopes[0]["auth"]) == (200, Anonymous((CHALLENGE,)))
    assert answer.header("set-cookie") == [CLEARED]
    assert is_uncached(answer)


@pytest.mark.requirement("R-38", "refuses")
async def test_a_cookie_with_another_secret_is_absent_and_left_alone(world: World) -> None:
    """Another request may just have renewed it: clearing it would sign the browser out."""
    signed = await world.sign_in()
    site = Site()

    answer = await Browser(world, cookie_of(signed.session, mint_secret()).encode()).visit(app=site)

    assert (subject_of(site), answer.header("set-cookie")) == ("", [])
    assert is_uncached(answer)


@pytest.mark.requirement("R-100", "holds")
async def test_cookies_beyond_the_limit_count_as_absent_and_ours_is_left_alone(world: World) -> None:
    browser, site = await signed_in(world), Site()

    answer = await browser.visit(app=site, headers=[(b"cookie", b"x" * 16_384)])

    assert (subject_of(site), answer.headers, world.journal.entries) == ("", [], ["create"])


@pytest.mark.requirement("R-42", "refuses")
@pytest.mark.parametrize("line", [b"=__Host-session=", b"__host-session=", b"session=", b"x=__Host-session="])
async def test_a_cookie_that_imitates_ours_signs_nobody_in(world: World, line: bytes) -> None:
    good, site = value(await world.sign_in()), Site()

    answer = await Browser(world).visit(app=site, headers=[(b"cookie", line + good)])

    assert (subject_of(site), answer.header("set-cookie")) == ("", [])


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("verb", ["get", "touch"])
async def test_a_store_that_fails_is_503_and_not_anonymous(world: World, verb: str) -> None:
    browser, site = await signed_in(world), Site()
    world.clock.advance(IDLE / 2)

    async def down() -> None:
        raise StoreUnavailable

    world.before(verb, down)
    answer = await browser.visit(app=site)

    assert (answer.status, answer.problem["code"], answer.header("retry-after")) == (503, "unavailable", ["1"])
    assert (site.scopes, is_uncached(answer), answer.header("set-cookie")) == ([], True, [])


@pytest.mark.requirement("R-41", "holds")
@pytest.mark.requirement("R-40", "holds")
async def test_the_first_change_makes_a_session_and_one_cookie(world: World) -> None:
    browser = Browser(world)

    first = await browser.visit(remember)
    world.clock.advance(10)
    second = await browser.visit(read)

    (line,) = first.header("set-cookie")
    attributes = line.split("; ")
    assert attributes[1:] == ["Path=/", f"Max-Age={LIFETIME:.0f}", "HttpOnly", "Secure", "SameSite=Lax"]
    assert line.startswith("__Host-session=s_")
    assert len(attributes[0]) <= 4096
    assert (second.header("set-cookie"), is_uncached(first), is_uncached(second)) == ([], True, True)
    assert world.journal.entries == ["create", "get"]


@pytest.mark.requirement("R-45", "holds")
@pytest.mark.requirement("R-45", "refuses")
@pytest.mark.parametrize(
    ("own", "vary"),
    [
        ([], ["Cookie"]),
        ([(b"Cache-Control", b"public, max-age=60")], ["Cookie"]),
        ([(b"cache-control", b"public"), (b"CACHE-CONTROL", b"immutable")], ["Cookie"]),
        ([(b"vary", b"Accept")], ["Accept", "Cookie"]),
        ([(b"Vary", b"Accept , cookie")], ["Accept , cookie"]),
        ([(b"vary", b"*")], ["*"]),
        ([(b"vary", b"X-Cookie")], ["X-Cookie", "Cookie"]),
    ],
)
@pytest.mark.parametrize("how", ["cookie", "dead cookie", "written", "read", "csrf token", "nothing"])
async def test_no_cache_keeps_what_a_session_was_part_of(
    world: World, own: list[tuple[bytes, bytes]], vary: list[str], how: str
) -> None:
    """CVE-2023-30861 and its kin: a cache served one's session cookie to another."""

    async def token(session: RequestSession) -> None:
        assert session.csrf_token

    handlers: dict[str, Any] = {"written": remember, "read": read, "csrf token": token}
    browser = await signed_in(world) if how == "cookie" else Browser(world, b"x" if how == "dead cookie" else None)
    site = Site(handlers[how], own) if how in handlers else Site(headers=own)

    answer = await browser.visit(app=site)

    if how == "nothing":
        assert answer.headers == [(name.decode().lower(), text.decode()) for name, text in own]
    else:
        assert answer.header("cache-control") == ["no-store"]
        assert answer.header("vary") == vary


@pytest.mark.requirement("R-45", "holds")
@pytest.mark.requirement("R-45", "refuses")
async def test_an_answer_that_only_put_the_end_off_is_not_cached_either(world: World) -> None:
    """CVE-2026-27205: a refresh-only write went without the headers."""
    browser = await signed_in(world)
    world.clock.advance(IDLE / 20)

    answer = await browser.visit()

    assert world.journal.entries == ["create", "get", "touch"]
    assert (is_uncached(answer), answer.header("set-cookie")) == (True, [])


async def test_a_request_soon_after_writes_nothing(world: World) -> None:
    browser = await signed_in(world)
    world.clock.advance(IDLE / 20 - 1)
    await browser.visit(read)

    assert world.journal.entries == ["create", "get"]


@pytest.mark.requirement("R-40", "holds")
async def test_whoever_comes_back_in_time_stays_and_the_cookie_is_not_sent_again(world: World) -> None:
    browser, site = await signed_in(world), Site()
    for _ in range(10):
        world.clock.advance(IDLE - 1)
        answer = await browser.visit(app=site)
        assert (subject_of(site), answer.header("set-cookie")) == (ANNA, [])


async def test_explicit_beats_ambient(world: World) -> None:
    """With a token or a key the cookie is not read, not even a bad one."""
    for cookie in (value(await world.sign_in()), b"junk"):
        site = Site()
        world.journal.entries.clear()

        answer = await Browser(world, cookie).visit(app=site, auth=USER)

        assert (site.scopes[0]["auth"], answer.headers, world.journal.entries) == (USER, [], [])
        assert (len(get_session(site.scopes[0])), get_session(site.scopes[0]).session_id) == (0, None)


async def test_a_foreign_object_in_auth_counts_as_absent(world: World) -> None:
    browser, site = await signed_in(world), Site()
    await browser.visit(app=site, auth=object())
    await Browser(world).visit(app=site, auth="somebody")

    assert [scope["auth"].identity for scope in site.scopes] == [ANNA, ""]


async def test_a_session_layer_within_another_reads_the_cookie_again(world: World) -> None:
    browser, site = await signed_in(world), Site(remember)
    inner = SessionMiddleware(site, sessions=world.sessions)

    await browser.visit(app=inner)
    await browser.visit(read)

    assert subject_of(site) == ANNA
    world.before("get", nothing, lambda: world.sessions.end_others(ANNA, None))
    await browser.visit(app=inner)
    assert subject_of(site) == ""


async def nothing() -> None:
    """Happens before the outer layer's read."""


async def test_a_layer_keeps_nothing_of_what_others_put_into_auth(world: World) -> None:
    class Foreign:
        pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Remember nothing."""

    layer = SessionMiddleware(app, sessions=world.sessions)
    foreign = Foreign()
    gone = weakref.ref(foreign)
    await http(layer, auth=foreign)
    del foreign
    gc.collect()

    assert gone() is None


async def test_the_scope_it_was_given_is_not_changed(world: World) -> None:
    browser = await signed_in(world)
    scope = http_scope(headers=browser.lines())
    before = dict(scope)

    await drive(SessionMiddleware(Site(remember), sessions=world.sessions), scope)

    assert scope == before


async def test_a_message_passes_without_a_task_switch(world: World) -> None:
    """The plain ``send`` gives the server's own awaitable back: nothing of ours is awaited."""
    passed: list[tuple[Awaitable[None], Awaitable[None]]] = []
    server: list[Awaitable[None]] = []

    class Sender:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            for message in (
                {"type": "http.response.start", "status": 200, "headers": []},
                {"type": "http.response.body", "body": b"x"},
            ):
                given = send(message)
                passed.append((given, server[-1]))
                await given

    def send(message: Message) -> Awaitable[None]:
        server.append(asyncio.sleep(0))
        return server[-1]

    async def receive() -> Message:
        return {"type": "http.request"}

    browser = await signed_in(world)
    layer = SessionMiddleware(Sender(), sessions=world.sessions)
    scope = http_scope(headers=browser.lines())
    await layer(scope, receive, send)

    assert len(passed) == 2
    assert all(given is theirs for given, theirs in passed)


async def test_lifespan_passes_and_what_no_guard_understands_is_refused(world: World) -> None:
    recorder = Recorder()
    layer = SessionMiddleware(recorder, sessions=world.sessions)

    await drive(layer, {"type": "lifespan"})
    assert [scope["type"] for scope in recorder.scopes] == ["lifespan"]
    with pytest.raises(ConfigurationError):
        await drive(layer, {"type": "webtransport"})


def test_without_a_session_layer_there_is_no_session_to_get() -> None:
    for scope in (http_scope(), http_scope(session={})):
        with pytest.raises(ConfigurationError, match="SessionMiddleware"):
            get_session(scope)


@pytest.mark.requirement("R-41", "refuses")
@pytest.mark.parametrize("issuer", ["https://api.example", "https://localhost", "https://127.0.0.1"])
async def test_a_cookie_without_secure_is_refused_where_the_issuer_is_no_loopback_http(issuer: str) -> None:
    async with opened(MemoryStores(), issuer=issuer) as world:
        with pytest.raises(ConfigurationError, match="Secure"):
            SessionMiddleware(Site(), sessions=world.sessions, cookie=SessionCookie(secure=False))


@pytest.mark.requirement("R-41", "holds")
@pytest.mark.parametrize("issuer", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
async def test_on_this_machine_the_cookie_may_go_without_secure_and_its_prefix(issuer: str) -> None:
    async with opened(MemoryStores(), issuer=issuer) as world:
        layer = SessionMiddleware(Site(remember), sessions=world.sessions, cookie=SessionCookie(secure=False))
        answer = await http(layer)

    (line,) = answer.header("set-cookie")
    assert line.startswith("session=s_")
    assert "Secure" not in line


@pytest.mark.parametrize("origins", [["*"], ["https://app.example/"], "https://app.example", ["null"]])
async def test_origins_that_no_browser_sends_are_a_configuration_error(world: World, origins: Any) -> None:
    with pytest.raises(ConfigurationError):
        SessionMiddleware(Site(), sessions=world.sessions, origins=origins)


lines_of = st.lists(
    st.tuples(
        st.sampled_from([b"cookie", b"origin", b"sec-fetch-site", b"x-csrf-token", b"user-agent"]),
        st.binary(max_size=60)
        | st.sampled_from([NAME, NAME + b"=x", b"null", ISSUER.encode(), b"same-origin", NAME + b"=s_" + b"a" * 72]),
    ),
    max_size=6,
)


@pytest.mark.requirement("R-17", "refuses")
@given(lines=lines_of, method=st.sampled_from(["GET", "POST", "post", "\ud800"]), good=st.booleans())
async def test_whatever_bytes_come_the_answer_is_the_applications_or_403(
    lines: list[tuple[bytes, bytes]], method: str, good: bool
) -> None:
    async with opened(MemoryStores()) as world:
        browser = await signed_in(world) if good else Browser(world)
        answer = await browser.visit(remember, headers=lines, method=method)
        layer = SessionMiddleware(Site(), sessions=world.sessions)
        socket = await websocket(layer, headers=[*browser.lines(), *lines])

    assert answer.status in {200, 403}
    assert socket.accepted or socket.status == 403
