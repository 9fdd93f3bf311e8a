"""``kill -9`` between any two steps, in its short form: 10 rounds at each of 11 points."""

import subprocess
import sys
from pathlib import Path

import pytest

CRASH = Path(__file__).parent.parent / "benchmarks" / "crash.py"
ROUNDS = 10


@pytest.mark.requirement("R-31", "holds")
@pytest.mark.requirement("R-32", "holds")
@pytest.mark.requirement("R-32", "refuses")
def test_a_process_that_is_killed_at_any_step_leaves_no_spent_token_alive_and_nothing_undone() -> None:
    """CVE-2026-9802, CVE-2022-3916."""
    command = [sys.executable, str(CRASH), "--rounds", str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f" {ROUNDS} rounds    0 violations") == 11
