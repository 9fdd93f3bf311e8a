"""Guessers in several processes try one account's password at once, from many addresses; how often its hash is asked.

    python benchmarks/guessing.py                  200 guesses from 50 addresses in 4 processes, 100 rounds
    python benchmarks/guessing.py --guesses 40 --addresses 10 --processes 2 --rounds 3 --json

Every round has an account of its own on one SQLite file and lasts two windows. Counted is at the hasher: verifications
against the stored hash, dummy hashes apart. In each window they are as many as the limit admits, however the guesses
meet; every guess has the one answer of a wrong password; and the right password, tried by a process that starts
afterwards, is refused unseen. Leaves with 1 where any of this does not hold.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from asgi_auth.errors import Refusal
from asgi_auth.keys import SigningKeys
from asgi_auth.lockout import Limit, Lockout, Visitor
from asgi_auth.passwords import TESTING, PasswordHasher
from asgi_auth.services import AuthServices
from asgi_auth.stores import SQLiteStores
from asgi_auth.testing.clock import FakeClock

PASSWORD = "correct horse battery staple"
ADMITTED, WINDOW = 5, 900.0
BEGIN = 1_800_000_000.0
TURN = 120.0
"""Seconds that a round may take: only so that nothing hangs for ever."""


class CountingHasher(PasswordHasher):
    """Counts verifications against a stored hash."""

    asked = 0

    def verify(self, password: str, hash: str | None) -> bool:
        """Whether ``hash`` was made from ``password``."""
        self.asked += hash is not None
        return super().verify(password, hash)


@dataclass
class Result:
    """The sum of all rounds; printed as JSON."""

    guesses: int
    addresses: int
    processes: int
    rounds: int = 0
    windows: int = 0
    asked: int = 0
    """Verifications against a stored hash."""
    most: int = 0
    """The most of them in one window."""
    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def check(self, **facts: bool) -> None:
        """Note each fact that does not hold."""
        self.violations += [f"round {self.rounds}: not {name}" for name, holds in facts.items() if not holds]


def main() -> int:
    parser = argparse.ArgumentParser(description="Many guess one account's password at once.")
    parser.add_argument("--guesses", type=int, default=200, help="guesses in each window (default 200)")
    parser.add_argument("--addresses", type=int, default=50, help="addresses they come from (default 50)")
    parser.add_argument("--processes", type=int, default=4, help="processes (default 4)")
    parser.add_argument("--rounds", type=int, default=100, help="rounds of two windows each (default 100)")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        asyncio.run(work(options.worker))
        return 0
    result = Result(options.guesses, options.addresses, options.processes)
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        asyncio.run(run(result, Path(directory) / "auth.db", options.rounds))
        result.seconds = round(time.perf_counter() - started, 1)
    report(result, options.json)
    return 1 if result.violations else 0


def on_file(path: Path, passwords: PasswordHasher, clock: FakeClock) -> AuthServices:
    """The services of one process. Everybody's limit would end the attack before it is one."""
    return AuthServices(
        stores=SQLiteStores(path),
        issuer="https://api.example",
        signing_keys=SigningKeys.load_or_generate(path.with_suffix(".keys"), "ES256"),
        passwords=passwords,
        lockout=Lockout(account=(Limit(ADMITTED, WINDOW),), everybody=()),
        clock=clock,
    )


async def run(result: Result, path: Path, rounds: int) -> None:
    async with on_file(path, PasswordHasher(TESTING), FakeClock(BEGIN)) as services:
        workers = [await start(path) for _ in range(result.processes)]
        for _ in range(rounds):
            account = await services.accounts.register(f"{token_hex(8)}@example.com", PASSWORD)
            result.rounds += 1
            for window in range(2):
                await play(result, workers, account.email, BEGIN + window * WINDOW)
            await try_after_a_start(result, path, account.email, BEGIN + 2 * WINDOW - 1)
        for worker in workers:
            stdin_of(worker).close()
            await asyncio.wait_for(worker.wait(), TURN)


async def start(path: Path) -> asyncio.subprocess.Process:
    """A process with services of its own, which waits for the first window."""
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--worker", str(path), stdin=pipe, stdout=pipe, limit=1 << 22
    )
    await answer(worker)
    return worker


def stdin_of(worker: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    assert worker.stdin is not None
    return worker.stdin


async def answer(worker: asyncio.subprocess.Process) -> bytes:
    assert worker.stdout is not None
    line = await asyncio.wait_for(worker.stdout.readline(), TURN)
    assert line, "a process ended before its time"
    return line


async def play(result: Result, workers: list[asyncio.subprocess.Process], email: str, now: float) -> None:
    """One window: every process gets its share of the guesses."""
    addresses = [f"{result.windows}.{number % result.addresses}" for number in range(result.guesses)]
    for number, worker in enumerate(workers):
        share = {"email": email, "now": now, "addresses": addresses[number :: len(workers)]}
        stdin_of(worker).write(json.dumps(share).encode() + b"\n")
    told = [json.loads(line) for line in await asyncio.gather(*map(answer, workers))]
    asked = sum(one["asked"] for one in told)
    answers = sum((Counter(one["answers"]) for one in told), Counter[str]())
    result.windows += 1
    result.asked += asked
    result.most = max(result.most, asked)
    result.answers += answers
    result.check(
        **{
            f"{ADMITTED} verifications in a window but {asked}": asked == ADMITTED,
            f"one answer to every guess but {dict(answers)}": answers == {"401 invalid_credentials": result.guesses},
        }
    )


async def work(path: Path) -> None:
    """The life of one process: a line in, its guesses at once, a line out; to the end of stdin."""
    passwords, clock = CountingHasher(TESTING), FakeClock(BEGIN)
    async with on_file(path, passwords, clock) as services:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            share = json.loads(line)
            clock.step(share["now"] - clock.now())
            passwords.asked = 0
            guesses = (guess(services, share["email"], "a guess", address) for address in share["addresses"])
            answers = Counter(await asyncio.gather(*guesses))
            print(json.dumps({"asked": passwords.asked, "answers": answers}), flush=True)


async def guess(services: AuthServices, email: str, password: str, address: str) -> str:
    """One guess, and the answer to it."""
    try:
        await services.accounts.authenticate(email, password, visitor=Visitor(address))
    except Refusal as refusal:
        return f"{refusal.status_code} {refusal.code}"
    return "200"


async def try_after_a_start(result: Result, path: Path, email: str, now: float) -> None:
    passwords = CountingHasher(TESTING)
    async with on_file(path, passwords, FakeClock(now)) as services:
        told = await guess(services, email, PASSWORD, f"round {result.rounds}")
    result.check(
        **{
            "a refusal of the right password after a start": told == "401 invalid_credentials",
            "a stored hash that nobody asked": passwords.asked == 0,
        }
    )


def report(result: Result, as_json: bool) -> None:
    told: dict[str, Any] = vars(result)
    if as_json:
        print(json.dumps(told))
        return
    print(f"{result.guesses} guesses from {result.addresses} addresses in {result.processes} processes")
    for name in ("rounds", "windows", "asked", "most", "seconds"):
        print(f"    {name:<12}{told[name]:>10,}")
    print(f"    {'violations':<12}{len(result.violations):>10,}")
    for violation in result.violations[:20]:
        print(f"    {violation}")


if __name__ == "__main__":
    raise SystemExit(main())
