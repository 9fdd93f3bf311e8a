"""What the edge tells an application that ends only when its client is gone, as Quart's do."""

import asyncio
from contextlib import suppress

import pytest
from harness import Answer, Tokens, drive, http, http_scope

from asgi_auth.errors import Denied
from asgi_auth.middleware.authorization import check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

START: Message = {"type": "http.response.start", "status": 500, "headers": []}
PART: Message = {"type": "http.response.body", "body": b"the framework's ", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"own"}


async def ask(app: ASGIApp) -> Answer:
    return await asyncio.wait_for(http(BearerMiddleware(app, access_tokens=Tokens())), 10)


async def fail(scope: Scope, send: Send) -> None:
    """What a framework makes of a refusal that it takes for a crash."""
    try:
        check(scope)
    except Denied:
        for message in (START, PART, LAST):
            await send(message)


async def messages(receive: Receive) -> list[str]:
    """The types of what comes, up to the disconnect."""
    types: list[str] = []
    while "http.disconnect" not in types:
        types.append((await receive())["type"])
    return types


async def test_an_application_that_waits_for_its_client_to_leave_is_told_so_and_the_answer_is_ours() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(messages(receive))
            await asyncio.sleep(0)
            await fail(scope, send)
        heard.extend(listening.result())

    answer = await ask(app)

    assert (answer.status, answer.problem["code"]) == (401, "not_authenticated")
    assert heard == ["http.request", "http.disconnect"]


async def test_an_application_that_listens_only_after_its_answer_hears_at_once_that_it_is_over() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await fail(scope, send)
        assert await messages(receive) == ["http.disconnect"]

    assert (await ask(app)).status == 401


async def test_an_application_that_is_cancelled_while_it_listens_stays_cancelled() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await messages(receive)

    task = asyncio.create_task(drive(BearerMiddleware(app, access_tokens=Tokens()), http_scope()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_moment_is_not_taken_for_the_end_of_the_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        listening = asyncio.create_task(messages(receive))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await fail(scope, send)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        assert listening.cancelled()

    assert (await ask(app)).status == 401
