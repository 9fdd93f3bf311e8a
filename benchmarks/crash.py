"""``kill -9`` between any two steps of a rotation, a detection and a logout; what lives when the file is reopened.

    python benchmarks/crash.py                     100 rounds at each point
    python benchmarks/crash.py --rounds 10         the short form

A process of its own does one thing with one token, says when it has come to the point, and waits; it is killed there.
Afterwards a token that was spent or revoked never lives again, no family has two live tokens, what was not done is
repeated with what the client holds, and an ending that was acknowledged stays. Leaves with 1 where any of this does
not hold.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from one_file import CLIENT, issue, live_families, on_file, refusal, register

from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices
from asgi_auth.stores import SQLiteStores

AT_ONCE = 4
TURN = 120.0
"""Seconds that a process may take: only so that nothing hangs for ever."""
REUSED, EXPIRED, REVOKED = "refresh_reused", "refresh_expired", "token_revoked"

Facts = dict[str, bool]
Check = Callable[[AuthServices, "Case"], Awaitable[Facts]]


@dataclass
class Case:
    """One family before the crash."""

    subject: str
    spent: Tokens | None
    """The pair that was exchanged already, where there is one."""
    live: Tokens
    path: Path


@dataclass(frozen=True)
class Point:
    """Where the process is killed: ``when`` a verb of a store is, while it does ``action``."""

    name: str
    action: str
    store: str
    verb: str
    when: str
    leeway: float
    check: Check


async def rotated_again(services: AuthServices, case: Case) -> Facts:
    """The client's own token is good still: it was not spent, or the leeway repeats the answer."""
    child = await services.refresh_tokens.rotate(case.live.refresh_token, client_id=CLIENT)
    grandchild = await services.refresh_tokens.rotate(child.refresh_token, client_id=CLIENT)
    return {
        "one live family": live_families(case.path, case.subject) == 1,
        "a dead parent": await why(services, case.live) == REUSED,
        "a dead child of a dead family": await why(services, grandchild) is not None,
    }


async def found_spent(services: AuthServices, case: Case) -> Facts:
    """Strict: the child that nobody has heard of dies with the token that was spent for it."""
    return {
        "one family before": live_families(case.path, case.subject) == 1,
        "reuse": await why(services, case.live) == REUSED,
        "no live family": live_families(case.path, case.subject) == 0,
        "a dead access token": await refusal(services.access_tokens.verify(case.live.access_token)) == REVOKED,
    }


async def completed(services: AuthServices, case: Case) -> Facts:
    """A detection that was cut short: the family is dead, and the next replay ends the rest of the subject."""
    assert case.spent is not None
    dead_at_once = await why(services, case.live) == EXPIRED
    replayed = await why(services, case.spent)
    access = [await refusal(services.access_tokens.verify(each.access_token)) for each in (case.live, case.spent)]
    account = await services.accounts.get(case.subject)
    return {
        "a family that is dead at once": dead_at_once,
        "reuse again": replayed == REUSED,
        "dead access tokens": access == [REVOKED, REVOKED],
        "an epoch raised once": account is not None and account.epoch == 1,
    }


async def logged_out(services: AuthServices, case: Case) -> Facts:
    """A logout that was cut short after its row: it stays, and repeating it ends the access token too."""
    dead_at_once = await why(services, case.live) == EXPIRED
    repeated = await services.refresh_tokens.revoke(case.live.refresh_token)
    return {
        "a family that is dead at once": dead_at_once,
        "a logout that can be repeated": repeated,
        "a dead access token": await refusal(services.access_tokens.verify(case.live.access_token)) == REVOKED,
    }


async def stays_out(services: AuthServices, case: Case) -> Facts:
    """A logout that was acknowledged."""
    return {
        "a dead refresh token": await why(services, case.live) == EXPIRED,
        "a dead access token": await refusal(services.access_tokens.verify(case.live.access_token)) == REVOKED,
    }


async def why(services: AuthServices, tokens: Tokens) -> str | None:
    return await refusal(services.refresh_tokens.rotate(tokens.refresh_token, client_id=CLIENT))


POINTS = [
    Point("before the advance", "rotate", "refresh_tokens", "advance", "before", 0, rotated_again),
    Point("after the advance, strict", "rotate", "refresh_tokens", "advance", "after", 0, found_spent),
    Point("after the advance, leeway", "rotate", "refresh_tokens", "advance", "after", 60, rotated_again),
    Point("before the answer, strict", "rotate", "accounts", "get", "after", 0, found_spent),
    Point("before the answer, leeway", "rotate", "accounts", "get", "after", 60, rotated_again),
    Point("reuse found, epoch not raised", "replay", "accounts", "raise_epoch", "before", 0, completed),
    Point("epoch raised, not in the feed", "replay", "revocations", "revoke", "before", 0, completed),
    Point("in the feed, nothing deleted", "replay", "refresh_tokens", "revoke_subject", "before", 0, completed),
    Point("logout: family not in the feed", "logout", "revocations", "revoke", "before", 0, logged_out),
    Point("logout: before its answer", "logout", "revocations", "revoke", "after", 0, stays_out),
    Point("logout: acknowledged", "logout", "", "", "done", 0, stays_out),
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a process at every point of what it does with a refresh token.")
    parser.add_argument("--rounds", type=int, default=100, help="rounds at each point (default 100)")
    parser.add_argument("--worker", nargs=3, metavar=("PATH", "POINT", "TOKEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("asgi_auth").addHandler(logging.NullHandler())
    if options.worker:
        path, point, token = options.worker
        asyncio.run(work(Path(path), POINTS[int(point)], token))
        return 0
    return asyncio.run(campaign(options.rounds))


async def campaign(rounds: int) -> int:
    """Every point, so many times; 1 where anything did not hold."""
    total = 0
    for number, point in enumerate(POINTS):
        with tempfile.TemporaryDirectory() as directory:
            places = asyncio.Semaphore(AT_ONCE)
            paths = [Path(directory) / f"{one}.db" for one in range(rounds)]
            rows = await asyncio.gather(*(crash(path, number, places) for path in paths))
        broken = list(chain.from_iterable(rows))
        print(f"{point.name:<34}{rounds:>6} rounds {len(broken):>4} violations {sorted(set(broken)) or ''}", flush=True)
        total += len(broken)
    return 1 if total else 0


async def crash(path: Path, number: int, places: asyncio.Semaphore) -> list[str]:
    """One round on a file of its own: prepare, kill, reopen, check; what did not hold."""
    point = POINTS[number]
    async with places:
        async with on_file(path, reuse_leeway=point.leeway) as services:
            case = await prepare(services, point, path)
        await killed(path, number, (case.spent or case.live).refresh_token)
        async with on_file(path, reuse_leeway=point.leeway) as services:
            facts = await point.check(services, case)
    return [name for name, holds in facts.items() if not holds]


async def prepare(services: AuthServices, point: Point, path: Path) -> Case:
    account = await register(services)
    live, spent = await issue(services, account), None
    if point.action == "replay":
        spent, live = live, await services.refresh_tokens.rotate(live.refresh_token, client_id=CLIENT)
    return Case(account.subject, spent, live, path)


async def killed(path: Path, number: int, token: str) -> None:
    """A process that does its work up to the point, and no further."""
    options = ["--worker", str(path), str(number), token]
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(sys.executable, __file__, *options, stdout=pipe)
    assert worker.stdout is not None
    line = await asyncio.wait_for(worker.stdout.readline(), TURN)
    worker.kill()
    await worker.wait()
    assert line == b"here\n", "the process did not come to the point"


async def work(path: Path, point: Point, token: str) -> None:
    """The process: do it, with a store that stops at the point."""
    stores = SQLiteStores(path)
    async with on_file(path, reuse_leeway=point.leeway, stores=stores) as services:
        if point.store:
            stop_at(getattr(stores, point.store), point)
        if point.action == "logout":
            await services.refresh_tokens.revoke(token)
        else:
            await refusal(services.refresh_tokens.rotate(token, client_id=CLIENT))
        await here()


def stop_at(store: Any, point: Point) -> None:
    verb = getattr(store, point.verb)

    async def stopping(*arguments: Any, **named: Any) -> Any:
        if point.when == "before":
            await here()
        answer = await verb(*arguments, **named)
        await here()
        return answer

    setattr(store, point.verb, stopping)


async def here() -> None:
    print("here", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    raise SystemExit(main())
