"""What a session costs a request, beside a hand-written floor, Starlette's signed cookie and starsessions.

    python benchmarks/sessions.py            the whole measurement, about two minutes
    python benchmarks/sessions.py --quick    a few seconds, to see that it runs

Everything runs in one process without a server, sessions in memory; rounds are interleaved, medians and ratios of one
round compared. *Added* is what a request costs beyond the same thing without the session. The request carries a valid
cookie, and the application changes nothing. Ours is SessionMiddleware behind BearerMiddleware, where AuthStack has it
(the edge is the outer layer's, and benchmarks/bearer.py counts it); the floor does in the same place what such a layer
must: find the header and the cookie, take a digest, ask an asynchronous store, compare, look at the clock, copy the
scope, and mark the answer with Vary and Cache-Control. Target 5: at most 2 of the floor, 4 times cheaper than
Starlette's SessionMiddleware. Lines without a target are there to be compared. Leaves with 1 where a target is missed,
but never with ``--quick``.
"""

import argparse
import asyncio
import sys
from statistics import median

from rounds import interleave
from sessions_warm import warm_contenders
from targets import Target, Value, added, report

CALLS = 2_000


def beyond(name: str, bare: str) -> Value:
    return lambda figures: figures[name] - figures[bare]


LAYER, FLOOR = beyond("bearer, asgi_auth", "bearer alone"), beyond("bearer, floor", "bearer alone")
TARGETS = (
    Target(5, "added by the layer : floor", LAYER, FLOOR, at_most=2.0),
    Target(5, "Starlette's SessionMiddleware : asgi_auth, added", added("Starlette"), LAYER, at_least=4),
    Target(None, "alone with its edge: added by the layer : floor", added("asgi_auth"), added("floor")),
    Target(None, "Starlette : asgi_auth alone with its edge, added", added("Starlette"), added("asgi_auth")),
    Target(None, "starsessions in memory : asgi_auth, added", added("starsessions"), LAYER),
    Target(None, "without a cookie: added by the layer, in µs", beyond("no cookie", "bearer alone"), lambda _: 1e-6),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="A session's cost, beside a floor and the usual peers.")
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default 41)")
    parser.add_argument("--quick", action="store_true", help="3 rounds: the figures mean little")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    figures = asyncio.run(measure(rounds))
    print(f"Python {sys.version.split()[0]}, medians of {rounds} rounds\n")
    for name in figures:
        print(f"{name:<28} {median(figures[name]) * 1e6:10.2f} µs")
    return 0 if report(TARGETS, figures) or arguments.quick else 1


async def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds a call, by name, one figure a round."""
    return await interleave(await warm_contenders(CALLS), rounds)


if __name__ == "__main__":
    raise SystemExit(main())
