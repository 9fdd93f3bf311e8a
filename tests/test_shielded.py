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


async def leave(caller: asyncio.Task[object]) -> None:
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_an_error_after_the_caller_has_left_is_noted_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise whoever disconnects at the right moment fills the log with tracebacks."""
    tasks, work = ShieldedTasks(), Work()

    async def breaks() -> None:
        await work()
        raise ValueError("hunter2")

    caller: asyncio.Task[object] = asyncio.create_task(tasks.run(breaks()))
    await work.begun.wait()
    await leave(caller)
    work.go_on.set()
    await tasks.ended()
    await asyncio.sleep(0)
    assert caplog.messages == ["work whose caller had left failed: ValueError"]


async def test_work_that_the_loop_itself_cancels_is_cancelled_for_its_caller_and_nothing_is_noted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, work = ShieldedTasks(), Work()
    others = asyncio.all_tasks()
    caller = asyncio.create_task(tasks.run(work()))
    await work.begun.wait()
    (inner,) = asyncio.all_tasks() - others - {caller}
    inner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.sleep(0)
    assert not caplog.messages
