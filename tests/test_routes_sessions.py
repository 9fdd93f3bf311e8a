"""Sign-in by cookie, and ``/auth/sessions``: list, end one, end the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from session_tools import JournalStores
from sites import CROWD, EMAIL, ISSUER, NEW_PASSWORD, PASSWORD, Site, api, services, site, visiting

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.stack import AuthStack, mount
from asgi_auth.stores import MemoryStores, SQLiteStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import encode, mint_id, mint_secret
from asgi_auth.wire.cookies import SessionCookie

OURS = {"Origin": ISSUER}
NAME = "__Host-session"
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
SIGN_IN = {"email": EMAIL, "password": PASSWORD, "session": True}


@pytest.fixture
async def visit(clock: FakeClock) -> AsyncIterator[Site]:
    async with site(clock) as opened:
        await opened.register()
        yield opened


@asynccontextmanager
async def browser(visit: Site, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(visit.app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=OURS | headers) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/auth/login", json=SIGN_IN | more)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def status(client: httpx.AsyncClient, path: str = "/private") -> int:
    return (await client.get(path)).status_code


@pytest.mark.requirement("R-41", "holds")
@pytest.mark.requirement("R-43", "holds")
async def test_a_login_with_session_gives_a_cookie_instead_of_tokens(visit: Site, clock: FakeClock) -> None:
    async with browser(visit) as anna:
        answer = await anna.post("/auth/login", json=SIGN_IN)
        me = (await anna.get("/auth/me")).json()

    begun = answer.json()
    assert (answer.status_code, begun.keys()) == (200, {"subject", "session_id", "expires_at", "csrf_token"})
    assert begun["expires_at"] == clock.now() + 12 * 3600
    (line,) = (line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{NAME}=s_"))
    assert line.split("; ")[1:] == ["Path=/", "Max-Age=43200", "HttpOnly", "Secure", "SameSite=Lax"]
    assert (answer.headers.get_list("cache-control"), answer.headers.get_list("vary")) == (["no-store"], ["Cookie"])
    assert (me["subject"], me["email"], me["scheme"], me["client_id"]) == (begun["subject"], EMAIL, "session", None)
    assert (me["roles"], me["scopes"]) == (["user"], ["read:articles", "write:articles"])


async def test_without_session_or_with_false_it_gives_tokens_and_no_session(visit: Site) -> None:
    async with browser(visit) as anna:
        for more in ({}, {"session": False}):
            answer = await anna.post("/auth/login", json={"email": EMAIL, "password": PASSWORD} | more)
            assert "access_token" in answer.json()
            assert f"{NAME}=" not in str(answer.headers)


@pytest.mark.parametrize("session", [1, "true", None, []])
async def test_session_is_a_boolean(visit: Site, session: object) -> None:
    async with browser(visit) as anna:
        answer = await anna.post("/auth/login", json=SIGN_IN | {"session": session})

    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "session", "code": "not_a_boolean"}])


@pytest.mark.requirement("R-43", "refuses")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": "a" * 43},
    ],
)
async def test_a_login_by_cookie_from_another_sites_page_is_refused(visit: Site, headers: dict[str, str]) -> None:
    """Before the password is looked at: the page of an attacker learns nothing."""
    for password in (PASSWORD, "a wrong password"):
        answer = await visit.client.post("/auth/login", json=SIGN_IN | {"password": password}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "set-cookie" not in answer.headers


@pytest.mark.requirement("R-43", "holds")
async def test_a_login_by_cookie_is_our_own_pages_or_shows_the_token_of_a_session_of_nobody(visit: Site) -> None:
    answer = await visit.client.post("/auth/login", json=SIGN_IN, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    token = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert (await visit.client.post("/auth/login", json=SIGN_IN, headers=token)).status_code == 200


@pytest.mark.requirement("R-57", "refuses")
async def test_a_wrong_password_is_one_answer_and_no_cookie(visit: Site) -> None:
    async with browser(visit) as anna:
        answers = [
            await anna.post("/auth/login", json=SIGN_IN | more)
            for more in ({"password": "a wrong password"}, {"email": "nobody@example.com"})
        ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["www-authenticate"] == f'Session realm="{ISSUER}"'
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_an_old_access_token_does_not_block_a_login_by_cookie(visit: Site) -> None:
    async with browser(visit, Authorization="Bearer expired") as anna:
        await sign_in(anna)
        assert NAME in anna.cookies


@pytest.mark.requirement("R-39", "refuses")
async def test_a_planted_cookie_is_dead_after_the_login(visit: Site) -> None:
    async with browser(visit) as attacker, browser(visit) as victim:
        await sign_in(attacker)
        planted = attacker.cookies[NAME]
        await visit.auth.accounts.register("victim@example.com", PASSWORD)
        victim.cookies.set(NAME, planted, domain="api.example")
        begun = await sign_in(victim, email="victim@example.com")

        assert (await status(attacker), await status(victim)) == (401, 200)
        assert begun["session_id"] not in planted


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.requirement("R-46", "refuses")
async def test_logging_out_by_cookie_ends_the_session_and_clears_the_cookie(visit: Site) -> None:
    async with browser(visit) as anna, browser(visit) as thief:
        await sign_in(anna)
        thief.cookies.update(anna.cookies)
        answer = await anna.post("/auth/logout")

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["set-cookie"] == f"{NAME}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
        assert (await thief.post("/auth/logout")).status_code == 204
        assert (await status(anna), await status(thief)) == (401, 401)
        assert (await anna.post("/auth/logout")).status_code == 401


@pytest.mark.requirement("R-46", "refuses")
@pytest.mark.requirement("R-43", "refuses")
async def test_logging_out_is_a_post_of_our_own_pages(visit: Site) -> None:
    async with browser(visit) as anna:
        await sign_in(anna)
        got = await anna.get("/auth/logout")
        foreign = await anna.post("/auth/logout", headers={"Origin": "https://evil.example"})

        assert (got.status_code, foreign.status_code, await status(anna)) == (405, 403, 200)


@pytest.mark.requirement("R-46", "refuses")
async def test_random_cookies_end_nothing(visit: Site) -> None:
    """CVE-2025-71402, CVE-2026-121802."""
    async with browser(visit) as anna, browser(visit) as thief:
        begun = await sign_in(anna)
        for cookie in ("junk", encode("s", mint_id(), mint_secret()), anna.cookies[NAME][:-1] + "0"):
            thief.cookies.set(NAME, cookie, domain="api.example")
            assert (await thief.post("/auth/logout")).status_code == 204
            assert NAME not in thief.cookies
        thief.cookies.set(NAME, encode("s", begun["session_id"], mint_secret()), domain="api.example")
        assert (await thief.post("/auth/logout")).status_code == 409

        assert await status(anna) == 200


async def test_beside_an_access_token_a_logout_does_not_read_the_cookie(visit: Site) -> None:
    tokens = await visit.login()
    async with browser(visit) as anna:
        await sign_in(anna)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}", "Origin": "https://evil.example"}
        answer = await anna.post("/auth/logout", headers=bearer)
        twice = await anna.post("/auth/logout", headers=[("Authorization", "Bearer a"), ("Authorization", "Bearer b")])
        other = await anna.post("/auth/logout", headers={"Authorization": "Basic eDp5", "Origin": ISSUER})

        assert (answer.status_code, twice.status_code, other.status_code) == (204, 400, 204)
        assert answer.headers.get_list("set-cookie") == []
        assert await status(anna) == 401, "Basic is nobody's of ours: the cookie was meant"
    assert (await visit.get("/private", tokens["access_token"])).status_code == 401


@pytest.mark.requirement("R-31", "refuses")
async def test_a_logout_that_the_store_did_not_take_is_503_and_can_be_repeated(clock: FakeClock) -> None:
    stores = JournalStores(MemoryStores())

    async def down() -> None:
        raise StoreUnavailable

    async with site(clock, stores=stores) as visit:
        await visit.register()
        async with browser(visit) as anna:
            await sign_in(anna)
            stores.journal.before["delete"] = [down]
            answer = await anna.post("/auth/logout")

            assert (answer.status_code, answer.headers.get_list("set-cookie")) == (503, [])
            assert (await anna.post("/auth/logout")).status_code == 204
            assert await status(anna) == 401


@pytest.mark.requirement("R-52", "holds")
@pytest.mark.requirement("R-39", "holds")
async def test_a_new_password_answers_with_a_fresh_session_and_ends_the_others(visit: Site) -> None:
    async with browser(visit) as anna, browser(visit) as elsewhere, browser(visit) as thief:
        first = await sign_in(anna)
        await sign_in(elsewhere)
        thief.cookies.update(anna.cookies)
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        answer = await anna.post("/auth/password", json=change)

        assert (answer.status_code, len(answer.headers.get_list("set-cookie"))) == (200, 1)
        assert answer.json().keys() == first.keys()
        assert answer.json()["csrf_token"] != first["csrf_token"]
        assert [await status(client) for client in (anna, elsewhere, thief)] == [200, 401, 401]


@pytest.mark.requirement("R-52", "refuses")
async def test_a_wrong_current_password_changes_nothing(visit: Site) -> None:
    async with browser(visit) as anna:
        await sign_in(anna)
        change = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        answer = await anna.post("/auth/password", json=change)

        assert (answer.status_code, answer.headers.get_list("set-cookie"), await status(anna)) == (401, [], 200)


@pytest.mark.requirement("R-46", "holds")
async def test_the_owner_sees_its_sessions_and_ends_one_and_the_others(visit: Site, clock: FakeClock) -> None:
    async with browser(visit, **FIREFOX) as anna, browser(visit) as phone, browser(visit) as tablet:
        first = await sign_in(anna)
        clock.advance(10)
        second = await sign_in(phone)
        await sign_in(tablet)
        listed = (await anna.get("/auth/sessions")).json()["sessions"]

        assert [session["is_current"] for session in listed] == [False, False, True]
        assert listed[2] == {
            "session_id": first["session_id"],
            "device": "Firefox on Linux",
            "created_at": clock.now() - 10,
            "last_seen_at": clock.now() - 10,
            "expires_at": first["expires_at"],
            "is_current": True,
        }
        assert (await anna.delete(f"/auth/sessions/{second['session_id']}")).status_code == 204
        assert [await status(client) for client in (anna, phone, tablet)] == [200, 401, 200]
        assert (await anna.delete("/auth/sessions")).status_code == 204
        assert [await status(client) for client in (anna, phone, tablet)] == [200, 401, 401]
        assert len((await anna.get("/auth/sessions")).json()["sessions"]) == 1


async def test_ending_ones_own_session_by_its_id_is_a_logout(visit: Site) -> None:
    async with browser(visit) as anna:
        begun = await sign_in(anna)
        answer = await anna.delete(f"/auth/sessions/{begun['session_id']}")

        assert (answer.status_code, NAME in anna.cookies, await status(anna)) == (204, False, 401)


@pytest.mark.requirement("R-36", "refuses")
@pytest.mark.requirement("R-46", "refuses")
async def test_other_peoples_sessions_and_unknown_ones_are_one_404(visit: Site) -> None:
    await visit.register("bob@example.com")
    async with browser(visit) as anna, browser(visit) as bob:
        begun = await sign_in(anna)
        await sign_in(bob, email="bob@example.com")
        paths = [begun["session_id"], mint_id(), "junk", "a" * 500]
        answers = [await bob.delete(f"/auth/sessions/{path}") for path in paths]

        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert (await status(anna), len((await bob.get("/auth/sessions")).json()["sessions"])) == (200, 1)


@pytest.mark.requirement("R-43", "refuses")
async def test_another_sites_page_ends_no_session(visit: Site) -> None:
    async with browser(visit) as anna, browser(visit) as phone:
        await sign_in(anna)
        begun = await sign_in(phone)
        for path in ("/auth/sessions", f"/auth/sessions/{begun['session_id']}"):
            answer = await anna.delete(path, headers={"Origin": "https://evil.example"})
            assert answer.status_code == 403

        assert await status(phone) == 200


async def test_a_caller_with_tokens_ends_all_sessions(visit: Site) -> None:
    token = (await visit.login())["access_token"]
    async with browser(visit) as anna:
        await sign_in(anna)
        assert [one["is_current"] for one in (await visit.get("/auth/sessions", token)).json()["sessions"]] == [False]
        answer = await visit.client.delete("/auth/sessions", headers={"Authorization": f"Bearer {token}"})

        assert (answer.status_code, await status(anna)) == (204, 401)


@pytest.mark.requirement("R-36", "refuses")
async def test_a_narrowed_credential_manages_no_sessions(visit: Site) -> None:
    subject = (await visit.get("/auth/me", (await visit.login())["access_token"])).json()["subject"]
    narrowed = visit.auth.access_tokens.issue(
        subject=subject, client_id="first-party", scopes={"read:articles"}, roles=(), epoch=0, auth_time=None
    ).value
    key = (await visit.auth.api_keys.create(subject, "script")).value
    async with browser(visit) as anna:
        begun = await sign_in(anna)
        for headers in ({"Authorization": f"Bearer {narrowed}"}, {"X-API-Key": key}):
            for method, path in (
                ("GET", "/auth/sessions"),
                ("DELETE", "/auth/sessions"),
                ("DELETE", f"/auth/sessions/{begun['session_id']}"),
            ):
                answer = await visit.client.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

        assert await status(anna) == 200


async def test_a_session_manages_keys(visit: Site) -> None:
    async with browser(visit) as anna:
        await sign_in(anna)
        made = await anna.post("/auth/api-keys", json={"name": "script"})
        foreign = await anna.post("/auth/api-keys", json={"name": "x"}, headers={"Origin": "https://evil.example"})

    assert (made.status_code, foreign.status_code) == (201, 403)


@pytest.mark.requirement("R-40", "refuses")
async def test_it_ends_by_itself(visit: Site, clock: FakeClock) -> None:
    async with browser(visit) as anna:
        await sign_in(anna)
        clock.advance(1799)
        assert await status(anna) == 200
        clock.advance(1800)
        answer = await anna.get("/private")

    assert (answer.status_code, "Max-Age=0" in answer.headers["set-cookie"]) == (401, True)


async def test_mount_alone_is_complete() -> None:
    auth = services()
    async with visiting(mount(api(), auth, origins=["https://app.example"]), auth) as visit:
        await visit.register()
        async with browser(visit, Origin="https://app.example") as anna:
            await sign_in(anna)
            assert (await anna.get("/auth/me")).json()["scheme"] == "session"
            assert (await anna.post("/auth/logout", headers=OURS)).status_code == 403
            assert (await anna.post("/auth/logout")).status_code == 204


async def test_the_stack_takes_the_cookies_name_and_the_origins() -> None:
    auth = services(issuer="http://localhost:8000")
    app = AuthStack(
        api(), auth, cookie=SessionCookie(name="sid", secure=False), origins=iter(["http://localhost:3000"])
    )
    async with visiting(app, auth) as visit:
        await visit.register()
        answer = await visit.client.post("/auth/login", json=SIGN_IN, headers={"Origin": "http://localhost:3000"})
        refused = await visit.client.post("/auth/login", json=SIGN_IN, headers={"Origin": "http://localhost:8000"})

    assert [line.split("=")[0] for line in answer.headers.get_list("set-cookie")] == ["sid-device", "sid"]
    assert refused.status_code == 403
    with pytest.raises(ConfigurationError):
        AuthStack(api(), services(), cookie=SessionCookie(secure=False))
    with pytest.raises(ConfigurationError):
        AuthStack(api(), services(), origins=["https://app.example/"])


@pytest.mark.requirement("R-38", "refuses")
@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_nothing_that_is_stored_after_a_login_holds_a_secret_of_the_cookie(tmp_path: Path, backend: str) -> None:
    """CVE-2020-15105."""
    stores: Any = MemoryStores() if backend == "memory" else SQLiteStores(tmp_path / "auth.db")
    async with site(stores=stores) as visit:
        await visit.register()
        async with browser(visit) as anna:
            begun = await sign_in(anna)
            cookie = anna.cookies[NAME]
            await status(anna)
        if backend == "memory":
            kept = repr([vars(store) for store in vars(stores).values()])
            kept += repr([session.data for session in stores.sessions._sessions.values()])
        else:
            kept = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("latin-1")

    assert begun["session_id"] in kept
    for secret in (cookie, cookie.split("_")[2], cookie.split("_")[2][:43], begun["csrf_token"], PASSWORD):
        assert secret not in kept


@pytest.mark.requirement("R-39", "refuses")
async def test_of_ten_concurrent_logins_with_one_cookie_each_browser_has_its_own_session() -> None:
    async with site(lockout=CROWD) as visit, browser(visit) as first:
        await visit.register()
        await sign_in(first)
        planted = first.cookies[NAME]
        line = {"Cookie": f"{NAME}={planted}"}
        answers = await asyncio.gather(
            *(visit.client.post("/auth/login", json=SIGN_IN, headers=OURS | line) for _ in range(10))
        )
        cookies = {answer.headers.get_list("set-cookie")[1].split(";")[0] for answer in answers}

        assert (len(cookies), [answer.status_code for answer in answers]) == (10, [200] * 10)
        assert await status(first) == 401
        visit.client.cookies.clear()
        alive = [(await visit.client.get("/private", headers={"Cookie": cookie})).status_code for cookie in cookies]
        assert alive.count(200) == len({json.loads(answer.content)["session_id"] for answer in answers}) == 10
