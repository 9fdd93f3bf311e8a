"""``POST /auth/password``."""

from collections.abc import AsyncIterator

import pytest
from sites import CHALLENGES, EMAIL, ISSUER, NEW_PASSWORD, PASSWORD, Site, site

CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}


@pytest.fixture
async def visit() -> AsyncIterator[Site]:
    async with site() as opened:
        yield opened


@pytest.mark.requirement("R-52", "holds")
async def test_the_answer_is_a_fresh_pair_that_works(visit: Site) -> None:
    before = await visit.sign_up()

    answer = await visit.post("password", CHANGE, token=before["access_token"])

    after = answer.json()
    assert answer.status_code == 200
    assert after.keys() == before.keys()
    assert (await visit.get("/private", after["access_token"])).status_code == 200
    assert (await visit.post("refresh", {"refresh_token": after["refresh_token"]})).status_code == 200
    assert (await visit.login(password=NEW_PASSWORD))["token_type"] == "Bearer"


@pytest.mark.requirement("R-52", "refuses")
@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.requirement("R-15", "refuses")
async def test_every_credential_of_before_is_dead_when_the_answer_arrives(visit: Site) -> None:
    before, elsewhere = await visit.sign_up(), await visit.login()

    await visit.post("password", CHANGE, token=before["access_token"])

    for tokens in (before, elsewhere):
        assert (await visit.get("/private", tokens["access_token"])).status_code == 401
        assert (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 401
    assert (await visit.post("login", {"email": EMAIL, "password": PASSWORD})).status_code == 401


@pytest.mark.requirement("R-52", "refuses")
async def test_without_the_current_password_nothing_changes(visit: Site) -> None:
    tokens = await visit.sign_up()

    wrong = await visit.post("password", CHANGE | {"current_password": "a wrong one"}, token=tokens["access_token"])

    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
    assert wrong.headers["www-authenticate"] == f'Session realm="{ISSUER}"'
    assert (await visit.get("/private", tokens["access_token"])).status_code == 200
    assert (await visit.login())["token_type"] == "Bearer"


@pytest.mark.requirement("R-50", "refuses")
@pytest.mark.parametrize("password", ["short", "password123", EMAIL])
async def test_a_new_password_that_is_not_acceptable_is_422(visit: Site, password: str) -> None:
    tokens = await visit.sign_up()

    answer = await visit.post("password", CHANGE | {"new_password": password}, token=tokens["access_token"])

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"new_password"}
    assert (await visit.get("/private", tokens["access_token"])).status_code == 200


@pytest.mark.parametrize("field", ["subject", "email", "roles", "user_id"])
async def test_whose_password_it_is_never_comes_from_the_body(visit: Site, field: str) -> None:
    """CVE-2025-61928: the owner is the caller, and nobody else."""
    tokens = await visit.sign_up()
    victim = await visit.register("victim@example.com")

    answer = await visit.post("password", CHANGE | {field: victim}, token=tokens["access_token"])

    assert (answer.status_code, answer.json()["unknown_fields"]) == (422, 1)
    assert (await visit.login("victim@example.com"))["token_type"] == "Bearer"


async def test_without_a_token_it_is_401(visit: Site) -> None:
    answer = await visit.post("password", CHANGE)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == CHALLENGES
