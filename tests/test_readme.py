"""The README's code runs, and says what is true."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from readme import BLOCKS, README, write_blocks
from sites import EMAIL, PASSWORD, serving

SETUP = "python3 -m venv .venv && .venv/bin/python -m pip install -e"
RUN = f"{SETUP} '.[examples]' && .venv/bin/python examples/quickstart.py"
TEST = f"{SETUP} '.[dev]' && .venv/bin/python -m pytest"


@pytest.fixture
def myapp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The README's files, in a folder of their own."""
    write_blocks(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "myapp"]:
        del sys.modules[name]


def test_it_names_the_two_commands_to_the_letter() -> None:
    lines = README.splitlines()

    assert lines.count(RUN) == 1
    assert lines.count(TEST) == 1


def test_every_python_block_is_one_of_these_files() -> None:
    assert len(BLOCKS) == README.count("```python") == 7


@pytest.mark.parametrize("name", [name for name, _ in BLOCKS if name != "myapp/auth.py"])
async def test_its_examples_serve_whom_they_should(name: str, myapp: None) -> None:
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    ada = {"email": EMAIL, "password": PASSWORD}
    async with serving(module.app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        registered = await client.post("/auth/register", json=ada)
        token = (await client.post("/auth/login", json=ada)).json()["access_token"]
        signed_in = {"Authorization": f"Bearer {token}"}
        statuses = [
            (await client.get(path, headers=headers)).status_code
            for path in ("/healthz", "/articles", "/admin/x")
            for headers in ({}, signed_in)
        ]
        articles = await client.get("/articles", headers=signed_in)

    assert statuses == [200, 200, 401, 200, 401, 403]
    assert articles.json() == {"reader": registered.json()["subject"]}
