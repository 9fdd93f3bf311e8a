"""What an application writes, around four frameworks: checked by mypy --strict and pyright, never run."""

from typing import Any, assert_type

from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import WebSocket as LitestarWebSocket
from quart import Quart, request, websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.websockets import WebSocket

from asgi_auth.authorization import Policy, Requirement, all_of, any_of, authenticated, fresh, has_role, has_scope
from asgi_auth.authorization import public as everybody
from asgi_auth.errors import Denied, Forbidden, Reason
from asgi_auth.middleware.authorization import AuthorizationMiddleware, Require, allows, check, get_auth
from asgi_auth.middleware.bearer import BearerMiddleware, BearerTokens
from asgi_auth.principal import Anonymous, Auth, Principal

POLICY = Policy({"/": everybody, "/admin/": has_role("admin")}, default=all_of(authenticated, fresh(300)))


def owner(auth: Auth) -> Denied | None:
    match auth:
        case Principal(subject="me"):
            return None
        case Principal() | Anonymous():
            return Forbidden(Reason.ROLE_MISSING)


MINE: Requirement = any_of(owner, has_scope("read:everything"))


def around(tokens: BearerTokens) -> list[BearerMiddleware]:
    starlette, fastapi, litestar, quart = Starlette(), FastAPI(), Litestar(), Quart(__name__)
    return [
        BearerMiddleware(AuthorizationMiddleware(starlette, policy=POLICY), access_tokens=tokens),
        BearerMiddleware(AuthorizationMiddleware(fastapi, policy=POLICY), access_tokens=tokens),
        BearerMiddleware(AuthorizationMiddleware(litestar, policy=POLICY), access_tokens=tokens),
        BearerMiddleware(AuthorizationMiddleware(quart, policy=POLICY, root_path="/api"), access_tokens=tokens),
        BearerMiddleware(Require(quart.asgi_app, MINE), access_tokens=tokens),
    ]


def inside(tokens: BearerTokens) -> list[Starlette]:
    layers = [Middleware(BearerMiddleware, access_tokens=tokens), Middleware(AuthorizationMiddleware, policy=POLICY)]
    return [Starlette(middleware=layers), FastAPI(middleware=layers)]


def mounted(tokens: BearerTokens) -> Starlette:
    app = Starlette()
    app.mount("/admin", BearerMiddleware(Require(Litestar(), MINE), access_tokens=tokens))
    return app


def questions(one: Request, two: FastAPIRequest, three: LitestarRequest[Any, Any, Any], scope: dict[str, Any]) -> str:
    assert_type(check(one, MINE), Principal)
    assert_type(allows(two, MINE), bool)
    assert_type(get_auth(three), Auth)
    auth = get_auth(scope)
    if auth.is_authenticated is True:
        return auth.subject
    return assert_type(auth, Anonymous).display_name


def sockets(one: WebSocket, two: LitestarWebSocket[Any, Any, Any]) -> list[Principal]:
    return [check(one), check(two), check(websocket), check(request)]
