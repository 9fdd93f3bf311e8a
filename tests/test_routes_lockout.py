"""Guessing at ``/auth/login`` and ``/auth/password``: what is answered, and by which cookie a device is known."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from argon2_ledger import counted_argon2
from harness import http_scope
from sites import EMAIL, ISSUER, NEW_PASSWORD, PASSWORD, POLICY, Site, api, services, site, visiting

from asgi_auth.lockout import Limit, Lockout
from asgi_auth.stack import AuthStack
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import is_secret, mint_secret
from asgi_auth.wire.asgi import Scope
from asgi_auth.wire.cookies import SessionCookie

K = 3
STRICT = Lockout(account=(Limit(K, 900),), pair=(), address=(), everybody=())
DEVICE = "__Host-session-device"
OURS = {"Origin": ISSUER}


@asynccontextmanager
async def opened(limits: Lockout | None = STRICT, **options: Any) -> AsyncIterator[Site]:
    async with site(lockout=limits, **options) as visit:
        await visit.register()
        yield visit


async def login(visit: Site, password: str = PASSWORD, email: str = EMAIL, **headers: str) -> httpx.Response:
    visit.client.cookies.clear()
    document = {"email": email, "password": password}
    return await visit.client.post("/auth/login", json=document, headers=headers)


async def statuses(visit: Site, password: str, times: int, **headers: str) -> list[int]:
    return [(await login(visit, password, **headers)).status_code for _ in range(times)]


def told(answer: httpx.Response) -> tuple[int, Sequence[tuple[str, str]], bytes]:
    lines = [line for line in answer.headers.multi_items() if line[0] != "date"]
    return answer.status_code, lines, answer.content


def device_of(answer: httpx.Response) -> str:
    (line,) = (line for line in answer.headers.get_list("set-cookie") if line.startswith(DEVICE))
    return line.split(";")[0].partition("=")[2]


@pytest.mark.requirement("R-57", "holds")
@pytest.mark.requirement("R-57", "refuses")
async def test_unknown_wrong_locked_and_disabled_are_one_answer_after_one_hash() -> None:
    """25 interleaved logins of each; the last 22 of a class find its lane closed. CVE-2024-39329, CVE-2021-29621."""
    async with opened() as visit:
        await visit.auth.accounts.disable(await visit.register("disabled@example.com"))
        await visit.register("locked@example.com")
        await visit.register("right@example.com")
        for email in ("locked@example.com", "right@example.com"):
            for _ in range(K):
                await login(visit, "a wrong password", email)
        classes = {
            "nobody@example.com": PASSWORD,
            EMAIL: "a wrong password",
            "locked@example.com": "a wrong password",
            "right@example.com": PASSWORD,
            "disabled@example.com": PASSWORD,
        }
        answers, work = [], []
        for _ in range(25):
            for email, password in classes.items():
                with counted_argon2() as ledger:
                    answers.append(told(await login(visit, password, email, **OURS)))
                work.append([*ledger])

    assert answers == [answers[0]] * len(answers)
    assert answers[0][0] == 401
    assert work == [[8]] * len(work)


@pytest.mark.requirement("R-57", "refuses")
@pytest.mark.parametrize("path", ["login", "password"])
async def test_an_address_that_failed_too_often_is_429_for_whatever_it_asks(path: str) -> None:
    """With one Retry-After, no challenge, and no hash; also for the right password."""
    async with opened(None) as visit:
        tokens = await visit.login()
        assert await statuses(visit, "a wrong password", 5) == [401] * 5
        documents: dict[str, list[dict[str, Any]]] = {
            "login": [
                {"email": EMAIL, "password": PASSWORD},
                {"email": "nobody@example.com", "password": PASSWORD},
                {"email": "no address", "password": ""},
                {"email": EMAIL, "password": PASSWORD, "session": True},
            ],
            "password": [
                {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
                {"current_password": "wrong", "new_password": ""},
            ],
        }
        visit.client.headers["Origin"] = ISSUER
        with counted_argon2() as ledger:
            answers = [await visit.post(path, document, token=tokens["access_token"]) for document in documents[path]]

    assert [told(answer) for answer in answers] == [told(answers[0])] * len(answers)
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (429, "60")
    assert answers[0].json()["code"] == "too_many_requests"
    assert ("www-authenticate" in answers[0].headers, ledger) == (False, [])


@pytest.mark.requirement("R-56", "holds")
async def test_an_address_that_waited_is_let_in_again() -> None:
    clock = FakeClock()
    async with opened(None, clock=clock) as visit:
        await statuses(visit, "a wrong password", 5)
        clock.advance(59.75)
        assert await statuses(visit, PASSWORD, 1) == [429]
        clock.advance(0.25)
        assert await statuses(visit, PASSWORD, 1) == [200]


@pytest.mark.requirement("R-56", "refuses")
async def test_a_browser_that_has_signed_in_before_is_not_shut_out_by_strangers() -> None:
    """Its cookie says so, however it signs in; what strangers do meanwhile, it is let in; its own failures count."""
    async with opened() as visit:
        device = device_of(await login(visit, **OURS))
        cookie = {"Cookie": f"{DEVICE}={device}"}

        assert await statuses(visit, "a wrong password", K + 1, **OURS) == [401] * (K + 1)

        assert await statuses(visit, PASSWORD, 1, **OURS) == [401]
        assert await statuses(visit, PASSWORD, 20, **cookie) == [200] * 20
        session = {"email": EMAIL, "password": PASSWORD, "session": True}
        answer = await visit.client.post("/auth/login", json=session, headers=OURS | cookie)
        assert (answer.status_code, device_of(answer)) == (200, device)
        assert await statuses(visit, "a wrong password", K, **cookie) == [401] * K
        assert await statuses(visit, PASSWORD, 1, **cookie) == [401]
        assert await visit.auth.lockout.clear(email=EMAIL) == 2 * K
        assert await statuses(visit, PASSWORD, 1) == [200]


@pytest.mark.requirement("R-41", "holds")
async def test_the_devices_cookie_is_kept_like_the_sessions_for_half_a_year() -> None:
    async with opened() as visit:
        answers = [await login(visit, **OURS), await login(visit, **{"Sec-Fetch-Site": "same-origin"})]

    for answer in answers:
        (line,) = answer.headers.get_list("set-cookie")
        value, *attributes = line.split("; ")
        assert is_secret(value.removeprefix(f"{DEVICE}="))
        assert attributes == ["Path=/", "Max-Age=15552000", "HttpOnly", "Secure", "SameSite=Lax"]
        assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Cookie")


async def test_a_program_has_no_device_and_a_failed_login_names_none() -> None:
    """Else programs that keep no cookies would drive out the devices of browsers."""
    async with opened() as visit:
        answers = [await login(visit), await login(visit, "a wrong password", **OURS)]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_where_no_device_is_known_no_cookie_is_set() -> None:
    async with opened(Lockout(devices_per_account=0)) as visit:
        assert "set-cookie" not in (await login(visit, **OURS)).headers


@pytest.mark.requirement("R-42", "refuses")
async def test_two_device_cookies_and_what_only_looks_like_one_are_strangers() -> None:
    async with opened() as visit:
        device = device_of(await login(visit, **OURS))
        await statuses(visit, "a wrong password", K)

        for cookie in (
            f"{DEVICE}={device}; {DEVICE}={device}",
            f"{DEVICE}={device}; {DEVICE}={mint_secret()}",
            f"session-device={device}",
            f'{DEVICE}="{device}"',
            f"{DEVICE}={device}x",
            f"{DEVICE}=",
            f"=__Host-session-device={device}",
        ):
            assert await statuses(visit, PASSWORD, 1, Cookie=cookie) == [401]
        assert await statuses(visit, PASSWORD, 1, Cookie=f"a=b;  {DEVICE}={device} ; c=d") == [200]


@pytest.mark.requirement("R-55", "refuses")
async def test_who_is_signed_in_can_guess_the_current_password_as_often_as_a_stranger() -> None:
    """A stolen access token opens no way around the limit; strangers in turn do not close this one."""
    clock = FakeClock()
    async with opened(clock=clock) as visit:
        tokens = await visit.login()
        await statuses(visit, "a wrong password", K + 1)

        documents = [{"current_password": "wrong", "new_password": NEW_PASSWORD}] * K
        documents += [{"current_password": PASSWORD, "new_password": NEW_PASSWORD}]
        answers = [await visit.post("password", document, token=tokens["access_token"]) for document in documents]
        assert [told(answer) for answer in answers] == [told(answers[0])] * (K + 1)
        assert answers[0].status_code == 401
        clock.advance(899.75)
        tokens = (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).json()
        clock.advance(0.25)
        answer = await visit.post("password", documents[-1], token=tokens["access_token"])

    assert answer.status_code == 200


async def test_failures_are_counted_by_the_address_that_the_application_says() -> None:
    """And what has no address at all has one bucket together."""

    def behind_a_proxy(scope: Scope) -> str:
        line: bytes = dict(scope["headers"])[b"x-real-ip"]
        return line.decode()

    auth = services()
    async with visiting(AuthStack(api(), auth, policy=POLICY, client_address=behind_a_proxy), auth) as visit:
        await visit.register()
        assert await statuses(visit, "wrong", 6, **{"X-Real-IP": "192.0.2.1"}) == [401] * 5 + [429]
        assert await statuses(visit, PASSWORD, 1, **{"X-Real-IP": "192.0.2.2"}) == [200]


@pytest.mark.requirement("R-56", "refuses")
async def test_all_addresses_of_one_ipv6_network_are_one_guesser() -> None:
    """And an IPv4 address is itself however it is written; another network or address is another."""
    async with opened(Lockout(address=(Limit(2, 60),))) as visit:

        async def guess(address: str) -> int:
            body = json.dumps({"email": EMAIL, "password": "a wrong password"}).encode()
            scope = http_scope(
                "/auth/login",
                method="POST",
                client=(address, 1),
                headers=[(b"host", b"api.example"), (b"content-type", b"application/json")],
            )
            messages = iter([{"type": "http.request", "body": body}])
            sent: list[Any] = []

            async def receive() -> Any:
                return next(messages)

            async def send(message: Any) -> None:
                sent.append(message)

            await visit.app(scope, receive, send)
            status: int = sent[0]["status"]
            return status

        told = [await guess(f"2001:db8::{number:x}") for number in range(1, 4)] + [await guess("2001:db8:0:1::1")]
        told += [await guess(address) for address in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2")]

    assert told == [401, 401, 429, 401, 401, 401, 429, 401]


async def test_a_custom_cookie_names_the_device_alike() -> None:
    auth = services(issuer="http://localhost:8000", lockout=STRICT)
    app = AuthStack(api(), auth, cookie=SessionCookie(name="sid", secure=False, same_site="strict"))
    async with visiting(app, auth) as visit:
        await visit.register()
        (line,) = (await login(visit, Origin="http://localhost:8000")).headers.get_list("set-cookie")

    assert line.startswith("sid-device=")
    assert line.endswith("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Strict")
