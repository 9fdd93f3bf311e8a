"""What an API key costs a request: warm and cold, beside a hand-written floor and FastAPI's APIKeyHeader.

    python benchmarks/api_keys.py            the whole measurement, about two minutes
    python benchmarks/api_keys.py --quick    a few seconds, to see that it runs

Everything runs in one process without a server; rounds are interleaved, medians and ratios of one round compared.
*Added* is what a request costs beyond the same thing without the keys. Warm is APIKeyMiddleware behind
BearerMiddleware, where AuthStack has it (the edge is the outer layer's, and benchmarks/bearer.py counts it), on a key
seen before; the floor does in the same place what such a layer must: find the header, take its digest, look it up, look
at the clock, copy the scope, and mark the answer with Vary and Cache-Control. Cold is one verification of a key that is
not in the cache, among ``--keys`` keys in SQLite or a thousand in memory. Target 4: at most 1.7 of the floor, 12 times
cheaper than FastAPI's dependency is to a bare FastAPI. Lines without a target are there to be compared. Leaves with 1
where a target is missed, but never with ``--quick``.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from api_keys_cold import cold_contenders
from api_keys_warm import warm_contenders
from rounds import Figures, Work, interleave
from targets import Target, Value, report, whole

WARM_CALLS, COLD_CALLS = 2_000, 200


def beyond(name: str, bare: str) -> Value:
    return lambda figures: figures[name] - figures[bare]


LAYER = beyond("bearer, asgi_auth", "bearer alone")
TARGETS = (
    Target(4, "warm: added by the layer : floor", LAYER, beyond("bearer, floor", "bearer alone"), at_most=1.7),
    Target(
        4,
        "warm: FastAPI APIKeyHeader : asgi_auth, added",
        beyond("FastAPI + APIKeyHeader", "FastAPI alone"),
        LAYER,
        at_least=12,
    ),
    Target(
        None,
        "warm, alone with its edge: added by the layer : floor",
        beyond("asgi_auth", "bare application"),
        beyond("floor", "bare application"),
    ),
    Target(
        None,
        "the same, and a floor that leaves the answer unmarked",
        beyond("asgi_auth", "bare application"),
        beyond("floor, unmarked", "bare application"),
    ),
    Target(
        None,
        "warm: FastAPI APIKeyHeader : floor, added",
        beyond("FastAPI + APIKeyHeader", "FastAPI alone"),
        beyond("bearer, floor", "bearer alone"),
    ),
    Target(None, "cold, SQLite: verification : reading the row alone", whole("cold SQLite"), whole("row SQLite")),
    Target(None, "cold, SQLite: unknown id : reading the row alone", whole("unknown SQLite"), whole("row SQLite")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="API keys, warm and cold, beside a floor and FastAPI.")
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default 41)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys in the table (default 1,000,000)")
    parser.add_argument("--quick", action="store_true", help="3 rounds and 10,000 keys: the figures mean little")
    arguments = parser.parse_args()
    rounds, keys = (3, 10_000) if arguments.quick else (arguments.rounds, arguments.keys)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(rounds, keys, Path(folder) / "auth.db"))
    print(f"Python {sys.version.split()[0]}, {keys:,} keys in SQLite, medians of {rounds} rounds\n")
    for name in figures:
        print(f"{name:<28} {median(figures[name]) * 1e6:10.2f} µs")
    return 0 if report(TARGETS, figures) or arguments.quick else 1


async def measure(rounds: int, keys: int, path: Path) -> Figures:
    """Seconds a call, by name, one figure a round."""
    todo: dict[str, Work] = await warm_contenders(WARM_CALLS)
    async with cold_contenders(path, keys, COLD_CALLS) as cold:
        return await interleave(todo | cold, rounds)


if __name__ == "__main__":
    raise SystemExit(main())
