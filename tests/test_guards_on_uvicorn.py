"""The guards behind a real server: uvicorn on loopback, with and without ``--root-path``."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from frameworks import FRAMEWORKS, SECRET, policy
from harness import REALM, Tokens
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asgi_auth.middleware.authorization import AuthorizationMiddleware
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import ASGIApp

TARGETS = [
    "/admin/report",
    "/admin/report/",
    "//admin/report",
    "/admin//report",
    "/ADMIN/report",
    "/admin%2Freport",
    "/admin%2freport",
    "/%61dmin/report",
    "/admin%252Freport",
    "/x/../admin/report",
    "/x/%2e%2e/admin/report",
    "/./admin/report",
    "/admin%5Creport",
    "/admin/report%00",
    "/admin/report%0a",
    "/admin;x/report",
    "/admin/report;x",
    "/admin/report?x=/articles/7",
    "/articles/7/..%2f..%2fadmin/report",
    "http://api.example/admin/report",
    "http:admin/report",
    "x:admin/report",
    "admin/report",
    "/api/admin/report",
    "/apiadmin/report",
    "/x/api/admin/report",
    "/sub/secret",
    "//sub//secret",
]


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@asynccontextmanager
async def serving(app: ASGIApp, root_path: str = "") -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", lifespan="off", log_level="error", log_config=None, root_path=root_path
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listening.close()


async def raw(port: int, method: str, target: str, token: str = "") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), answer


def stack(app: ASGIApp) -> BearerMiddleware:
    return BearerMiddleware(AuthorizationMiddleware(app, policy=policy()), access_tokens=Tokens())


@pytest.mark.requirement("R-84", "refuses")
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_no_request_target_serves_what_is_guarded(framework: str, root_path: str) -> None:
    example = FRAMEWORKS[framework]()
    async with serving(stack(example.app), root_path) as port:
        for target in TARGETS:
            for method, token in (("GET", ""), ("GET", "user"), ("HEAD", "user"), ("POST", "user"), ("post", "user")):
                status, answer = await raw(port, method, target, token)
                assert example.secrets == [], (method, target)
                assert SECRET.encode() not in answer
                assert status < 500


@pytest.mark.requirement("R-84", "holds")
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_an_administrator_is_served(framework: str, root_path: str) -> None:
    async with serving(stack(FRAMEWORKS[framework]().app), root_path) as port:
        assert (await raw(port, "GET", "/admin/report", "admin"))[0] == 200


@pytest.mark.requirement("R-98", "refuses")
async def test_odd_authorization_lines_are_refused() -> None:
    async with serving(stack(FRAMEWORKS["starlette"]().app)) as port:
        for value in ("", "a,b", "user\r\nAuthorization: Bearer user", "a b", "é", "a" * 9000):
            status, _ = await raw(port, "GET", "/articles/7", value or "=")
            assert status == 400


@pytest.mark.requirement("R-96", "refuses")
async def test_a_websocket_is_refused_in_the_handshake(framework: str) -> None:
    async with serving(BearerMiddleware(FRAMEWORKS[framework]().app, access_tokens=Tokens())) as port:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/check/handshake")

    assert caught.value.response.status_code == 401
    assert caught.value.response.headers["www-authenticate"] == f'Bearer realm="{REALM}"'
    assert b"not_authenticated" in (caught.value.response.body or b"")


@pytest.mark.requirement("R-96", "holds")
@pytest.mark.parametrize(("token", "code"), [("user", 4403), ("admin", 1000)])
async def test_an_accepted_websocket_is_closed_with_the_reason(framework: str, token: str, code: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        serving(BearerMiddleware(FRAMEWORKS[framework]().app, access_tokens=Tokens())) as port,
        connect(f"ws://127.0.0.1:{port}/check/accepted", additional_headers=headers) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert socket.close_code == code


@pytest.mark.requirement("R-83", "refuses")
async def test_a_guard_that_no_layer_stands_before_is_a_logged_500(
    framework: str, caplog: pytest.LogCaptureFixture
) -> None:
    example = FRAMEWORKS[framework]()
    async with serving(AuthorizationMiddleware(example.app, policy=policy())) as port:
        assert (await raw(port, "GET", "/articles/7", "admin"))[0] == 500
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/admin/live")

    assert caught.value.response.status_code == 500
    assert "no layer of asgi_auth ran before this guard" in caplog.text
    assert example.secrets == []
