"""What a rate limit costs a request, at 1, 1,000 and 100,000 live keys, beside the usual peers.

    python benchmarks/rate_limit.py            the whole measurement, about three minutes
    python benchmarks/rate_limit.py --quick    a few seconds, to see that it runs

Everything runs in one process without a server, counters in memory; rounds are interleaved, medians and ratios of one
round compared. Requests come from all the live clients in turn and are all allowed. A *hit* is one without a request
around it: of ours, and of ``limits``' synchronous and asynchronous memory storage, in fixed windows (the asynchronous
one with the turn of the loop that a request is). All the peers run in process: asgi-ratelimit around the same bare
application, slowapi in Starlette, fastapi-limiter in FastAPI, whose limiter in memory is one bucket for everybody, so
that its cost does not depend on the keys. *Added* is what a request costs beyond the same framework without. Target 6:
a hit at most 1.2 of ``limits``' synchronous one, 100,000 keys at most 1.2 of one. Lines without a target are there to
be compared. Leaves with 1 where a target is missed, but never with ``--quick``.
"""

import argparse
import asyncio
import sys
from statistics import median

from rate_limiters import contenders
from rounds import Figures, interleave
from targets import Target, Value, report, whole

CALLS = 2_000
KEYS = (1, 1_000, 100_000)


def added(name: str, bare: str, keys: int) -> Value:
    return lambda figures: figures[f"{name} @{keys}"] - figures[f"{bare} @{keys}"]


def hit(name: str, keys: int) -> Value:
    return whole(f"hit: {name} @{keys}")


def targets(keys: tuple[int, ...]) -> list[Target]:
    most = keys[-1]
    ours = {number: added("asgi_auth", "bare application", number) for number in keys}
    lines = [
        Target(
            6,
            f"a hit at {n:,} keys : limits, synchronous",
            hit("asgi_auth", n),
            hit("limits, synchronous", n),
            at_most=1.2,
        )
        for n in keys
    ]
    return [
        *lines,
        Target(6, f"added to a request, {most:,} keys : one key", ours[most], ours[1], at_most=1.2),
        Target(None, f"a hit, {most:,} keys : one key", hit("asgi_auth", most), hit("asgi_auth", 1)),
        Target(
            None, "limits, asynchronous: the same", hit("limits, asynchronous", most), hit("limits, asynchronous", 1)
        ),
        Target(
            None,
            f"asgi-ratelimit : asgi_auth, added at {most:,}",
            added("asgi-ratelimit", "bare application", most),
            ours[most],
        ),
        Target(
            None, f"slowapi : asgi_auth, added at {most:,}", added("Starlette, slowapi", "Starlette", most), ours[most]
        ),
        Target(
            None,
            f"fastapi-limiter : asgi_auth, added at {most:,}",
            added("FastAPI, fastapi-limiter", "FastAPI", most),
            ours[most],
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="The cost of a rate limit, beside the usual peers.")
    parser.add_argument("--rounds", type=int, default=21, help="interleaved rounds (default 21)")
    parser.add_argument("--quick", action="store_true", help="2 rounds, 2,000 keys at most: the figures mean little")
    arguments = parser.parse_args()
    rounds, keys = (2, (1, 100, 2_000)) if arguments.quick else (arguments.rounds, KEYS)
    figures = asyncio.run(measure(keys, rounds))
    print(f"Python {sys.version.split()[0]}, medians of {rounds} rounds, in µs\n")
    print(f"{'live keys':<28}" + "".join(f"{number:>12,}" for number in keys))
    for name in dict.fromkeys(name.rpartition(" @")[0] for name in figures):
        print(f"{name:<28}" + "".join(f"{median(figures[f'{name} @{number}']) * 1e6:12.2f}" for number in keys))
    return 0 if report(targets(keys), figures) or arguments.quick else 1


async def measure(keys: tuple[int, ...], rounds: int) -> Figures:
    """Seconds a call, by name and number of keys, one figure a round."""
    todo = {f"{name} @{number}": work for number in keys for name, work in (await contenders(number, CALLS)).items()}
    return await interleave(todo, rounds)


if __name__ == "__main__":
    raise SystemExit(main())
