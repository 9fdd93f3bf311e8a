"""Targets: one line each, of ratios taken within the rounds of one run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from rounds import Figures

__all__ = ["Target", "added", "best", "by_round", "report", "whole"]

Value = Callable[[dict[str, float]], float]


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table: the median of a ratio of two figures, taken in each round; without a number no target."""

    number: int | None
    what: str
    over: Value
    under: Value
    at_most: float | None = None
    at_least: float | None = None

    def report(self, rounds: list[dict[str, float]]) -> bool:
        """Print the line; whether the target is met."""
        ratio = median(self.over(figures) / self.under(figures) for figures in rounds)
        if self.number is None:
            print(f"    {self.what:<58} {ratio:8.2f}")
            return True
        met = ratio <= self.at_most if self.at_most is not None else ratio >= (self.at_least or 0)
        limit = f"<= {self.at_most}" if self.at_most is not None else f">= {self.at_least}"
        print(f"{self.number:>3} {self.what:<58} {ratio:8.2f} {limit:>8}  {'pass' if met else 'FAIL'}")
        return met


def added(name: str) -> Value:
    return lambda figures: figures[name] - figures["bare application"]


def whole(name: str) -> Value:
    return lambda figures: figures[name]


def best(*names: str) -> Value:
    return lambda figures: min(figures[name] for name in names)


def by_round(figures: Figures) -> list[dict[str, float]]:
    """The figures of each round, by name."""
    return [dict(zip(figures, values, strict=True)) for values in zip(*figures.values(), strict=True)]


def report(targets: Iterable[Target], figures: Figures) -> bool:
    """Print the table; whether every target is met."""
    rounds = by_round(figures)
    print(f"\n{'#':>3} {'what':<58} {'ratio':>8} {'target':>8}")
    met = [target.report(rounds) for target in targets]
    return all(met)
