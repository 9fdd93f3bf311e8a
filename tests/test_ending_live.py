"""Which responses and sockets are live: they end with their caller's credential."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from ending_tools import (
    ACCEPT,
    CLOSED,
    LAST_CHUNK,
    START,
    begin,
    part,
    socket,
    stream,
    text,
)
from harness import USER, Tokens, bearer, http_scope, websocket_scope
from test_revocations import until

from asgi_auth.authorization import has_role, public
from asgi_auth.errors import Denied
from asgi_auth.middleware.authorization import check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import Message, Receive, Scope, Send


@pytest.fixture(autouse=True)
async def tasks() -> Any:
    """Every test leaves the tasks that it found."""
    before = len(asyncio.all_tasks())
    yield
    await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"2")], [(b"Content-Length", b"2")], [(b"x", b"y"), (b"content-length", b"2")]]
)
async def test_a_response_with_a_length_is_not_live(headers: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": headers})
        await send(part())
        assert served.tokens.watched == {}
        await send({"type": "http.response.body", "body": b"x"})
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task
    assert len(served.sent) == 3


async def test_a_response_in_one_piece_is_not_live() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task


@pytest.mark.parametrize("refused", [False, True])
async def test_a_stream_whose_first_part_comes_before_its_start_is_the_servers_to_refuse(refused: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin") if refused else public)
        await send(part())
        assert served.tokens.watched == {}

    served = stream(app)
    await served.task
    assert served.sent[0] == part()


async def test_a_message_of_another_type_does_not_complete_a_stream() -> None:
    """An extension's, such as ``http.response.push``, in the middle of a live response."""
    push: Message = {"type": "http.response.push", "path": "/x", "headers": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        await send(push)
        await receive()

    served = stream(app)
    await until(lambda: push in served.sent)
    assert await served.ended() == [START, part(), push, LAST_CHUNK]


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("status", [200, 403])
async def test_a_stream_after_a_refusal_that_the_application_has_dealt_with_is_live_too(status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin"))
        await send({**START, "status": status})
        await send(part())
        await receive()

    assert (await stream(app).ended())[-1] == LAST_CHUNK


@pytest.mark.requirement("R-96", "refuses")
async def test_a_socket_after_a_refusal_that_the_application_has_dealt_with_is_live_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Denied):
            check(scope, has_role("admin"))
        await send(ACCEPT)
        await send(text())
        await receive()

    assert await socket(app).ended() == [ACCEPT, text(), CLOSED]


async def test_a_refusal_in_a_live_socket_closes_it_with_its_own_code() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        check(scope, has_role("admin"))

    served = socket(app)
    await served.task
    assert served.sent == [ACCEPT, {"type": "websocket.close", "code": 4403, "reason": "forbidden"}]
    assert served.tokens.watched == {}


async def test_a_refusal_in_a_live_socket_that_the_application_leaves_open_closes_it_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with suppress(Denied):
            check(scope, has_role("admin"))

    served = socket(app)
    await served.task
    assert served.sent == [ACCEPT, {"type": "websocket.close", "code": 4403, "reason": "forbidden"}]


async def test_of_anonymous_callers_and_of_callers_whom_others_have_authenticated_nothing_is_live() -> None:
    tokens = Tokens()
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        assert tokens.watched == {}
        await send(LAST_CHUNK)

    async def keep(message: Message) -> None:
        sent.append(message)

    stack = BearerMiddleware(app, access_tokens=tokens)
    await stack(http_scope(headers=[]), None, keep)
    await stack(http_scope(headers=[], auth=USER), None, keep)
    assert sent == [START, part(), LAST_CHUNK] * 2


async def test_the_layer_that_authenticates_is_the_one_that_watches() -> None:
    """Outside stands a layer that has found nobody; inside, one that has."""
    outer, inner = Tokens(), Tokens()
    inner.known = {b"user": USER}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope, send)
        assert (list(outer.watched), list(inner.watched)) == ([], [USER])

    async def revealing(scope: Scope, receive: Receive, send: Send) -> None:
        await BearerMiddleware(app, access_tokens=inner)({**scope, "headers": bearer("user")}, receive, send)

    async def keep(message: Message) -> None:
        pass

    await BearerMiddleware(revealing, access_tokens=outer)(http_scope(headers=[]), None, keep)
    await BearerMiddleware(revealing, access_tokens=outer)(websocket_scope(headers=[]), None, keep)
