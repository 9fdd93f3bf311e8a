import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUARDS = ROOT / "tests" / "typed" / "guards.py"
MYPY = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--output=json"]
PYRIGHT = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
FORGETFUL = """from typing import Any
from asgi_auth.middleware.authorization import get_auth
def forgetful(scope: dict[str, Any]) -> str:
    return get_auth(scope).subject
"""

Checker = Callable[[Path], list[int]]


def run(command: list[str], path: Path) -> str:
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run([*command, str(path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def mypy(path: Path) -> list[int]:
    return [json.loads(line)["line"] for line in run(MYPY, path).splitlines() if line]


def pyright(path: Path) -> list[int]:
    diagnostics = json.loads(run(PYRIGHT, path))["generalDiagnostics"]
    return [problem["range"]["start"]["line"] + 1 for problem in diagnostics if problem["severity"] == "error"]


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_code_around_four_frameworks_type_checks(checker: Checker) -> None:
    assert checker(GUARDS) == []


@CHECKERS
def test_the_subject_of_a_caller_that_may_be_anonymous_does_not_type_check(checker: Checker, tmp_path: Path) -> None:
    path = tmp_path / "forgetful.py"
    path.write_text(FORGETFUL)

    assert checker(path) == [4]
