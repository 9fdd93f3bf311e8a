"""When a key was last used: written once a minute, by nobody who waits."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from key_tools import Keys

from asgi_auth.api_keys import APIKey
from asgi_auth.errors import StoreUnavailable
from asgi_auth.last_used import LastUsed


@pytest.fixture
def world() -> Keys:
    return Keys()


def writes(world: Keys) -> int:
    return world.journal.entries.count("record use")


async def last_used(world: Keys, key: APIKey) -> float | None:
    await world.keys.close()
    stored = await world.store.get(key.key_id)
    assert stored is not None
    return stored.last_used_at


@pytest.mark.requirement("R-35", "holds")
async def test_a_thousand_requests_in_five_minutes_are_five_writes(world: Keys) -> None:
    value, key = await world.made()
    for _ in range(1000):
        await world.use(value)
        await world.keys.close()
        world.clock.advance(0.3)

    assert writes(world) == 5
    used_at = await last_used(world, key)
    assert used_at is not None
    assert world.clock.now() - 60.3 <= used_at <= world.clock.now()


@pytest.mark.requirement("R-35", "holds")
@pytest.mark.parametrize("following", [True, False])
async def test_of_a_thousand_requests_at_once_one_writes(following: bool) -> None:
    world = Keys(following=following)
    value, key = await world.made()

    await asyncio.gather(*(world.use(value) for _ in range(1000)))

    assert await last_used(world, key) == world.clock.now()
    assert writes(world) == 1


async def test_no_request_waits_for_the_write_and_closing_does(world: Keys) -> None:
    value, _ = await world.made()
    go_on = asyncio.Event()
    world.journal.before["record use"] = [go_on.wait]

    await world.use(value)
    closing = asyncio.create_task(world.keys.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()

    go_on.set()
    await closing
    assert writes(world) == 1


async def test_what_another_process_has_written_is_not_written_again(world: Keys) -> None:
    value, key = await world.made()
    await world.elsewhere.verify(value)
    await world.elsewhere.close()
    world.clock.advance(59.9)

    await world.use(value)
    assert await last_used(world, key) == world.clock.now() - 59.9

    world.clock.advance(60)
    await world.use(value)
    assert await last_used(world, key) == world.clock.now()


async def test_a_refused_key_was_not_used(world: Keys) -> None:
    value, key = await world.made()
    await world.keys.revoke(key.key_id, subject="anna")

    await asyncio.gather(world.use(value), return_exceptions=True)

    assert await last_used(world, key) is None


@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("canary")])
async def test_a_write_that_fails_is_logged_without_details_and_hurts_nobody(
    world: Keys, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise error

    value, key = await world.made()
    world.journal.before["record use"] = [fail]

    with caplog.at_level(logging.DEBUG):
        assert (await world.use(value)).subject == "anna"
        assert await last_used(world, key) is None

    assert caplog.messages == [f"the use of a credential could not be written down: {type(error).__name__}"]
    world.clock.advance(60)
    await world.use(value)
    assert await last_used(world, key) == world.clock.now()


class Store:
    def __init__(self) -> None:
        self.recorded: list[tuple[str, float]] = []

    async def record_use(self, id: str, /, *, at: float) -> None:
        self.recorded.append((id, at))


async def test_it_remembers_the_last_ids_alone() -> None:
    store = Store()
    uses = LastUsed(store, size=2, every=60)
    noted: Iterator[str] = iter("abab" + "c" + "ba")

    for id in noted:
        uses.note(id, 1000.0, known=None)
        await uses.written()

    assert [id for id, _ in store.recorded] == ["a", "b", "c", "a"]
