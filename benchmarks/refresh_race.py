"""Many callers in several processes present one refresh token at once; who gets what, and what lives afterwards.

    python benchmarks/refresh_race.py                      64 tasks x 4 processes, 1,000 rounds of each mode
    python benchmarks/refresh_race.py --tasks 16 --processes 2 --rounds 50 --mode strict --json

Every round has an account and a token of its own. The processes live through all rounds: a line on stdin releases a
round in each, a line on stdout tells what came of it. Strict: of all calls one wins, all others are reuse, and one of
these is the first; the family and everything of its subject are dead, for every process and after a restart. Leeway:
every call has the same answer, its family goes on, and a token from before the parent ends it. Leaves with 1 where any
of this does not hold.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from one_file import CLIENT, issue, live_families, on_file, refusal, register

from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices

LEEWAY = {"strict": 0.0, "leeway": 60.0}
REUSED, REVOKED = "refresh_reused", "token_revoked"
TURN = 120.0
"""Seconds that a round may take: only so that nothing hangs for ever."""


@dataclass
class Outcome:
    """What came of a round's calls, in one process or in all of them."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    """Access and refresh token of each call that was answered."""
    refused: Counter[str] = field(default_factory=Counter)
    first: int = 0
    """How often the reuse was found for the first time: one line in the log each."""
    living: int = 0
    """Processes that still accept the access token of before the race."""


@dataclass(frozen=True)
class Round:
    """A race that is over."""

    subject: str
    before: Tokens
    outcome: Outcome


@dataclass
class Result:
    """The sum of all rounds; printed as JSON."""

    mode: str
    tasks: int
    processes: int
    rounds: int = 0
    calls: int = 0
    pairs: int = 0
    reused: int = 0
    first: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def check(self, number: int, **facts: bool) -> None:
        """Note each fact that does not hold."""
        self.violations += [f"round {number}: not {name}" for name, holds in facts.items() if not holds]

    def add(self, outcome: Outcome) -> None:
        """Count one more round."""
        self.rounds += 1
        self.calls += self.tasks * self.processes
        self.pairs += len(outcome.pairs)
        self.reused += outcome.refused[REUSED]
        self.first += outcome.first


class FirstReuses(logging.Handler):
    """Counts what the log says of reuse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more, if it is one."""
        self.count += record.getMessage().startswith("refresh token reused")


def main() -> int:
    parser = argparse.ArgumentParser(description="The race for one refresh token.")
    parser.add_argument("--tasks", type=int, default=64, help="callers in each process (default 64)")
    parser.add_argument("--processes", type=int, default=4, help="processes (default 4)")
    parser.add_argument("--rounds", type=int, default=1000, help="rounds of each mode (default 1000)")
    parser.add_argument("--mode", choices=(*LEEWAY, "both"), default="both")
    parser.add_argument("--json", action="store_true", help="one line of JSON a mode instead of the table")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        asyncio.run(work(options.worker, options.mode, options.tasks))
        return 0
    logging.getLogger("asgi_auth").addHandler(logging.NullHandler())
    modes = LEEWAY if options.mode == "both" else (options.mode,)
    results = [race(Result(mode, options.tasks, options.processes), options.rounds, options.json) for mode in modes]
    report(results, options.json)
    return 1 if any(result.violations for result in results) else 0


def race(result: Result, rounds: int, quiet: bool) -> Result:
    """All rounds of one mode, on a file of their own."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        asyncio.run(run(result, Path(directory) / "auth.db", rounds, quiet))
        result.seconds = round(time.perf_counter() - started, 1)
    return result


async def run(result: Result, path: Path, rounds: int, quiet: bool) -> None:
    played = []
    async with on_file(path, reuse_leeway=LEEWAY[result.mode]) as services:
        workers = [await start(path, result) for _ in range(result.processes)]
        for number in range(1, rounds + 1):
            played.append(await play(services, workers))
            result.add(played[-1].outcome)
            check_race(result, number, path, played[-1])
            if not quiet and number % 50 == 0:
                print(f"{result.mode}: {number} rounds, {len(result.violations)} violations", file=sys.stderr)
        for worker in workers:
            stdin_of(worker).close()
            await asyncio.wait_for(worker.wait(), TURN)
    check_after = check_dead if result.mode == "strict" else check_goes_on
    async with on_file(path, reuse_leeway=LEEWAY[result.mode]) as restarted:
        for number, one in enumerate(played, 1):
            await check_after(result, number, restarted, one)


async def start(path: Path, result: Result) -> asyncio.subprocess.Process:
    """A process with services of its own, which waits for the first round."""
    options = ["--worker", str(path), "--mode", result.mode, "--tasks", str(result.tasks)]
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *options, stdin=pipe, stdout=pipe, limit=1 << 22
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


async def play(services: AuthServices, workers: list[asyncio.subprocess.Process]) -> Round:
    account = await register(services)
    tokens = await issue(services, account)
    for worker in workers:
        stdin_of(worker).write(json.dumps([tokens.access_token, tokens.refresh_token]).encode() + b"\n")
    outcome = Outcome()
    for line in await asyncio.gather(*map(answer, workers)):
        told = json.loads(line)
        outcome.pairs += map(tuple, told["pairs"])
        outcome.refused.update(told["refused"])
        outcome.first += told["first"]
        outcome.living += told["living"]
    return Round(account.subject, tokens, outcome)


async def work(path: Path, mode: str, tasks: int) -> None:
    """The life of one process: a line in, a race, a line out; to the end of stdin."""
    reuses = FirstReuses()
    logging.getLogger("asgi_auth.refresh_tokens").addHandler(reuses)
    async with on_file(path, reuse_leeway=LEEWAY[mode]) as services:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            access_token, refresh_token = json.loads(line)
            reuses.count, outcome = 0, Outcome()
            await asyncio.gather(*(call(services, refresh_token, outcome) for _ in range(tasks)))
            outcome.first = reuses.count
            outcome.living = int(await refusal(services.access_tokens.verify(access_token)) is None)
            print(json.dumps(vars(outcome)), flush=True)


async def call(services: AuthServices, refresh_token: str, outcome: Outcome) -> None:
    """One caller."""

    async def rotate() -> None:
        tokens = await services.refresh_tokens.rotate(refresh_token, client_id=CLIENT)
        outcome.pairs.append((tokens.access_token, tokens.refresh_token))

    why = await refusal(rotate())
    if why is not None:
        outcome.refused[why] += 1


def check_race(result: Result, number: int, path: Path, one: Round) -> None:
    """What holds as soon as every call has its answer."""
    calls, outcome = result.tasks * result.processes, one.outcome
    if result.mode == "leeway":
        result.check(
            number,
            **{
                "an answer for every call": len(outcome.pairs) == calls and not outcome.refused,
                "the same refresh token for every call": len({child for _, child in outcome.pairs}) == 1,
                "a silent log": outcome.first == 0,
                "one live family": live_families(path, one.subject) == 1,
                "an access token that every process accepts": outcome.living == result.processes,
            },
        )
        return
    result.check(
        number,
        **{
            "one winner": len(outcome.pairs) == 1,
            "reuse for all others": outcome.refused[REUSED] == calls - 1,
            "one first reuse": outcome.first == 1,
            "a dead family": live_families(path, one.subject) == 0,
            "an access token that every process refuses": outcome.living == 0,
            f"an answer without {set(outcome.refused) - {REUSED}}": set(outcome.refused) <= {REUSED},
        },
    )


async def check_dead(result: Result, number: int, services: AuthServices, one: Round) -> None:
    """After a restart nothing of the subject lives: neither what the winner got nor what was there before."""
    account = await services.accounts.get(one.subject)
    result.check(number, **{"an epoch raised once": account is not None and account.epoch == 1})
    for access_token in (one.before.access_token, *(access for access, _ in one.outcome.pairs)):
        why = await refusal(services.access_tokens.verify(access_token))
        result.check(number, **{"a revoked access token after a restart": why == REVOKED})
    for _, child in one.outcome.pairs:
        why = await refusal(services.refresh_tokens.rotate(child, client_id=CLIENT))
        result.check(number, **{"a dead child after a restart": why == "refresh_expired"})
    why = await refusal(services.refresh_tokens.rotate(one.before.refresh_token, client_id=CLIENT))
    result.check(number, **{"reuse after a restart": why == REUSED})


async def check_goes_on(result: Result, number: int, services: AuthServices, one: Round) -> None:
    """R1 -> R2 -> R3 goes on after a restart; then R1 again ends the family."""
    parent, children = one.before.refresh_token, [child for _, child in one.outcome.pairs[:1]]
    for child in children:
        grandchild = await services.refresh_tokens.rotate(child, client_id=CLIENT)
        why = await refusal(services.refresh_tokens.rotate(parent, client_id=CLIENT))
        result.check(number, **{"reuse where the grandparent comes back": why == REUSED})
        for token in (grandchild.refresh_token, child):
            why = await refusal(services.refresh_tokens.rotate(token, client_id=CLIENT))
            result.check(number, **{"a dead family after that": why is not None})
        why = await refusal(services.access_tokens.verify(grandchild.access_token))
        result.check(number, **{"a revoked access token after that": why == REVOKED})


def report(results: list[Result], as_json: bool) -> None:
    for result in results:
        if as_json:
            print(json.dumps(asdict(result)))
            continue
        print(f"{result.mode}: {result.tasks} tasks x {result.processes} processes, {result.seconds} s")
        for name in ("rounds", "calls", "pairs", "reused", "first"):
            print(f"    {name:<12}{getattr(result, name):>10,}")
        print(f"    {'violations':<12}{len(result.violations):>10,}")
        for violation in result.violations[:20]:
            print(f"    {violation}")


if __name__ == "__main__":
    raise SystemExit(main())
