"""One thread that hashes passwords, so that the event loop never does.

argon2 and its like release the interpreter's lock, so one thread keeps one core busy while the loop goes on. What
waits is bounded: a flood of logins is refused, not queued into the memory and the minutes of everybody else.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from .errors import Busy, ConfigurationError

__all__ = ["HashingPool"]

T = TypeVar("T")


class HashingPool:
    """Runs jobs one after the other in one thread of its own; at most ``limit`` are running or waiting.

    One more is refused with Busy (503, Retry-After) before any work. The default of 50 is one second of waiting at
    20 ms a hash. A caller that is cancelled gives up its answer, not its place: the job goes on, and its place is
    free when it ends, so disconnecting buys nothing.

    Used from any event loop, also from several at once. The thread starts with ``open`` or with the first job. It is
    a daemon, so a process whose pool nobody closed exits all the same.
    """

    def __init__(self, limit: int = 50) -> None:
        if limit < 1:
            raise ConfigurationError("a hashing pool takes at least one job")
        self._places = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """What ``function`` returns or raises, called in the pool's thread. Raises Busy, at once, where it is full."""
        with self._lock:
            worker = self._running()
            if not self._places.acquire(blocking=False):
                raise Busy
            job = _Job(function, self._places.release)
            worker.jobs.put(job)
        return await job.answer

    def open(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            self._running()

    async def close(self) -> None:
        """Let what is waiting be done, then end the thread. A later job starts another."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()

    def _running(self) -> "_Worker":
        # After a fork the child has the object, but not its thread.
        if self._worker is None or not self._worker.is_alive():
            self._worker = _Worker()
            self._worker.start()
        return self._worker


class _Worker(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="password-hashing", daemon=True)
        self.jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()

    def run(self) -> None:
        while self._do_next():
            pass

    async def stop(self) -> None:
        last = _Job(_nothing, _nothing)
        self.jobs.put(last)
        self.jobs.put(None)
        await last.answer
        self.join()

    def _do_next(self) -> bool:
        # A call of its own, so that no password stays in a variable while the thread waits for the next.
        job = self.jobs.get()
        if job is None:
            return False
        job.do()
        return True


class _Job(Generic[T]):
    def __init__(self, function: Callable[[], T], leave: Callable[[], None]) -> None:
        self._function = function
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self._loop.create_future()

    def do(self) -> None:
        settle = self._outcome()
        self._leave()
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
            self._loop.call_soon_threadsafe(self._unless_cancelled, settle)

    def _outcome(self) -> Callable[[], None]:
        try:
            return partial(self.answer.set_result, self._function())
        except BaseException as error:
            return partial(self.answer.set_exception, error)

    def _unless_cancelled(self, settle: Callable[[], None]) -> None:
        if not self.answer.cancelled():
            settle()


def _nothing() -> None:
    pass
