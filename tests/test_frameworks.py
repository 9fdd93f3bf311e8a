"""``check`` in the handlers of Starlette, FastAPI, Litestar and Quart, and what they do with our types."""

from typing import Any

import litestar
import pytest
from frameworks import FRAMEWORKS
from harness import REALM, Tokens, bearer, http, websocket
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_auth.authorization import Policy, authenticated
from asgi_auth.errors import ConfigurationError
from asgi_auth.middleware.authorization import AuthorizationMiddleware, check
from asgi_auth.middleware.bearer import BearerMiddleware

BARE = f'Bearer realm="{REALM}"'
MISSING = (
    f'{BARE}, error="insufficient_scope", '
    'error_description="The credential does not have the scopes this needs.", scope="write:articles"'
)
CALLERS = pytest.mark.parametrize(("token", "status", "challenge"), [("", 401, BARE), ("user", 403, MISSING)])


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def stack(framework: str) -> BearerMiddleware:
    return BearerMiddleware(FRAMEWORKS[framework]().app, access_tokens=Tokens())


def credential(token: str) -> list[tuple[bytes, bytes]]:
    return bearer(token) if token else []


@pytest.mark.requirement("R-99", "holds")
async def test_check_lets_the_right_caller_through(framework: str) -> None:
    app = stack(framework)

    assert b"a" in (await http(app, "/check", headers=bearer("admin"))).body
    for path in ("/check/handshake", "/check/accepted"):
        answer = await websocket(app, path, headers=bearer("admin"))
        assert (answer.accepted, answer.close) == (True, 1000)


@CALLERS
@pytest.mark.requirement("R-99", "refuses")
async def test_check_refuses_over_http(framework: str, token: str, status: int, challenge: str) -> None:
    answer = await http(stack(framework), "/check", headers=credential(token))

    assert (answer.status, answer.challenges) == (status, [challenge])
    # Quart alone does not render starlette's HTTPException: there the body is ours.
    ours = answer.header("content-type") == ["application/problem+json"]
    assert ours == (framework == "quart")


@CALLERS
@pytest.mark.requirement("R-96", "holds")
@pytest.mark.requirement("R-85", "refuses")
async def test_check_refuses_a_websocket_handshake(framework: str, token: str, status: int, challenge: str) -> None:
    app = stack(framework)
    answer = await websocket(app, "/check/handshake", headers=credential(token))
    plain = await websocket(app, "/check/handshake", headers=credential(token), denial=False)

    assert (answer.status, answer.challenges, answer.accepted) == (status, [challenge], False)
    assert answer.problem["status"] == status
    assert [message["type"] for message in plain.sent] == ["websocket.close"]


@CALLERS
@pytest.mark.requirement("R-96", "refuses")
async def test_check_closes_an_accepted_websocket(framework: str, token: str, status: int, challenge: str) -> None:
    for denial in (True, False):
        answer = await websocket(stack(framework), "/check/accepted", headers=credential(token), denial=denial)

        assert [message["type"] for message in answer.sent] == ["websocket.accept", "websocket.close"]
        assert answer.close == 4000 + status


@requires("read:articles")
async def needs_scope(request: Request) -> JSONResponse:
    return JSONResponse([request.user.display_name, request.user.identity, sorted(request.auth.scopes)])


async def test_starlettes_requires_and_request_user_work_with_our_types() -> None:
    app = BearerMiddleware(Starlette(routes=[Route("/", needs_scope)]), access_tokens=Tokens())

    assert (await http(app, headers=bearer("user"))).body == b'["u","u",["read:articles"]]'
    assert (await http(app)).status == 403
    # It compares literally: a wildcard is not expanded.
    assert (await http(app, headers=bearer("admin"))).status == 403


async def test_inside_a_framework_as_its_middleware_it_guards_too() -> None:
    policy = Policy({"/": authenticated})
    app = Starlette(
        routes=[Route("/", needs_scope)],
        middleware=[
            Middleware(BearerMiddleware, access_tokens=Tokens()),
            Middleware(AuthorizationMiddleware, policy=policy),
        ],
    )

    assert (await http(app, headers=bearer("user"))).status == 200
    assert (await http(app)).status == 401


class Foreign(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        return AuthCredentials(["*", "read:articles"]), SimpleUser("root")


@pytest.mark.requirement("R-83", "refuses")
async def test_another_authentication_middleware_inside_cannot_lend_its_identity() -> None:
    def handler(request: Request) -> JSONResponse:
        return JSONResponse(check(request).subject)

    inner = Starlette(
        routes=[Route("/", handler)], middleware=[Middleware(AuthenticationMiddleware, backend=Foreign())]
    )
    app = BearerMiddleware(inner, access_tokens=Tokens())

    with pytest.raises(ConfigurationError, match="replaced"):
        await http(app, headers=bearer("admin"))


async def test_litestars_guards_and_request_user_work_with_our_types() -> None:
    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if not connection.user.is_authenticated:
            raise PermissionDeniedException

    @litestar.get("/", guards=[guard], sync_to_thread=False)
    def who(request: litestar.Request[Any, Any, Any]) -> list[str]:
        return [request.user.display_name, *sorted(request.auth.scopes)]

    app = BearerMiddleware(litestar.Litestar([who], openapi_config=None, logging_config=None), access_tokens=Tokens())

    assert (await http(app, headers=bearer("user"))).body == b'["u","read:articles"]'
    assert (await http(app)).status == 403
