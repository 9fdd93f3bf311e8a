"""Timing several things side by side: interleaved rounds, one figure a round."""

import gc
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Figures", "Work", "interleave"]

Figures = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Work:
    """``run`` does the work ``calls`` times."""

    run: Callable[[], Awaitable[None]]
    calls: int


async def interleave(todo: dict[str, Work], rounds: int) -> Figures:
    """Seconds a call, by name; every round goes through all of it, to and fro, and the first one warms up."""
    figures: Figures = defaultdict(list)
    gc.collect()
    gc.freeze()
    for number in range(rounds + 1):
        for name, work in reversed(todo.items()) if number % 2 else iter(todo.items()):
            started = time.perf_counter()
            await work.run()
            elapsed = time.perf_counter() - started
            if number:
                figures[name].append(elapsed / work.calls)
    return {name: figures[name] for name in todo}
