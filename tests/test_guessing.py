"""Parallel guessing on one SQLite file, in its short form: 40 guesses from 10 addresses in 2 processes, 3 rounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GUESSING = Path(__file__).parent.parent / "benchmarks" / "guessing.py"
GUESSES, ADDRESSES, PROCESSES, ROUNDS, ADMITTED = 40, 10, 2, 3, 5


@pytest.mark.requirement("R-55", "holds")
@pytest.mark.requirement("R-55", "refuses")
def test_of_40_guesses_at_once_5_reach_the_stored_hash_in_each_window() -> None:
    """The others have the same answer, and so has the right password after a restart."""
    size = ["--guesses", str(GUESSES), "--addresses", str(ADDRESSES), "--processes", str(PROCESSES)]
    command = [sys.executable, str(GUESSING), *size, "--rounds", str(ROUNDS), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    result = json.loads(done.stdout)
    assert (done.returncode, result["violations"]) == (0, []), done.stderr
    assert (result["windows"], result["asked"], result["most"]) == (2 * ROUNDS, 2 * ROUNDS * ADMITTED, ADMITTED)
    assert result["answers"] == {"401 invalid_credentials": 2 * ROUNDS * GUESSES}
