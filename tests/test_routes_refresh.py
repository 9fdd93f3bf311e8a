"""``POST /auth/refresh``."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sites import ISSUER, Site, site

from asgi_auth.testing.clock import FakeClock


@pytest.fixture
async def visit(clock: FakeClock) -> AsyncIterator[Site]:
    async with site(clock) as opened:
        yield opened


async def test_a_refresh_token_gives_the_next_pair(visit: Site) -> None:
    first = await visit.sign_up()

    answer = await visit.post("refresh", {"refresh_token": first["refresh_token"]})

    second = answer.json()
    assert answer.status_code == 200
    assert second.keys() == first.keys()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await visit.get("/private", second["access_token"])).status_code == 200


@pytest.mark.requirement("R-28", "refuses")
async def test_a_spent_refresh_token_ends_everything_of_its_subject(visit: Site) -> None:
    first = await visit.sign_up()
    elsewhere = await visit.login()
    second = (await visit.post("refresh", {"refresh_token": first["refresh_token"]})).json()

    replayed = await visit.post("refresh", {"refresh_token": first["refresh_token"]})

    assert (replayed.status_code, replayed.json()["code"]) == (401, "invalid_token")
    for tokens in (first, second, elsewhere):
        assert (await visit.get("/private", tokens["access_token"])).status_code == 401
        assert (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 401


@pytest.mark.requirement("R-28", "holds")
async def test_after_a_reuse_its_owner_signs_in_again(visit: Site) -> None:
    first = await visit.sign_up()
    for _ in range(2):
        await visit.post("refresh", {"refresh_token": first["refresh_token"]})

    tokens = await visit.login()

    assert (await visit.get("/private", tokens["access_token"])).status_code == 200


async def test_of_ten_refreshes_with_one_token_at_most_one_answers_with_tokens(visit: Site) -> None:
    first = await visit.sign_up()

    answers = await asyncio.gather(
        *(visit.post("refresh", {"refresh_token": first["refresh_token"]}) for _ in range(10))
    )

    assert sorted(answer.status_code for answer in answers)[1:] == [401] * 9


@pytest.mark.parametrize(
    "token", ["", "junk", "rt_", "rt_" + "a" * 93, "a" * 60_000, "rt_\x00", "é", "Bearer x"], ids=range(8)
)
async def test_junk_is_401_and_ends_nothing(visit: Site, token: str) -> None:
    tokens = await visit.sign_up()

    answer = await visit.post("refresh", {"refresh_token": token})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{ISSUER}", error="invalid_token"')
    assert (await visit.get("/private", tokens["access_token"])).status_code == 200
    assert (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 200


async def test_an_access_token_is_no_refresh_token(visit: Site) -> None:
    tokens = await visit.sign_up()

    assert (await visit.post("refresh", {"refresh_token": tokens["access_token"]})).status_code == 401


async def test_an_expired_access_token_does_not_block_its_own_renewal(visit: Site, clock: FakeClock) -> None:
    tokens = await visit.sign_up()
    clock.advance(901)
    assert (await visit.get("/private", tokens["access_token"])).status_code == 401

    answer = await visit.post("refresh", {"refresh_token": tokens["refresh_token"]}, token=tokens["access_token"])

    assert answer.status_code == 200
    assert (await visit.get("/private", answer.json()["access_token"])).status_code == 200


@pytest.mark.requirement("R-15", "refuses")
async def test_a_disabled_account_refreshes_no_more(visit: Site) -> None:
    subject = await visit.register()
    tokens = await visit.login()

    await visit.auth.accounts.disable(subject)

    assert (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 401
    assert (await visit.get("/private", tokens["access_token"])).status_code == 401
