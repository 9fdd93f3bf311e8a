"""``POST /auth/register``."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sites import EMAIL, PASSWORD, Site, api, services, site, visiting

from asgi_auth.stack import AuthStack


@pytest.fixture
async def visit() -> AsyncIterator[Site]:
    async with site() as opened:
        yield opened


async def test_a_new_account_is_201_with_subject_and_email(visit: Site) -> None:
    answer = await visit.post("register", {"email": "Ada@Example.com", "password": PASSWORD})

    account = await visit.auth.accounts.get_by_email(EMAIL)
    assert account is not None
    assert (answer.status_code, answer.json()) == (201, {"subject": account.subject, "email": EMAIL})


@pytest.mark.requirement("R-65", "holds")
async def test_a_new_account_has_the_default_roles(visit: Site) -> None:
    tokens = await visit.sign_up()

    me = (await visit.get("/auth/me", tokens["access_token"])).json()
    assert (me["roles"], me["scopes"]) == (["user"], ["read:articles", "write:articles"])


@pytest.mark.requirement("R-65", "refuses")
@pytest.mark.parametrize(
    "field",
    ["role", "roles", "scopes", "scope", "is_active", "is_admin", "verified", "id", "subject", "epoch", "disabled_at"],
)
async def test_no_field_of_the_body_sets_what_an_account_is(visit: Site, field: str) -> None:
    answer = await visit.post("register", {"email": EMAIL, "password": PASSWORD, field: "admin"})

    assert (answer.status_code, answer.json()["unknown_fields"], answer.json()["errors"]) == (422, 1, [])
    assert await visit.auth.accounts.get_by_email(EMAIL) is None


@pytest.mark.requirement("R-64", "holds")
async def test_a_taken_address_is_409(visit: Site) -> None:
    await visit.register()

    answer = await visit.post("register", {"email": EMAIL.upper(), "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "ada" not in answer.text.lower()


@pytest.mark.requirement("R-64", "refuses")
async def test_of_ten_registrations_of_one_address_one_wins(visit: Site) -> None:
    answers = await asyncio.gather(*(visit.post("register", {"email": EMAIL, "password": PASSWORD}) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]


@pytest.mark.requirement("R-50", "refuses")
@pytest.mark.parametrize("password", ["shrt7!", "password123", "x" * 2000, "nul\x00nul\x00nul", ""])
async def test_a_password_that_is_not_acceptable_is_422_and_not_repeated(visit: Site, password: str) -> None:
    answer = await visit.post("register", {"email": EMAIL, "password": password})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]][:1] == ["password"]
    assert not password or password not in answer.text
    assert await visit.auth.accounts.get_by_email(EMAIL) is None


@pytest.mark.requirement("R-63", "refuses")
@pytest.mark.parametrize(
    "email", ["", "ada", "a@b@c.example", "a,b@example.com", "ada@example.com\r\nx", "@", "a\x00@b.c"]
)
async def test_what_is_no_address_is_422_and_not_repeated(visit: Site, email: str) -> None:
    answer = await visit.post("register", {"email": email, "password": PASSWORD})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["email"]


async def test_without_registration_there_is_no_such_route() -> None:
    auth = services()
    async with visiting(AuthStack(api(), auth, registration=False), auth) as visit:
        answer = await visit.post("register", {"email": EMAIL, "password": PASSWORD})

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert await auth.accounts.get_by_email(EMAIL) is None
        await auth.accounts.register(EMAIL, PASSWORD)
        assert (await visit.login())["token_type"] == "Bearer"
