"""Passwords are hashed in one bounded thread, never on the event loop."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from asgi_auth.errors import Busy, ConfigurationError, Reason
from asgi_auth.hashing_pool import HashingPool


class Gate:
    """A job that waits in the pool's thread until the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "through"


async def begun(gate: Gate) -> None:
    await asyncio.to_thread(gate.entered.wait, 30)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def pool() -> AsyncIterator[HashingPool]:
    pool = HashingPool(limit=3)
    yield pool
    await pool.close()


@pytest.mark.requirement("R-53", "holds")
async def test_a_job_runs_in_one_thread_that_is_not_the_loops(pool: HashingPool) -> None:
    threads = [await pool.run(threading.get_ident) for _ in range(5)]

    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.requirement("R-53", "holds")
async def test_the_loop_goes_on_while_a_job_runs(pool: HashingPool) -> None:
    gate = Gate()
    job = asyncio.create_task(pool.run(gate))
    await begun(gate)

    await turns(100)
    assert not job.done()

    gate.opened.set()
    assert await job == "through"


@pytest.mark.requirement("R-53", "holds")
async def test_jobs_run_one_after_the_other_in_the_order_in_which_they_came() -> None:
    pool = HashingPool(limit=20)
    running: list[int] = []
    most: list[int] = []

    def job(number: int) -> Callable[[], int]:
        def work() -> int:
            running.append(number)
            most.append(len(running))
            running.remove(number)
            return number

        return work

    answers = await asyncio.gather(*(pool.run(job(number)) for number in range(20)))
    await pool.close()

    assert answers == list(range(20))
    assert set(most) == {1}


@pytest.mark.requirement("R-53", "refuses")
async def test_past_its_limit_the_pool_refuses_at_once_with_retry_after(pool: HashingPool) -> None:
    gate = Gate()
    jobs = [asyncio.create_task(pool.run(gate)) for _ in range(3)]
    await begun(gate)

    for _ in range(10):
        with pytest.raises(Busy) as refused:
            await asyncio.wait_for(pool.run(gate), 30)
        assert refused.value.status_code == 503
        assert refused.value.reason is Reason.HASHING_BUSY
        assert refused.value.headers == {"Retry-After": "1"}

    gate.opened.set()
    assert await asyncio.gather(*jobs) == ["through"] * 3
    assert await pool.run(gate) == "through"


@pytest.mark.requirement("R-53", "refuses")
async def test_a_client_that_goes_away_does_not_give_its_place_to_the_next(pool: HashingPool) -> None:
    gate = Gate()
    done = threading.Event()
    running, waiting, last = (asyncio.create_task(pool.run(job)) for job in (gate, lambda: None, done.set))
    await begun(gate)

    for job in (running, waiting, last):
        job.cancel()
    gone = await asyncio.gather(running, waiting, last, return_exceptions=True)
    assert {type(outcome) for outcome in gone} == {asyncio.CancelledError}
    with pytest.raises(Busy):
        await asyncio.wait_for(pool.run(gate), 30)

    gate.opened.set()
    assert await asyncio.to_thread(done.wait, 30)
    assert await pool.run(gate) == "through"


async def test_a_job_that_raises_raises_in_its_caller_and_frees_its_place(pool: HashingPool) -> None:
    def broken() -> None:
        raise LookupError("told to the caller")

    for _ in range(10):
        with pytest.raises(LookupError, match="told to the caller"):
            await pool.run(broken)


class Stop(BaseException):
    """No Exception, like SystemExit and KeyboardInterrupt, but one that a test survives."""


async def test_a_job_that_raises_what_is_no_exception_does_not_end_the_thread(pool: HashingPool) -> None:
    def stopping() -> None:
        raise Stop

    thread = await pool.run(threading.get_ident)
    with pytest.raises(Stop):
        await pool.run(stopping)

    assert await pool.run(threading.get_ident) == thread


class Holder:
    """A job that can be found, as a password in it could."""

    def __call__(self) -> None:
        pass


async def test_nothing_of_a_finished_job_is_kept_while_the_thread_waits(pool: HashingPool) -> None:
    await pool.run(Holder())

    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, Holder)] == []


async def test_closing_lets_what_waits_be_done_and_ends_the_thread(pool: HashingPool) -> None:
    gate = Gate()
    jobs = [asyncio.create_task(pool.run(job)) for job in (gate, threading.current_thread)]
    await begun(gate)
    closing = asyncio.create_task(pool.close())
    await turns()
    assert not closing.done()

    gate.opened.set()
    await closing

    thread = (await asyncio.gather(*jobs))[1]
    assert isinstance(thread, threading.Thread)
    assert not thread.is_alive()


async def test_closing_twice_and_closing_what_was_never_used_do_nothing(pool: HashingPool) -> None:
    await pool.close()
    pool.open()
    pool.open()
    await pool.close()
    await pool.close()


async def test_a_job_after_closing_has_a_thread_again(pool: HashingPool) -> None:
    first = await pool.run(threading.current_thread)
    await pool.close()
    second = await pool.run(threading.current_thread)

    assert not first.is_alive()
    assert second.is_alive()


async def test_a_job_that_comes_while_the_pool_closes_is_done(pool: HashingPool) -> None:
    gate = Gate()
    running = asyncio.create_task(pool.run(gate))
    await begun(gate)
    closing = asyncio.create_task(pool.close())
    await turns()

    assert await pool.run(lambda: "late") == "late"

    gate.opened.set()
    await closing
    assert await running == "through"


def test_the_pool_serves_one_loop_after_the_other() -> None:
    pool = HashingPool()

    async def once() -> str:
        return await pool.run(lambda: "served")

    assert [asyncio.run(once()) for _ in range(3)] == ["served"] * 3


def test_a_loop_that_is_gone_does_not_end_the_thread() -> None:
    pool = HashingPool()
    gate = Gate()

    async def left() -> None:
        job = asyncio.create_task(pool.run(gate))
        await begun(gate)
        job.cancel()

    async def later() -> str:
        return await pool.run(lambda: "served")

    asyncio.run(left())
    gate.opened.set()
    assert asyncio.run(later()) == "served"


def test_a_pool_without_a_place_is_refused_when_the_application_is_put_together() -> None:
    with pytest.raises(ConfigurationError):
        HashingPool(limit=0)


def exit_code(script: str) -> int:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)], timeout=60, check=False
    ).returncode


def test_a_process_exits_though_nobody_closed_its_pool_and_a_job_never_ends() -> None:
    script = """
        import asyncio, threading
        from asgi_auth.hashing_pool import HashingPool

        begun = threading.Event()

        def endless():
            begun.set()
            threading.Event().wait()

        async def main():
            pool = HashingPool()
            asyncio.create_task(pool.run(endless))
            await asyncio.to_thread(begun.wait)

        asyncio.run(main())
    """

    assert exit_code(script) == 0


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    script = """
        import asyncio, os, warnings
        from asgi_auth.hashing_pool import HashingPool

        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        pool = HashingPool()

        async def served():
            return await pool.run(lambda: "served")

        assert asyncio.run(served()) == "served"
        child = os.fork()
        if child == 0:
            os._exit(0 if asyncio.run(served()) == "served" else 1)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """

    assert exit_code(script) == 0
