"""``GET /auth/me``."""

from collections.abc import AsyncIterator

import pytest
from sites import EMAIL, ISSUER, Site, site

from asgi_auth.testing.clock import FakeClock


@pytest.fixture
async def visit(clock: FakeClock) -> AsyncIterator[Site]:
    async with site(clock) as opened:
        yield opened


async def test_it_tells_a_front_end_who_is_signed_in(visit: Site, clock: FakeClock) -> None:
    subject = await visit.register()
    tokens = await visit.login()

    answer = await visit.get("/auth/me", tokens["access_token"])

    assert answer.status_code == 200
    assert answer.json() == {
        "subject": subject,
        "email": EMAIL,
        "roles": ["user"],
        "scopes": ["read:articles", "write:articles"],
        "scheme": "bearer",
        "client_id": "first-party",
        "authenticated_at": clock.now(),
        "expires_at": clock.now() + 900,
    }


async def test_head_has_the_header_lines_of_get_and_no_content(visit: Site) -> None:
    token = (await visit.sign_up())["access_token"]
    get = await visit.get("/auth/me", token)
    head = await visit.client.head("/auth/me", headers={"Authorization": f"Bearer {token}"})

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize("token", ["", "junk"])
async def test_without_a_valid_token_it_is_401(visit: Site, token: str) -> None:
    answer = await visit.get("/auth/me", token)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{ISSUER}"')


@pytest.mark.requirement("R-15", "refuses")
@pytest.mark.parametrize("exists", [True, False])
async def test_a_token_of_an_account_that_is_disabled_or_gone_is_401(visit: Site, exists: bool) -> None:
    """CVE-2024-22513: whatever the token and the feed say, the account's row is asked too."""
    subject = await visit.register() if exists else "nobody"
    if exists:
        await visit.auth.accounts.disable(subject)
    token = visit.auth.access_tokens.issue(
        subject=subject, client_id="first-party", scopes=frozenset(), roles=frozenset(), epoch=1000, auth_time=None
    )

    answer = await visit.get("/auth/me", token.value)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
