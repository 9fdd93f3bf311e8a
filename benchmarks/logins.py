"""What logins do to everything else on their event loop: hashed in the pool, and inline for comparison.

    python benchmarks/logins.py            the whole measurement, about a minute
    python benchmarks/logins.py --quick    a few seconds, to see that it runs

Eight logins are in flight, on a loop that is half busy with other work. Rounds are interleaved and medians compared.
Target 13: at least 0.95 of the inline rate, a loop lag (p99) at most 1 ms above that without logins, other work at
least 0.95 of what it is without logins. Needs two CPUs. Leaves with 1 where a target is missed, but never with
``--quick``.
"""

import argparse
import asyncio
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import TypeVar

from asgi_auth.accounts import Accounts
from asgi_auth.authorization import Roles
from asgi_auth.hashing_pool import HashingPool
from asgi_auth.passwords import PasswordHasher, PasswordPolicy
from asgi_auth.stores.memory import MemoryAccounts

EMAIL, PASSWORD = "anna@example.com", "correct horse battery staple"
IN_FLIGHT = 8
BUSY, IDLE = 0.0005, 0.0005
"""Seconds of work and of rest, in turn: a loop that is half busy."""

T = TypeVar("T")
Figures = dict[str, list[float]]


class Inline(HashingPool):
    """No pool at all: the work is done where it is asked for."""

    async def run(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, while everything else waits."""
        await asyncio.sleep(0)
        return function()


def main() -> int:
    parser = argparse.ArgumentParser(description="Logins in the hashing pool and inline.")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each part of a round (default 2)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.3 s: the figures mean little")
    arguments = parser.parse_args()
    rounds, seconds = (2, 0.3) if arguments.quick else (arguments.rounds, arguments.seconds)
    figures: Figures = defaultdict(list)
    for _ in range(rounds):
        for name, hashing in (("none", None), ("inline", Inline()), ("pool", HashingPool())):
            asyncio.run(measure(name, hashing, seconds, figures))
    return 0 if report(figures) or arguments.quick else 1


async def measure(name: str, hashing: HashingPool | None, seconds: float, figures: Figures) -> None:
    """One part of a round: ``hashing`` None means no logins at all."""
    accounts = await one_account(hashing or HashingPool())
    ends = time.perf_counter() + seconds
    logins = [log_in(accounts, ends) for _ in range(IN_FLIGHT if hashing else 0)]
    lags, other, counts = await asyncio.gather(lag(ends), other_work(ends), asyncio.gather(*logins))
    took = time.perf_counter() - ends + seconds
    await accounts.close()
    figures[f"{name}: logins/s"].append(sum(counts) / took)
    figures[f"{name}: other work/s"].append(other / took)
    figures[f"{name}: lag p99 ms"].append(1_000 * p99(lags))


async def one_account(hashing: HashingPool) -> Accounts:
    accounts = Accounts(
        MemoryAccounts(),
        passwords=PasswordHasher(),
        password_policy=PasswordPolicy(),
        revocations=None,
        roles=Roles({}),
        credential_lifetime=900,
        hashing=hashing,
    )
    await accounts.open()
    await accounts.register(EMAIL, PASSWORD)
    return accounts


async def log_in(accounts: Accounts, ends: float) -> int:
    """Log in again and again; how often."""
    count = 0
    while time.perf_counter() < ends:
        await accounts.authenticate(EMAIL, PASSWORD)
        count += 1
    return count


async def other_work(ends: float) -> int:
    """Keep the loop half busy; how many pieces of work were done."""
    count = 0
    while (now := time.perf_counter()) < ends:
        while time.perf_counter() < now + BUSY:
            pass
        count += 1
        await asyncio.sleep(IDLE)
    return count


async def lag(ends: float) -> list[float]:
    """How many seconds after its time each of many short sleeps ended."""
    late = []
    while (now := time.perf_counter()) < ends:
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - now - 0.001)
    return late


def p99(values: list[float]) -> float:
    # By nearest rank, since a loop that hashes inline may let the clock be read only once.
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def report(figures: Figures) -> bool:
    middle = {name: median(values) for name, values in figures.items()}
    for name, value in middle.items():
        print(f"{name:<24}{value:10.2f}")
    met = [
        line("logins, pool : inline", middle["pool: logins/s"] / middle["inline: logins/s"], at_least=0.95),
        line("other work, pool : none", middle["pool: other work/s"] / middle["none: other work/s"], at_least=0.95),
        line("lag p99 ms, pool - none", middle["pool: lag p99 ms"] - middle["none: lag p99 ms"], at_most=1.0),
    ]
    return all(met)


def line(what: str, figure: float, *, at_least: float = float("-inf"), at_most: float = float("inf")) -> bool:
    met = at_least <= figure <= at_most
    limit = f"at least {at_least}" if at_most == float("inf") else f"at most {at_most}"
    print(f"13  {what:<26}{figure:8.3f}   {limit:<16}{'met' if met else 'MISSED'}")
    return met


if __name__ == "__main__":
    sys.exit(main())
