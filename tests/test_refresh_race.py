"""The race for one refresh token, in its short form: 16 tasks in each of 2 processes, 50 rounds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RACE = Path(__file__).parent.parent / "benchmarks" / "refresh_race.py"
TASKS, PROCESSES, ROUNDS = 16, 2, 50
CALLS = TASKS * PROCESSES * ROUNDS


def race(mode: str) -> dict[str, Any]:
    size = ["--tasks", str(TASKS), "--processes", str(PROCESSES), "--rounds", str(ROUNDS)]
    command = [sys.executable, str(RACE), *size, "--mode", mode, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    result: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, result["violations"]) == (0, []), done.stderr
    return result


@pytest.mark.requirement("R-27", "holds")
@pytest.mark.requirement("R-27", "refuses")
@pytest.mark.requirement("R-28", "refuses")
def test_of_32_concurrent_callers_one_wins_and_31_are_reuse_that_ends_everything() -> None:
    """CVE-2026-1035, CVE-2026-50631, CVE-2026-53517, CVE-2026-126280."""
    result = race("strict")

    assert (result["rounds"], result["pairs"], result["first"]) == (ROUNDS, ROUNDS, ROUNDS)
    assert result["reused"] == CALLS - ROUNDS


@pytest.mark.requirement("R-29", "holds")
@pytest.mark.requirement("R-29", "refuses")
def test_with_a_leeway_all_32_get_the_same_child_and_the_grandparent_ends_the_family() -> None:
    """django-oauth-toolkit issue 1617: a leeway is for the direct parent alone."""
    result = race("leeway")

    assert (result["rounds"], result["pairs"], result["reused"], result["first"]) == (ROUNDS, CALLS, 0, 0)
