"""What of an account and of its tokens ends the connections of an access token, and what does not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sites import EMAIL, NEW_PASSWORD, PASSWORD, services
from test_access_tokens import World
from test_revocations import until

from asgi_auth.errors import InvalidToken
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices
from asgi_auth.testing.clock import FakeClock


class Watched:
    """A connection opened with the first tokens of a sign-in."""

    def __init__(self, auth: AuthServices, subject: str, tokens: Tokens) -> None:
        self.auth = auth
        self.subject = subject
        self.tokens = tokens
        self.ends = 0

    async def open(self) -> None:
        principal = await self.auth.access_tokens.verify(self.tokens.access_token)
        self.remove = self.auth.access_tokens.watch(principal, self._end)

    def _end(self) -> None:
        self.ends += 1


async def revoke(watched: Watched) -> None:
    await watched.auth.access_tokens.revoke(await watched.auth.access_tokens.verify(watched.tokens.access_token))


async def log_out(watched: Watched) -> None:
    await watched.auth.refresh_tokens.revoke(watched.tokens.refresh_token)


async def disable(watched: Watched) -> None:
    await watched.auth.accounts.disable(watched.subject)


async def change_password(watched: Watched) -> None:
    await watched.auth.accounts.change_password(watched.subject, PASSWORD, NEW_PASSWORD)


async def end_credentials(watched: Watched) -> None:
    await watched.auth.accounts.end_credentials(watched.subject)


async def reuse(watched: Watched) -> None:
    await refresh(watched)
    with pytest.raises(InvalidToken):
        await refresh(watched)


async def refresh(watched: Watched) -> None:
    await watched.auth.refresh_tokens.rotate(watched.tokens.refresh_token, client_id=watched.auth.client_id)


async def another_sign_in(watched: Watched) -> None:
    account = await watched.auth.accounts.authenticate(EMAIL, PASSWORD)
    other = await watched.auth.refresh_tokens.issue(account, client_id=watched.auth.client_id)
    await watched.auth.refresh_tokens.revoke(other.refresh_token)


async def change_roles(watched: Watched) -> None:
    await watched.auth.accounts.set_roles(watched.subject, {"admin"})


Act = Callable[[Watched], Awaitable[None]]


async def watched_during(act: Act, clock: FakeClock) -> int:
    """How often the connection was ended."""
    async with services(clock) as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        tokens = await auth.refresh_tokens.issue(account, client_id=auth.client_id)
        watched = Watched(auth, account.subject, tokens)
        await watched.open()
        await act(watched)
        watched.remove()
        return watched.ends


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("act", [revoke, log_out, disable, change_password, end_credentials, reuse])
async def test_what_ends_the_token_ends_its_connections_once(act: Act, clock: FakeClock) -> None:
    assert await watched_during(act, clock) == 1


@pytest.mark.requirement("R-96", "holds")
@pytest.mark.parametrize("act", [refresh, another_sign_in, change_roles])
async def test_what_leaves_the_token_alone_leaves_its_connections_alone(act: Act, clock: FakeClock) -> None:
    """A change of rights reaches access tokens with their next refresh (R-86)."""
    assert await watched_during(act, clock) == 0


@pytest.mark.requirement("R-96", "refuses")
async def test_the_connections_of_a_token_end_when_it_expires() -> None:
    world = World(lifetime=60)
    principal = await world.tokens.verify(world.issue().value)
    ends: list[Any] = []
    world.tokens.watch(principal, lambda: ends.append(1))

    world.clock.advance(60)

    await until(lambda: ends == [1])


async def test_without_revocations_nothing_is_ended_and_no_task_runs() -> None:
    world = World(following=False)
    principal = await world.tokens.verify(world.issue().value)
    before = asyncio.all_tasks()
    ends: list[Any] = []
    remove = world.tokens.watch(principal, lambda: ends.append(1))
    world.clock.advance(10_000)
    remove()

    assert ends == []
    assert asyncio.all_tasks() == before
