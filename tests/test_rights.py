"""When a change of rights takes effect: at once for sessions and API keys, with the next token for access tokens."""

import pytest
from sites import EMAIL, ISSUER, PASSWORD, site

from asgi_auth.testing.clock import FakeClock


@pytest.mark.requirement("R-86", "refuses")
@pytest.mark.requirement("R-35", "refuses")
async def test_a_demoted_administrator_is_none_at_once_but_for_what_an_access_token_says(clock: FakeClock) -> None:
    """An access token keeps the roles of its issue for its lifetime, and ``end_credentials`` ends it sooner."""
    async with site(clock) as visit:
        subject = await visit.register()
        await visit.auth.accounts.set_roles(subject, {"admin"})
        tokens = await visit.login()
        key = await visit.auth.api_keys.create(subject, "deploy")
        by_session = {"email": EMAIL, "password": PASSWORD, "session": True}
        assert (await visit.client.post("/auth/login", json=by_session, headers={"Origin": ISSUER})).status_code == 200

        async def statuses() -> list[int]:
            """By cookie, by key, by token."""
            credentials: tuple[dict[str, str], ...] = (
                {},
                {"X-API-Key": key.value},
                {"Authorization": f"Bearer {tokens['access_token']}"},
            )
            return [(await visit.client.get("/admin/report", headers=headers)).status_code for headers in credentials]

        assert await statuses() == [200, 200, 200]
        await visit.auth.accounts.set_roles(subject, {"user"})
        assert await statuses() == [403, 403, 200]
        clock.advance(900)
        assert await statuses() == [403, 403, 401]
