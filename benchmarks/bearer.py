"""What a bearer token costs a request: warm and cold, beside hand-written floors and the usual peers.

    python benchmarks/bearer.py            the whole measurement, about two minutes
    python benchmarks/bearer.py --quick    a few seconds, to see that it runs

Everything runs in one process without a server; rounds are interleaved, medians and ratios of one round compared.
*Added* is what a request costs beyond the bare application. Warm is the whole BearerMiddleware, its edge included, on
a token seen before; cold is one verification from the signature up, of a token with the seven claims that RFC 9068
requires (ours have twelve: "all claims"). Targets: 1 (warm: at most 2.0 of the floor, 20 times cheaper than
Starlette's AuthenticationMiddleware with PyJWT), 2 (cold HS256: at most 1.25 of the floor, 4.5 times faster than
PyJWT, 2.3 times faster than the best peer), 3 (over the raw verification: RS256 1.5, ES256 1.2, EdDSA 1.15). Leaves
with 1 where a target is missed, but never with ``--quick``.
"""

import argparse
import asyncio
import sys
from statistics import median

from bearer_cold import cold_contenders
from bearer_warm import warm_contenders
from rounds import Figures, Work, interleave
from targets import Target, added, best, by_round, report, whole

from asgi_auth.keys import Algorithm

SIGNED: tuple[Algorithm, ...] = ("HS256", "RS256", "ES256", "EdDSA")
WARM_CALLS, COLD_CALLS = 2_000, 200

TARGETS = (
    Target(1, "warm: added by BearerMiddleware : floor", added("asgi_auth warm"), added("floor warm"), at_most=2.0),
    Target(
        1,
        "warm: Starlette + PyJWT (HS256) : asgi_auth, added",
        added("Starlette + PyJWT HS256"),
        added("asgi_auth warm"),
        at_least=20,
    ),
    Target(2, "cold HS256: asgi_auth : floor", whole("asgi_auth HS256"), whole("floor HS256"), at_most=1.25),
    Target(2, "cold HS256: PyJWT : asgi_auth", whole("PyJWT HS256"), whole("asgi_auth HS256"), at_least=4.5),
    Target(
        2,
        "cold HS256: best peer : asgi_auth",
        best("PyJWT HS256", "joserfc HS256"),
        whole("asgi_auth HS256"),
        at_least=2.3,
    ),
    Target(3, "cold RS256: asgi_auth : raw verification", whole("asgi_auth RS256"), whole("raw RS256"), at_most=1.5),
    Target(3, "cold ES256: asgi_auth : raw verification", whole("asgi_auth ES256"), whole("raw ES256"), at_most=1.2),
    Target(3, "cold EdDSA: asgi_auth : raw verification", whole("asgi_auth EdDSA"), whole("raw EdDSA"), at_most=1.15),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Bearer tokens, warm and cold, beside floors and peers.")
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default 41)")
    parser.add_argument("--quick", action="store_true", help="3 rounds: the figures mean little")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(3 if arguments.quick else arguments.rounds))
    return 0 if show(figures) or arguments.quick else 1


async def measure(rounds: int) -> Figures:
    """Seconds a call, by name, one figure a round."""
    todo: dict[str, Work] = await warm_contenders(WARM_CALLS)
    for algorithm in SIGNED:
        todo |= cold_contenders(algorithm, COLD_CALLS)
    return await interleave(todo, rounds)


def show(figures: Figures) -> bool:
    """Print both tables; whether every target is met."""
    rounds = by_round(figures)
    print(f"Python {sys.version.split()[0]}, medians of {len(rounds)} rounds\n")
    print(f"{'':<28} {'µs a call':>10} {'added µs':>10}")
    for name in figures:
        is_request = " warm" in name or "Starlette" in name or "authorization" in name
        extra = f"{median(map(added(name), rounds)) * 1e6:10.2f}" if is_request else ""
        print(f"{name:<28} {median(figures[name]) * 1e6:10.2f} {extra}")
    return report(TARGETS, figures)


if __name__ == "__main__":
    raise SystemExit(main())
