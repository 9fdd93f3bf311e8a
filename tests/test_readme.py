"""The README's code runs, and says what is true."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from readme import BLOCKS, README, write_blocks
from sites import EMAIL, PASSWORD, serving

from asgi_auth.lockout import UNKNOWN

SETUP = "python3 -m venv .venv && .venv/bin/python -m pip install -e"
RUN = f"{SETUP} '.[examples]' && .venv/bin/python examples/quickstart.py"
NOT_ARTICLES = {"myapp/auth.py", "myapp/support.py", "myapp/with_sessions.py"}
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
    assert len(BLOCKS) == README.count("```python") == 10


@pytest.mark.parametrize("name", [name for name, _ in BLOCKS if name not in NOT_ARTICLES])
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


async def test_its_basket_remembers_a_browser(myapp: None) -> None:
    app = importlib.import_module("myapp.with_sessions").app
    ada = {"email": EMAIL, "password": PASSWORD}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as browser:
        assert (await browser.post("/auth/register", json=ada)).status_code == 201
        origin = {"Origin": "https://shop.example"}
        signed_in = await browser.post("/auth/login", json=ada | {"session": True}, headers=origin)
        assert signed_in.status_code == 200
        assert list(browser.cookies) == ["__Host-shop-device", "__Host-shop"]
        visits = [(await browser.get("/basket")).json() for _ in range(3)]

    await importlib.import_module("myapp.auth").auth.close()
    assert visits == [{"visits": 1}, {"visits": 2}, {"visits": 3}]


async def test_its_support_opens_an_account_that_strangers_have_closed(myapp: None) -> None:
    auth = importlib.import_module("myapp.auth").auth
    async with auth:
        anna = await auth.accounts.register(EMAIL, PASSWORD)
        attempts = [await auth.lockout.charge(EMAIL, UNKNOWN) for _ in range(21)]
        assert [attempt.is_open for attempt in attempts] == [True] * 20 + [False]
        await importlib.import_module("myapp.support").unlock(EMAIL)
        assert await auth.accounts.authenticate(EMAIL, PASSWORD) == anna
