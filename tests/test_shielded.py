"""Work that comes to its end although its caller is cancelled."""

import asyncio

import pytest

from asgi_auth.shielded import ShieldedTasks


class Work:
    """A piece of work in two halves, which waits in its middle."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.done = False

    async def __call__(self, answer: int = 1) -> int:
        self.begun.set()
        await self.go_on.wait()
        self.done = True
        return answer


async def fails() -> None:
    raise ValueError("as it should")


async def test_the_answer_and_the_error_of_the_work_are_the_callers() -> None:
    tasks, work = ShieldedTasks(), Work()
    work.go_on.set()
    assert await tasks.run(work(42)) == 42
    with pytest.raises(ValueError, match="as it should"):
        await tasks.run(fails())


@pytest.mark.requirement("R-92", "holds")
async def test_a_cancelled_caller_leaves_the_work_alone() -> None:
    tasks, work = ShieldedTasks(), Work()
    caller = asyncio.create_task(tasks.run(work()))
    await work.begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    work.go_on.set()
    await tasks.ended()
    assert work.done


@pytest.mark.requirement("R-92", "refuses")
async def test_whoever_gives_up_waiting_for_the_end_does_not_cancel_the_work() -> None:
    """A server that closes in a hurry, as after a second Ctrl-C."""
    tasks, work = ShieldedTasks(), Work()
    caller = asyncio.create_task(tasks.run(work()))
    await work.begun.wait()
    closing = asyncio.create_task(tasks.ended())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    work.go_on.set()
    assert await caller == 1
    assert work.done


async def test_nothing_to_wait_for_is_the_end() -> None:
    await ShieldedTasks().ended()


async def test_the_end_comes_however_the_work_ends() -> None:
    """Nobody is left to hear of an error, and nobody is told."""
    tasks, work = ShieldedTasks(), Work()

    async def breaks() -> None:
        await work()
        raise ValueError

    caller = asyncio.create_task(tasks.run(breaks()))
    await work.begun.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    work.go_on.set()
    await tasks.ended()
    await asyncio.sleep(0)
    assert work.done
