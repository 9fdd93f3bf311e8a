"""How the contract lets callers race: tasks, processes, and one caller held just before its commit."""

import asyncio
import multiprocessing
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

__all__ = ["HeldOpen", "Opened", "Waitable", "cancel_at_random", "in_processes", "proves", "together"]

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

Opened = Callable[[], AbstractAsyncContextManager[S]]
"""Opens one more instance of a store on the backend of the test."""

TURNS = 64
"""At most so many turns of the event loop pass before the call is cut off."""
START_TOGETHER = 60.0
"""Seconds that a process may take to start."""


class HeldOpen(Protocol[S_co]):
    """Two instances of a store on one backend, and a way to hold a transaction of the first open.

    The fixture ``held_open`` is one. With SQL: triggers for INSERT, UPDATE and DELETE on the store's tables that wait.
    """

    @property
    def first(self) -> S_co:
        """The instance whose transaction is held."""
        ...

    @property
    def second(self) -> S_co:
        """An instance of its own connections."""
        ...

    async def begin(self, verb: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a verb of the first; return when it has written and before it commits."""
        ...

    def commit(self) -> None:
        """Let it commit."""
        ...


class Waitable(Protocol):
    """A barrier: of threads or of processes."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until everybody is here."""
        ...


def proves(number: str, proof: str) -> Callable[[F], F]:
    """Note on a test which numbered requirement it proves. Read by this project's own report, ignored elsewhere."""

    def note(test: F) -> F:
        test.__dict__["proves"] = (*test.__dict__.get("proves", ()), (number, proof))
        return test

    return note


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The answers of calls that run at the same time in this event loop."""
    return list(await asyncio.gather(*calls))


async def in_processes(
    opened: Opened[S], job: Callable[..., Coroutine[Any, Any, T]], shares: Sequence[tuple[Any, ...]]
) -> list[T]:
    """The answers of ``job(store, *share)``, one process and one store of its own each, begun at the same moment.

    The first share runs in this process, in a thread with an event loop of its own.
    """
    return await asyncio.to_thread(_race, opened, job, shares)


def _race(opened: Opened[S], job: Callable[..., Coroutine[Any, Any, T]], shares: Sequence[tuple[Any, ...]]) -> list[T]:
    # Not forked: a child must not inherit connections, locks or threads.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    pipes = [context.Pipe(duplex=False) for _ in shares]
    children = [
        context.Process(target=_take_share, args=(opened, job, share, barrier, answer))
        for share, (_, answer) in zip(shares[1:], pipes[1:], strict=True)
    ]
    for child in children:
        child.start()
    _take_share(opened, job, shares[0], barrier, pipes[0][1])
    for _, answer in pipes:
        answer.close()  # so that a child that died is the end of its pipe, not silence
    answers = [answers.recv() for answers, _ in pipes]
    for child in children:
        child.join()
    return answers


def _take_share(
    opened: Opened[S],
    job: Callable[..., Coroutine[Any, Any, object]],
    share: tuple[Any, ...],
    barrier: Waitable,
    answer: "Connection[object, object]",
) -> None:
    async def run() -> object:
        async with opened() as store:
            barrier.wait(START_TOGETHER)
            return await job(store, *share)

    answer.send(asyncio.run(run()))


async def cancel_at_random(call: Callable[[int], Awaitable[None]], rounds: int) -> None:
    """Start ``call(n)`` for each round, cancel it after a random number of loop turns, and make the call after it.

    The call itself asserts that its answers are its own; of the cancelled ones the rest is awaited and ignored.
    """
    for number in range(rounds):
        doomed = asyncio.ensure_future(call(number))
        for _ in range(secrets.randbelow(TURNS)):
            await asyncio.sleep(0)
        doomed.cancel()
        await call(number + 1)
        await asyncio.wait({doomed})
        if not doomed.cancelled():
            doomed.result()
