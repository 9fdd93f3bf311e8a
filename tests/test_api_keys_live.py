"""What hangs on an API key ends with it, at the level of the service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from key_tools import Keys

from asgi_auth.api_keys import APIKey
from asgi_auth.errors import StoreUnavailable
from asgi_auth.principal import Principal

LONG = 30


@pytest.fixture
async def world() -> AsyncIterator[Keys]:
    world = Keys()
    yield world
    await world.revocations.close()


class Connection:
    """An open connection of a key, which counts how often it is told to end."""

    def __init__(self, world: Keys, principal: Principal) -> None:
        self.ends = 0
        self.over = asyncio.Event()
        self.unwatch = world.keys.watch(principal, self.end)

    def end(self) -> None:
        self.ends += 1
        self.over.set()

    async def ended(self) -> int:
        async with asyncio.timeout(LONG):
            await self.over.wait()
        return self.ends

    async def goes_on(self, world: Keys) -> bool:
        """Whether it is still open after everything that was begun has been decided."""
        live = world.keys._live
        assert live is not None
        while live._renewals:
            await asyncio.gather(*live._renewals)
        return not self.ends


async def connected(world: Keys, **options: Any) -> tuple[Connection, bytes, APIKey]:
    value, key = await world.warm(**options)
    return Connection(world, await world.use(value)), value, key


ENDINGS: dict[str, Callable[[Keys, APIKey], Awaitable[object]]] = {
    "revoke": lambda world, key: world.keys.revoke(key.key_id, subject="anna"),
    "disable": lambda world, key: world.accounts.disable("anna"),
    "set roles": lambda world, key: world.accounts.set_roles("anna", ["reader"]),
    "rotate without overlap": lambda world, key: world.keys.rotate(key.key_id, subject="anna", overlap=0),
}


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_connection_ends_once_when_its_key_does(world: Keys, how: str) -> None:
    connection, _, key = await connected(world)
    other, _, _ = await connected(world, subject="berta")

    await ENDINGS[how](world, key)

    assert await connection.ended() == 1
    assert await other.goes_on(world)
    connection.unwatch()
    other.unwatch()


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_connection_that_opens_while_its_key_ends_does_not_stay(world: Keys, how: str) -> None:
    """The caller was read before, and is watched after it."""
    value, key = await world.warm()
    principal = await world.use(value)

    await ENDINGS[how](world, key)
    world.clock.advance(2)
    await world.revocations.ensure_fresh()  # what was told here has come back from the feed, and comes no more

    assert await Connection(world, principal).ended() == 1


@pytest.mark.requirement("R-96", "refuses")
async def test_a_connection_ends_when_its_key_expires(world: Keys) -> None:
    connection, _, _ = await connected(world, lifetime=100)
    world.clock.advance(99.9)
    await world.revocations.ensure_fresh()
    assert await connection.goes_on(world)

    world.clock.step(0.1)

    assert await connection.ended() == 1


@pytest.mark.requirement("R-96", "holds")
async def test_a_rotated_key_keeps_its_connections_until_the_overlap_is_over(world: Keys) -> None:
    connection, value, key = await connected(world)
    await world.keys.rotate(key.key_id, subject="anna", overlap=50)
    assert await connection.goes_on(world)
    late = Connection(world, await world.use(value))
    assert await late.goes_on(world)

    world.clock.step(50)

    assert [await connection.ended(), await late.ended()] == [1, 1]


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("what", ["the store fails", "the key is gone"])
async def test_where_it_cannot_be_known_until_when_a_key_lives_its_connections_end(world: Keys, what: str) -> None:
    connection, _, key = await connected(world)

    async def down() -> None:
        raise StoreUnavailable

    async def gone() -> None:
        world.journal.before["get key"] = [down] if what == "the store fails" else []
        if what == "the key is gone":
            del world.store._keys[key.key_id]

    world.journal.before["revoke changed"] = [gone]
    await world.keys.rotate(key.key_id, subject="anna", overlap=50)

    assert await connection.ended() == 1


@pytest.mark.requirement("R-96", "holds")
async def test_a_new_password_and_other_people_s_changes_end_no_connection(world: Keys) -> None:
    connection, _, _ = await connected(world)
    await world.owner("berta")

    await world.accounts.disable("berta")
    await world.accounts.end_credentials("anna")

    assert await connection.goes_on(world)
    connection.unwatch()


@pytest.mark.requirement("R-96", "holds")
async def test_a_change_of_before_ends_nothing_that_was_opened_after_it(world: Keys) -> None:
    await world.owner()
    await world.accounts.set_roles("anna", ["admin"])

    connection, _, _ = await connected(world)

    assert await connection.goes_on(world)
    connection.unwatch()


async def test_a_connection_that_is_over_is_not_told(world: Keys) -> None:
    connection, _, key = await connected(world)
    connection.unwatch()

    await world.keys.revoke(key.key_id, subject="anna")

    assert connection.ends == 0


async def test_without_revocations_nothing_is_ended() -> None:
    world = Keys(following=False)
    value, key = await world.made()
    connection = Connection(world, await world.use(value))

    await world.keys.revoke(key.key_id, subject="anna")

    assert connection.ends == 0
    connection.unwatch()


async def test_a_principal_of_no_key_is_not_watched(world: Keys) -> None:
    Connection(world, Principal(subject="anna", scheme="api_key")).unwatch()
