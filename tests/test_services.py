"""The services as one: put together, opened, closed, and left alone."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from sites import EMAIL, PASSWORD, services
from starlette.applications import Starlette

from asgi_auth.authorization import Roles
from asgi_auth.errors import ConfigurationError, InvalidCredentials, InvalidToken, StoreUnavailable
from asgi_auth.lockout import UNKNOWN
from asgi_auth.services import AuthServices
from asgi_auth.stores import MemoryStores, SQLiteStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.testing.contract.api_keys.programs import a_key
from asgi_auth.testing.contract.sessions.browsers import NOW, a_session

FORGOTTEN = """
import asyncio, sys
from asgi_auth.keys import SigningKeys
from asgi_auth.services import AuthServices
from asgi_auth.stores import SQLiteStores

auth = AuthServices(
    stores=SQLiteStores(sys.argv[1]), issuer="https://api.example", signing_keys=SigningKeys.generate("ES256")
)

async def use():
    await auth.ensure_open()
    await auth.accounts.register("ada@example.com", "a long walk by the sea")
    print("used", flush=True)

asyncio.run(use())
"""


class OpenStores(MemoryStores):
    """Stores that count how often they were opened and closed, and fail to open where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.failures = 0

    async def open(self) -> None:
        await asyncio.sleep(0)  # others have their turn while it connects
        if self.failures:
            self.failures -= 1
            self.events.append("failed")
            raise StoreUnavailable
        self.events.append("opened")

    async def close(self) -> None:
        self.events.append("closed")


@pytest.fixture
def stores() -> OpenStores:
    return OpenStores()


@pytest.fixture
def auth(stores: OpenStores) -> AuthServices:
    return services(stores=stores)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://api.example",
        "https://api.example/",
        "https://api.example:8443/realms/one%20two",
        "https://[2001:db8::1]",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://127.8.9.1",
        "http://[::1]:8000",
    ],
)
def test_an_issuer_is_an_https_url_or_of_this_machine(issuer: str) -> None:
    auth = services(issuer=issuer)
    assert auth.issuer == auth.audience == auth.access_tokens.realm == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "api.example",
        "https://",
        "https://[::1",
        "https://api.example:port",
        "https://api.example:0",
        "https://api.example:99999",
        "https://api.example?a",
        "https://api.example#a",
        "https://me@api.example",
        "https://api.example\n",
        " https://api.example",
        "https://api.example/a b",
        "https://api.example/\x00",
        "https://api.example/\x7f",
        'https://api.example/"',
        "https://api.example\\@evil.example",
        "https://äpi.example",
        "http://api.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://10.0.0.1",
        "ftp://localhost",
        "javascript://localhost",
    ],
)
def test_any_other_issuer_is_a_configuration_error(issuer: str) -> None:
    with pytest.raises(ConfigurationError):
        services(issuer=issuer)


@pytest.mark.requirement("R-30", "refuses")
@pytest.mark.parametrize(
    "options",
    [
        {"client_id": ""},
        {"audience": ""},
        {"access_token_lifetime": 0},
        {"access_token_lifetime": -900},
        {"access_token_lifetime": math.inf},
        {"access_token_lifetime": math.nan},
        {"refresh_token_lifetime": 0},
        {"refresh_token_lifetime": math.inf},
        {"refresh_family_lifetime": 0},
        {"refresh_family_lifetime": math.nan},
        {"families_per_subject": 0},
        {"reuse_leeway": -1},
        {"reuse_leeway": 61},
        {"max_staleness": 0},
        {"max_staleness": math.inf},
        {"default_roles": {"unknown"}},
        {"roles": Roles({}), "default_roles": {"user"}},
    ],
)
def test_what_cannot_work_is_a_configuration_error_before_the_first_request(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        services(**options)


def test_the_audience_may_differ_from_the_issuer() -> None:
    assert services(audience="https://articles.example").audience == "https://articles.example"


def test_passwords_and_policy_and_roles_have_defaults() -> None:
    auth = services(passwords=None, password_policy=None, roles=None, default_roles=())
    assert not auth.roles.is_known("user")


async def test_the_last_of_several_closes(auth: AuthServices, stores: OpenStores) -> None:
    await auth.close()
    async with auth:
        async with auth:
            assert auth.revocations.is_fresh()
        assert stores.events == ["opened"]
    await auth.close()
    assert stores.events == ["opened", "closed"]


async def test_it_may_be_opened_again(auth: AuthServices, stores: OpenStores) -> None:
    for number in range(3):
        async with auth:
            await auth.accounts.register(f"ada{number}@example.com", PASSWORD)
    assert stores.events == ["opened", "closed"] * 3


async def test_nothing_runs_on_after_closing(auth: AuthServices) -> None:
    before = asyncio.all_tasks()
    async with auth:
        assert len(asyncio.all_tasks() - before) == 2, "the follower and the maintenance"
    assert asyncio.all_tasks() == before


async def test_of_concurrent_first_callers_one_opens(auth: AuthServices, stores: OpenStores) -> None:
    await asyncio.gather(*(auth.ensure_open() for _ in range(20)))
    assert stores.events == ["opened"]
    await auth.ensure_open()
    await auth.close()
    assert stores.events == ["opened", "closed"]


async def test_whoever_opens_after_a_first_request_did_closes(auth: AuthServices, stores: OpenStores) -> None:
    await auth.ensure_open()
    async with auth:
        assert stores.events == ["opened"]
    assert stores.events == ["opened", "closed"]


@pytest.mark.requirement("R-91", "refuses")
async def test_an_opening_that_fails_leaves_nothing_open_and_can_be_tried_again(
    auth: AuthServices, stores: OpenStores
) -> None:
    before = asyncio.all_tasks()
    stores.failures = 2
    for opening in (auth.open, auth.ensure_open):
        with pytest.raises(StoreUnavailable):
            await opening()
    assert asyncio.all_tasks() == before
    await auth.close()
    async with auth:
        pass
    assert stores.events == ["failed", "failed", "opened", "closed"]


@pytest.mark.requirement("R-91", "refuses")
async def test_a_feed_that_is_down_at_the_opening_closes_the_stores_again(
    auth: AuthServices, stores: OpenStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(_: object) -> None:
        raise StoreUnavailable

    before = asyncio.all_tasks()
    with monkeypatch.context() as patched:
        patched.setattr(stores.revocations, "changes_since", unavailable)
        with pytest.raises(StoreUnavailable):
            await auth.open()
    assert stores.events == ["opened", "closed"]
    assert asyncio.all_tasks() == before
    async with auth:
        assert auth.revocations.is_fresh()


async def test_an_opening_that_is_cancelled_can_be_repeated(auth: AuthServices, stores: OpenStores) -> None:
    opening = asyncio.create_task(auth.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with auth:
        assert auth.revocations.is_fresh()


async def lifespan(app: Any, stores: OpenStores) -> list[list[str]]:
    """What has happened to the stores when ``app`` says that it has started, and when it says that it has ended."""
    heard: list[list[str]] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        return {"type": next(messages)}

    async def send(message: dict[str, str]) -> None:
        assert message["type"].endswith(".complete")
        heard.append(list(stores.events))

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "app": app, "state": {}}, receive, send)
    return heard


@pytest.mark.parametrize(
    "make",
    [lambda auth: Starlette(lifespan=auth.lifespan), lambda auth: Litestar(lifespan=[auth.lifespan])],
    ids=["starlette", "litestar"],
)
async def test_the_lifespan_of_a_framework_opens_and_closes_it(
    auth: AuthServices, stores: OpenStores, make: Callable[[AuthServices], object]
) -> None:
    assert await lifespan(make(auth), stores) == [["opened"], ["opened", "closed"]]


@pytest.mark.requirement("R-93", "holds")
async def test_a_purge_deletes_what_has_expired_and_nothing_else() -> None:
    clock = FakeClock()
    async with services(clock, refresh_family_lifetime=3600, refresh_token_lifetime=3600) as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        for _ in range(3):
            await auth.refresh_tokens.issue(account, client_id=auth.client_id)
        await auth.accounts.end_credentials(account.subject)
        assert await auth.purge() == 0
        clock.advance(3601)
        again = await auth.accounts.authenticate(EMAIL, PASSWORD)
        tokens = await auth.refresh_tokens.issue(again, client_id=auth.client_id)
        assert await auth.purge() == 4
        assert await auth.refresh_tokens.rotate(tokens.refresh_token, client_id=auth.client_id)


@pytest.mark.requirement("R-93", "holds")
async def test_a_purge_reaches_sessions_keys_one_time_values_and_attempts() -> None:
    clock, stores = FakeClock(NOW), MemoryStores()
    async with services(clock, stores=stores) as auth:
        await stores.sessions.create(a_session())
        await stores.api_keys.create(a_key(expires_at=NOW + 5000), keys_per_subject=1, now=NOW)
        token = await auth.one_time.issue("reset", "value", lifetime=3600)
        await auth.lockout.charge_signed_in("anna@example.com", UNKNOWN)
        assert await auth.purge() == 0
        clock.advance(5000)
        assert await auth.purge() == 4  # the session, the key, the value, and the attempt of everybody's
        assert await auth.one_time.take("reset", token) is None


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.parametrize("end", ["disable", "end_credentials"])
async def test_what_ends_an_account_deletes_its_sessions(end: str) -> None:
    stores = MemoryStores()
    async with services(stores=stores) as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        await stores.sessions.create(a_session(subject=account.subject, epoch=account.epoch))
        await getattr(auth.accounts, end)(account.subject)
        assert await stores.sessions.get("session-1") is None


@pytest.mark.requirement("R-15", "refuses")
@pytest.mark.parametrize("end", ["disable", "set_password", "end_credentials"])
async def test_what_ends_an_account_ends_its_warm_tokens_at_once(end: str) -> None:
    """CVE-2024-22513: a disabled user kept access until the token expired."""
    endings: dict[str, Callable[[AuthServices, str], Any]] = {
        "disable": lambda auth, subject: auth.accounts.disable(subject),
        "set_password": lambda auth, subject: auth.accounts.set_password(subject, "another walk in the woods"),
        "end_credentials": lambda auth, subject: auth.accounts.end_credentials(subject),
    }
    async with services() as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        tokens = await auth.refresh_tokens.issue(account, client_id=auth.client_id)
        warm = tokens.access_token.encode()
        await auth.access_tokens.verify(warm)
        assert auth.access_tokens.cached(warm) is not None
        await endings[end](auth, account.subject)
        assert auth.access_tokens.cached(warm) is None
        with pytest.raises(InvalidToken):
            await auth.access_tokens.verify(warm)
        with pytest.raises(InvalidToken):
            await auth.refresh_tokens.rotate(tokens.refresh_token, client_id=auth.client_id)


@pytest.mark.requirement("R-58", "refuses")
async def test_an_unknown_user_is_told_nothing_else_than_a_wrong_password() -> None:
    async with services() as auth:
        await auth.accounts.register(EMAIL, PASSWORD)
        answers = []
        for email, password in ((EMAIL, "wrong"), ("nobody@example.com", PASSWORD)):
            with pytest.raises(InvalidCredentials) as caught:
                await auth.accounts.authenticate(email, password)
            answers.append((caught.value.status_code, caught.value.code, caught.value.detail))
        assert answers[0] == answers[1]


def test_two_event_loops_one_after_the_other_need_no_lifespan(tmp_path: Path) -> None:
    """As a test client without a lifespan does: each request in a loop of its own, several at once."""
    auth = services(stores=SQLiteStores(tmp_path / "auth.db"))

    async def use(number: int) -> None:
        await asyncio.gather(*(auth.ensure_open() for _ in range(5)))
        account = await auth.accounts.register(f"ada{number}@example.com", PASSWORD)
        tokens = await auth.refresh_tokens.issue(account, client_id=auth.client_id)
        pair = await auth.refresh_tokens.rotate(tokens.refresh_token, client_id=auth.client_id)
        assert (await auth.access_tokens.verify(pair.access_token)).subject == account.subject

    async def open_and_close() -> None:
        await asyncio.gather(*(auth.open() for _ in range(5)))
        for _ in range(5):
            await auth.close()

    for number in range(3):
        asyncio.run(use(number))
    for _ in range(2):
        asyncio.run(open_and_close())
    asyncio.run(use(3))
    asyncio.run(auth.close())


def test_services_that_nobody_closed_let_their_process_end(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGOTTEN, str(tmp_path / "auth.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "used\n", "")


async def test_a_lifespan_is_for_whatever_application(auth: AuthServices, stores: OpenStores) -> None:
    async with auth.lifespan(object()):
        assert stores.events == ["opened"]
    assert stores.events == ["opened", "closed"]


class HangingStores(OpenStores):
    """Stores whose database somebody else has locked."""

    async def open(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.requirement("R-91", "refuses")
async def test_a_first_use_does_not_wait_longer_than_a_request_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once: none waits for the others to have waited."""
    monkeypatch.setattr("asgi_auth.services._FIRST_USE_DEADLINE", 0.05)
    auth = services(stores=HangingStores())

    refused = await asyncio.gather(*(auth.ensure_open() for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in refused] == [StoreUnavailable] * 3
