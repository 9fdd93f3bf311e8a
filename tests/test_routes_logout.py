"""``POST /auth/logout``: what it ends, and what it leaves alone."""

from collections.abc import AsyncIterator

import pytest
from sites import ISSUER, Site, site

from asgi_auth.errors import StoreUnavailable
from asgi_auth.stores import MemoryStores
from asgi_auth.testing.clock import FakeClock

WEEK = 7 * 86400


@pytest.fixture
async def visit(clock: FakeClock) -> AsyncIterator[Site]:
    async with site(clock) as opened:
        yield opened


async def is_dead(visit: Site, tokens: dict[str, str]) -> tuple[bool, bool]:
    access = await visit.get("/private", tokens["access_token"])
    refresh = await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})
    return access.status_code == 401, refresh.status_code == 401


@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("presented", ["access_token", "refresh_token", "both"])
async def test_either_token_ends_both_at_once(visit: Site, presented: str) -> None:
    tokens = await visit.sign_up()
    assert (await visit.get("/private", tokens["access_token"])).status_code == 200
    document = None if presented == "access_token" else {"refresh_token": tokens["refresh_token"]}
    token = "" if presented == "refresh_token" else tokens["access_token"]

    answer = await visit.post("logout", document, token=token)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await is_dead(visit, tokens) == (True, True)


@pytest.mark.requirement("R-31", "holds")
@pytest.mark.requirement("R-33", "holds")
async def test_it_ends_this_sign_in_and_no_other(visit: Site) -> None:
    here, elsewhere = await visit.sign_up(), await visit.login()

    await visit.post("logout", token=here["access_token"])

    assert await is_dead(visit, elsewhere) == (False, False)


async def test_an_access_token_of_before_a_refresh_ends_what_came_after(visit: Site) -> None:
    first = await visit.sign_up()
    second = (await visit.post("refresh", {"refresh_token": first["refresh_token"]})).json()

    await visit.post("logout", token=first["access_token"])

    assert await is_dead(visit, second) == (True, True)


async def test_an_expired_access_token_still_ends_its_refresh_token(visit: Site, clock: FakeClock) -> None:
    tokens = await visit.sign_up()
    clock.advance(WEEK)

    answer = await visit.post("logout", token=tokens["access_token"])

    assert answer.status_code == 204
    assert await is_dead(visit, tokens) == (True, True)


async def test_an_expired_access_token_does_not_block_the_refresh_token_beside_it(
    visit: Site, clock: FakeClock
) -> None:
    tokens = await visit.sign_up()
    clock.advance(40 * 86400)

    answer = await visit.post("logout", {"refresh_token": tokens["refresh_token"]}, token=tokens["access_token"])

    assert answer.status_code == 204


async def test_logging_out_again_is_204_too(visit: Site) -> None:
    tokens = await visit.sign_up()
    for _ in range(2):
        answer = await visit.post("logout", {"refresh_token": tokens["refresh_token"]}, token=tokens["access_token"])
        assert answer.status_code == 204


@pytest.mark.parametrize("document", [None, {}])
@pytest.mark.parametrize("authorization", [None, "Basic eDp5"])
async def test_no_credential_at_all_is_401(visit: Site, document: object, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await visit.client.post("/auth/logout", headers=headers, json=document)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == f'Bearer realm="{ISSUER}"'


@pytest.mark.requirement("R-31", "refuses")
async def test_random_credentials_end_nothing(visit: Site) -> None:
    """CVE-2025-71402, CVE-2026-121802: a forged credential must not be acted upon."""
    tokens = await visit.sign_up()
    family = tokens["refresh_token"][:25]
    head, body, signature = tokens["access_token"].split(".")

    for junk in ("junk", "rt_", f"{family}{'a' * 71}", tokens["refresh_token"][:-1], tokens["refresh_token"] + "a"):
        assert (await visit.post("logout", {"refresh_token": junk})).status_code == 204
    for junk in ("junk", f"{head}.{body}.", f"{head}.{body}.{'A' * len(signature)}", f"e30.{body}.{signature}"):
        assert (await visit.post("logout", token=junk)).status_code == 204

    assert await is_dead(visit, tokens) == (False, False)


async def test_two_authorization_lines_are_400(visit: Site) -> None:
    lines = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]

    assert (await visit.client.post("/auth/logout", headers=lines)).status_code == 400


async def test_a_body_with_other_fields_is_422_and_ends_nothing(visit: Site) -> None:
    tokens = await visit.sign_up()

    answer = await visit.post("logout", {"subject": "somebody"}, token=tokens["access_token"])

    assert (answer.status_code, answer.json()["unknown_fields"]) == (422, 1)
    assert await is_dead(visit, tokens) == (False, False)


async def test_an_access_token_that_came_from_no_sign_in_ends_alone(visit: Site) -> None:
    subject = await visit.register()
    token = visit.auth.access_tokens.issue(
        subject=subject, client_id="first-party", scopes=frozenset(), roles=frozenset(), epoch=0, auth_time=None
    ).value
    assert (await visit.get("/private", token)).status_code == 200

    await visit.post("logout", token=token)

    assert (await visit.get("/private", token)).status_code == 401


@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.parametrize("failing", ["refresh_tokens", "revocations"])
async def test_a_logout_that_a_store_did_not_take_is_503_and_ends_everything_when_it_is_repeated(
    clock: FakeClock, failing: str
) -> None:
    """CVE-2020-15223: an ending that is acknowledged has happened."""
    stores = MemoryStores()
    async with site(clock, stores=stores) as visit:
        tokens = await visit.sign_up()
        store = getattr(stores, failing)
        revoke = store.revoke

        async def down(*arguments: object, **more: object) -> None:
            raise StoreUnavailable

        store.revoke = down
        assert (await visit.post("logout", token=tokens["access_token"])).status_code == 503
        store.revoke = revoke
        assert (await visit.post("logout", token=tokens["access_token"])).status_code == 204

        assert await is_dead(visit, tokens) == (True, True)
