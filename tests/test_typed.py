import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from readme import write_blocks

ROOT = Path(__file__).parent.parent
GUARDS = ROOT / "tests" / "typed" / "guards.py"
MYPY = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--explicit-package-bases", "--output=json"]
PYRIGHT = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
FORGETFUL = """from typing import Any
from asgi_auth.middleware.authorization import get_auth
def forgetful(scope: dict[str, Any]) -> str:
    return get_auth(scope).subject
"""

Checker = Callable[[Path], list[int]]


def run(command: list[str], path: Path) -> str:
    folder = path if path.is_dir() else ROOT
    environment = os.environ | {"MYPYPATH": os.pathsep.join({str(ROOT), str(folder)})}
    done = subprocess.run(
        [*command, str(path)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
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
def test_the_code_of_the_readme_type_checks(checker: Checker, tmp_path: Path) -> None:
    write_blocks(tmp_path)

    assert checker(tmp_path) == []


@CHECKERS
def test_the_subject_of_a_caller_that_may_be_anonymous_does_not_type_check(checker: Checker, tmp_path: Path) -> None:
    path = tmp_path / "forgetful.py"
    path.write_text(FORGETFUL)

    assert checker(path) == [4]
