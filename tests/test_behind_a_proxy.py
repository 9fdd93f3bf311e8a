"""``examples/behind_a_proxy.py`` as it is started: a process of its own, and a client that plays the proxy."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from test_quickstart import ADA, PATIENCE, free_port, printed_until_ready

EXAMPLE = Path(__file__).parent.parent / "examples" / "behind_a_proxy.py"


@contextmanager
def running(*options: str) -> Iterator[httpx.Client]:
    port = free_port()
    command = [sys.executable, str(EXAMPLE), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            printed_until_ready(process)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                yield client
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()


def whoami(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.get("/whoami", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.requirement("R-87", "holds")
def test_each_client_behind_the_proxy_has_limits_of_its_own() -> None:
    with running() as client:
        answers = [whoami(client, x_forwarded_for="203.0.113.9, 192.0.2.1") for _ in range(21)]
        other = whoami(client, x_forwarded_for="192.0.2.2")
        assert [answer.status_code for answer in answers] == [200] * 20 + [429]
        assert answers[0].json() == {"address": "192.0.2.1"}
        assert int(answers[-1].headers["retry-after"]) <= 60
        assert (other.status_code, other.json()) == (200, {"address": "192.0.2.2"})

        wrong = [client.post("/auth/login", json=ADA, headers={"X-Forwarded-For": "192.0.2.3"}) for _ in range(6)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429]

        proxied = {"X-Forwarded-For": "192.0.2.4"}
        rejected = [client.post("/auth/register", json={}, headers={"X-Forwarded-For": "192.0.2.3"}) for _ in range(6)]
        assert [answer.status_code for answer in rejected] == [422] * 5 + [429]
        assert rejected[-1].headers["ratelimit-policy"] == '"strict POST /auth/register";q=5;w=60'

        client.post("/auth/register", json=ADA, headers=proxied)
        token = client.post("/auth/login", json=ADA, headers=proxied).json()["access_token"]
        reports = [
            client.get("/reports/", headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": f"192.0.2.{n}"})
            for n in (5, 6, 7, 8)
        ]
        assert [answer.status_code for answer in reports] == [200, 200, 200, 429]


@pytest.mark.requirement("R-87", "refuses")
def test_what_a_stranger_says_of_itself_is_not_believed() -> None:
    with running("--trusted", "10.0.0.0/8") as client:
        answers = [whoami(client, x_forwarded_for=f"192.0.2.{n}") for n in range(21)]

        assert [answer.status_code for answer in answers] == [200] * 20 + [429]
        assert answers[0].json() == {"address": "127.0.0.1"}


def test_forwarded_is_read_where_the_proxy_writes_it() -> None:
    with running("--header", "forwarded") as client:
        answer = whoami(client, forwarded='for="[2001:db8::1]:4711";proto=https', x_forwarded_for="192.0.2.1")

        assert answer.json() == {"address": "2001:db8::/64"}
