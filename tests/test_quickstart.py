"""``examples/quickstart.py`` as a newcomer starts it: a process of its own, real HTTP, a real websocket client."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "examples" / "quickstart.py"
ADA = {"email": "ada@example.com", "password": "a long walk by the sea"}
ADMIN_PASSWORD = "the keys are under the mat"
PATIENCE = 60


@dataclass
class Quickstart:
    """A running quickstart."""

    url: str
    client: httpx.Client
    printed: str

    def post(self, path: str, document: object = None, *, token: str = "") -> httpx.Response:
        return self.client.post(path, headers=bearer(token), json=document)

    def status(self, path: str, token: str = "") -> int:
        return self.client.get(path, headers=bearer(token)).status_code

    def login(self, **credentials: str) -> dict[str, Any]:
        answer = self.post("/auth/login", ADA | credentials)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def printed_until_ready(process: "subprocess.Popen[str]") -> str:
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Uvicorn running on" in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


@contextmanager
def running(folder: Path, *, host: str = "127.0.0.1", **environment: str) -> Iterator[Quickstart]:
    """The quickstart in ``folder``; ends it as an operator would, and expects it to end."""
    port = free_port()
    options = ["--host", host, "--port", str(port), "--database", "quickstart.db"]
    command = [sys.executable, "-W", "error", str(QUICKSTART), *options]
    inherited = {name: value for name, value in os.environ.items() if name != "QUICKSTART_ADMIN_PASSWORD"}
    inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed = printed_until_ready(process)
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            yield Quickstart(url, client, printed)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def quickstart(folder: Path) -> Iterator[Quickstart]:
    with running(folder, QUICKSTART_ADMIN_PASSWORD=ADMIN_PASSWORD) as started:
        assert started.post("/auth/register", ADA).status_code == 201
        yield started


@pytest.mark.requirement("R-31", "refuses")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.requirement("R-28", "refuses")
def test_the_life_of_an_account(quickstart: Quickstart) -> None:
    """Register, log in, use, refresh, replay the spent token: all is dead; log in, log out: dead at once."""
    first = quickstart.login()
    elsewhere = quickstart.login()
    assert quickstart.status("/articles", first["access_token"]) == 200

    second = quickstart.post("/auth/refresh", {"refresh_token": first["refresh_token"]}).json()
    assert quickstart.status("/articles", second["access_token"]) == 200

    replayed = quickstart.post("/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert (replayed.status_code, replayed.json()["code"]) == (401, "invalid_token")
    for tokens in (first, second, elsewhere):
        assert quickstart.status("/articles", tokens["access_token"]) == 401
        assert quickstart.post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status_code == 401

    third = quickstart.login()
    assert quickstart.status("/articles", third["access_token"]) == 200
    assert quickstart.post("/auth/logout", token=third["access_token"]).status_code == 204
    assert quickstart.status("/articles", third["access_token"]) == 401
    assert quickstart.post("/auth/refresh", {"refresh_token": third["refresh_token"]}).status_code == 401


@pytest.mark.requirement("R-83", "holds")
def test_who_may_do_what(quickstart: Quickstart) -> None:
    user = quickstart.login()["access_token"]
    admin = quickstart.login(email="admin@example.com", password=ADMIN_PASSWORD)["access_token"]
    paths = ("/healthz", "/articles", "/admin/report", "/nowhere")

    assert [quickstart.status(path) for path in paths] == [200, 401, 401, 401]
    assert [quickstart.status(path, user) for path in paths] == [200, 200, 403, 404]
    assert [quickstart.status(path, admin) for path in paths] == [200, 200, 200, 404]
    assert quickstart.post("/articles", {"title": "x"}).status_code == 401
    assert quickstart.client.delete("/articles", headers=bearer(user)).status_code == 403


def test_an_article_is_written_and_listed(quickstart: Quickstart) -> None:
    token = quickstart.login()["access_token"]
    subject = quickstart.client.get("/auth/me", headers=bearer(token)).json()["subject"]

    written = quickstart.post("/articles", {"title": "Grüße 😀"}, token=token)

    assert (written.status_code, written.json()) == (201, {"title": "Grüße 😀", "author": subject})
    assert written.json() in quickstart.client.get("/articles", headers=bearer(token)).json()


NO_ARTICLES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff",
    b"[" * 10_000,
    b'{"title": ""}',
    b'{"title": 1}',
    b'{"title": "\\ud800"}',
    b'{"title": "a\\u0000"}',
    b'{"title": "x", "author": "me"}',
    b'{"title": "' + b"x" * 201 + b'"}',
]


@pytest.mark.parametrize("body", NO_ARTICLES)
def test_what_is_no_article_is_422(quickstart: Quickstart, body: bytes) -> None:
    token = quickstart.login()["access_token"]

    assert quickstart.client.post("/articles", headers=bearer(token), content=body).status_code == 422
    assert quickstart.status("/articles", token) == 200


def test_an_article_that_is_too_large_is_413(quickstart: Quickstart) -> None:
    token = quickstart.login()["access_token"]

    assert quickstart.client.post("/articles", headers=bearer(token), content=b"x" * 20_000).status_code == 413


@pytest.mark.requirement("R-96", "holds")
def test_the_live_socket_echoes_for_the_signed_in(quickstart: Quickstart) -> None:
    url = quickstart.url.replace("http", "ws") + "/live"
    with connect(url, additional_headers=bearer(quickstart.login()["access_token"])) as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=PATIENCE) == "hello"

    for headers in ({}, bearer("junk")):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 401


def test_the_five_lines_it_prints_work_when_pasted(tmp_path: Path) -> None:
    with running(tmp_path) as quickstart:
        lines = [line for line in quickstart.printed.splitlines() if "curl " in line]
        assert shutil.which("curl") is not None
        outputs = [
            subprocess.run(
                ["bash", "-e", "-c", "\n".join(lines[: count + 1])], capture_output=True, text=True, check=True
            ).stdout
            for count in (1, 4)
        ]

    assert len(lines) == 5
    assert '"email":"ada@example.com"' in outputs[0]
    assert '"title":"Hello"' in outputs[1]
    assert '"roles":["user"]' in outputs[1]


def test_the_administrators_password_is_random_and_printed_once(tmp_path: Path) -> None:
    with running(tmp_path) as quickstart:
        found = re.search(r"Password: +(\S{20})   \(shown this once\)", quickstart.printed)
        assert found is not None
        token = quickstart.login(email="admin@example.com", password=found[1])["access_token"]
        assert quickstart.status("/admin/report", token) == 200

    with running(tmp_path) as again:
        assert "Password" not in again.printed
        assert again.status("/admin/report", token) == 401
        assert again.login(email="admin@example.com", password=found[1])["token_type"] == "Bearer"


def test_a_password_from_the_environment_is_not_printed(quickstart: Quickstart) -> None:
    assert "QUICKSTART_ADMIN_PASSWORD" in quickstart.printed
    assert ADMIN_PASSWORD not in quickstart.printed


def test_keys_and_database_are_the_owners_alone(folder: Path, quickstart: Quickstart) -> None:
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert files["quickstart.signing-keys.json"] == 0o600
    assert files["quickstart.db"] == 0o600
    assert set(files.values()) == {0o600}


def test_a_password_that_is_not_acceptable_stops_the_start(tmp_path: Path) -> None:
    quickstart = running(tmp_path, QUICKSTART_ADMIN_PASSWORD="short")

    with pytest.raises(AssertionError, match="QUICKSTART_ADMIN_PASSWORD is not acceptable"), quickstart:
        pass


def test_it_listens_on_every_address_where_that_is_asked_for(tmp_path: Path) -> None:
    with running(tmp_path, host="0.0.0.0") as quickstart:
        assert f"{quickstart.url}/auth/login" in quickstart.printed
        assert quickstart.post("/auth/register", ADA).status_code == 201
        assert quickstart.status("/articles", quickstart.login()["access_token"]) == 200
