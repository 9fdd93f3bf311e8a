"""What every test shares: the event loop, the property profiles, and the count of proved requirements."""

import os
from collections import defaultdict
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from asgi_auth.testing.clock import FakeClock

REQUIREMENTS = 100
PROOFS = ("holds", "refuses")

settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=50_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_passed: dict[str, set[str]] = defaultdict(set)
_failed: dict[str, set[str]] = defaultdict(set)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" or report.failed:
        for mark in item.iter_markers("requirement"):
            number, proof = mark.args
            (_passed if report.passed else _failed)[number].add(proof)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = {f"R-{number}" for number in range(1, REQUIREMENTS + 1)}
    for item in items:
        # The shipped contract notes what it proves in its own way, since an application's tests know no such mark.
        for number, proof in getattr(getattr(item, "function", None), "proves", ()):
            item.add_marker(pytest.mark.requirement(number, proof))
        for mark in item.iter_markers("requirement"):
            number, proof = mark.args
            if number not in known or proof not in PROOFS:
                raise pytest.UsageError(f"{item.nodeid}: requirement({number!r}, {proof!r}) names nothing")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    numbers = [f"R-{number}" for number in range(1, REQUIREMENTS + 1)]
    whole = [number for number in numbers if _passed[number] - _failed[number] == set(PROOFS)]
    half = [number for number in numbers if _passed[number] and number not in whole]
    terminalreporter.write_sep("=", "requirements")
    terminalreporter.write_line(
        f"{len(whole)} of {REQUIREMENTS} requirements have both a test that holds and one that must fail"
    )
    if half:
        terminalreporter.write_line(f"with one of the two: {', '.join(half)}")
