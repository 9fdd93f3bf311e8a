"""What has expired is deleted, in small batches."""

import asyncio
from collections.abc import Callable

import pytest

from asgi_auth.errors import StoreUnavailable
from asgi_auth.maintenance import Maintenance
from asgi_auth.testing.clock import FakeClock


class Rows:
    """A store with so many expired rows, which notes each batch."""

    def __init__(self, expired: int) -> None:
        self.expired = expired
        self.batches: list[int] = []
        self.asked_at: list[float] = []
        self.failure: Exception | None = None

    async def purge(self, *, now: float, limit: int) -> int:
        self.asked_at.append(now)
        if self.failure is not None:
            raise self.failure
        batch = min(self.expired, limit)
        self.expired -= batch
        self.batches.append(batch)
        return batch


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.requirement("R-93", "holds")
async def test_expired_rows_go_in_bounded_batches_with_pauses_between(clock: FakeClock) -> None:
    """Between two batches others have their turn."""
    rows, few = Rows(25), Rows(3)
    maintenance = Maintenance((rows, few), batch=10, pause=0, clock=clock)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    assert await maintenance.purge() == 28
    running.cancel()
    assert rows.batches == [10, 10, 5]
    assert few.batches == [3]
    assert turns >= 2
    assert set(rows.asked_at) == {clock.now()}


async def test_a_purge_by_hand_says_that_the_store_is_down(clock: FakeClock) -> None:
    rows = Rows(1)
    rows.failure = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await Maintenance((rows,), clock=clock).purge()


async def test_it_goes_on_at_every_interval_until_it_is_closed() -> None:
    rows = Rows(0)
    maintenance = Maintenance((rows,), interval=0.001)
    before = asyncio.all_tasks()
    await maintenance.open()
    await until(lambda: len(rows.batches) > 2)
    await maintenance.close()
    await maintenance.close()
    assert asyncio.all_tasks() == before


@pytest.mark.requirement("R-93", "refuses")
async def test_a_store_that_is_down_is_noted_without_its_words_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = Rows(5)
    rows.failure = ConnectionError("postgres://user:hunter2@host")
    maintenance = Maintenance((rows,), interval=0.001)
    await maintenance.open()
    await until(lambda: len(rows.asked_at) > 1)
    rows.failure = None
    await until(lambda: rows.expired == 0)
    await maintenance.close()
    assert set(caplog.messages) == {"what has expired could not be deleted: ConnectionError"}


async def test_closing_before_opening_is_nothing() -> None:
    await Maintenance(()).close()
