"""The edge with hand-written applications: what a framework may do with a refusal, one by one."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from harness import REALM, Answer, Tokens, bearer, http, websocket

from asgi_auth.authorization import has_role, has_scope, public
from asgi_auth.errors import Conflict, Denied, InvalidToken, NotAuthenticated, Reason, StoreUnavailable
from asgi_auth.middleware.authorization import Require, check
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous
from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

BARE = f'Bearer realm="{REALM}"'
Step = Callable[[Send], Awaitable[None]]


def guarded(app: ASGIApp) -> BearerMiddleware:
    return BearerMiddleware(Require(app, public), access_tokens=Tokens())


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [(b"x-app", b"1"), *headers]}


BODY: Message = {"type": "http.response.body", "body": b"the application's own"}


def swallowing(*messages: Message, then: Exception | None = None) -> ASGIApp:
    """An application that catches the refusal of check, as frameworks do, and sends these messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check(scope, has_role("admin"))
        except Denied:
            for message in messages:
                await send(message)
            if then is not None:
                raise then from None

    return guarded(app)


async def test_a_layer_inside_names_the_realm_to_the_edge_outside() -> None:
    inner = BearerMiddleware(letting, access_tokens=Tokens())
    answer = await http(Require(inner, public), auth=Anonymous(), headers=bearer("user"))

    assert answer.challenges[0].startswith(f'{BARE}, error="insufficient_scope"')


async def letting(scope: Scope, receive: Receive, send: Send) -> None:
    check(scope, has_scope("write:articles"))


async def test_a_refusal_that_escapes_is_rendered_with_its_challenges() -> None:
    anonymous, known = await http(guarded(letting)), await http(guarded(letting), headers=bearer("user"))

    assert (anonymous.status, anonymous.challenges) == (401, [BARE])
    assert anonymous.problem["code"] == "not_authenticated"
    assert known.status == 403
    assert known.challenges[0].endswith('scope="write:articles"')


async def test_a_5xx_made_of_the_refusal_is_replaced() -> None:
    answer = await http(swallowing(start(500), BODY))

    assert (answer.status, answer.challenges) == (401, [BARE])
    assert answer.problem["code"] == "not_authenticated"
    assert answer.header("x-app") == []


async def test_a_5xx_stands_if_another_exception_escaped() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    app = swallowing(start(503), BODY, then=RuntimeError("the application's own"))
    with pytest.raises(RuntimeError, match="own"):
        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)

    assert sent == [start(503), BODY]


async def test_another_exception_alone_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError):
        await http(swallowing(then=RuntimeError()))
    with pytest.raises(RuntimeError):
        await websocket(swallowing(then=RuntimeError()))


async def test_the_refusal_replaces_a_5xx_that_its_framework_sent_before_raising_it_again() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check(scope)
        except Denied:
            await send(start(500))
            await send(BODY)
            raise

    assert (await http(guarded(app))).status == 401


async def test_a_5xx_without_a_refusal_passes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(500))
        await send(BODY)

    answer = await http(guarded(app))

    assert (answer.status, answer.body) == (500, BODY["body"])


@pytest.mark.parametrize("status", [200, 404, 403])
async def test_any_other_answer_is_the_applications_and_passes(status: int) -> None:
    answer = await http(swallowing(start(status), BODY))

    assert (answer.status, answer.body, answer.challenges) == (status, BODY["body"], [])


async def test_a_missing_challenge_is_added_where_the_status_is_the_refusals() -> None:
    answer = await http(swallowing(start(401), BODY))

    assert (answer.status, answer.body, answer.challenges) == (401, BODY["body"], [BARE])


async def test_a_challenge_of_the_application_stays_alone() -> None:
    answer = await http(swallowing(start(401, (b"WWW-Authenticate", b"Own")), BODY))

    assert answer.challenges == ["Own"]


async def test_an_application_that_answers_nothing_after_a_refusal_is_answered_for() -> None:
    assert (await http(swallowing())).status == 401
    assert (await websocket(swallowing())).status == 401
    assert (await http(guarded(Silent()))).sent == []


class Silent:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


async def test_a_refusal_after_the_answer_has_begun_breaks_it_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200))
        check(scope)

    with pytest.raises(NotAuthenticated):
        await http(guarded(app))


async def test_a_refusal_that_the_application_deals_with_in_a_stream_changes_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200))
        with pytest.raises(NotAuthenticated):
            check(scope)
        await send(BODY)

    answer = await http(guarded(app))

    assert (answer.status, answer.body) == (200, BODY["body"])


@pytest.mark.parametrize("call", [http, websocket])
async def test_a_refusal_of_a_service_that_nobody_noted_is_rendered_too(call: Callable[..., Awaitable[Answer]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise Conflict(Reason.EMAIL_TAKEN)

    assert (await call(guarded(app))).status == 409


@pytest.mark.requirement("R-99", "refuses")
@pytest.mark.parametrize("call", [http, websocket])
async def test_a_401_that_nobody_noted_is_challenged_too(call: Callable[..., Awaitable[Answer]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(Denied):
            check(scope, has_scope("write:articles"))
        raise InvalidToken(Reason.TOKEN_REVOKED)

    answer = await call(guarded(app), headers=bearer("user"))

    assert answer.status == 401
    assert answer.challenges == [f'{BARE}, error="invalid_token", error_description="The token is not valid."']


async def test_a_503_in_a_handler_is_a_503() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise StoreUnavailable

    assert (await http(guarded(app))).header("retry-after") == ["1"]


# websockets

ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 1011, "reason": "Internal Server Error"}
TEXT: Message = {"type": "websocket.send", "text": "hello"}
DENIAL: Message = {"type": "websocket.http.response.body", "body": b"the application's own"}


def denial(status: int) -> Message:
    return {"type": "websocket.http.response.start", "status": status, "headers": []}


@pytest.mark.requirement("R-96", "holds")
@pytest.mark.parametrize("messages", [(CLOSE,), (denial(500), DENIAL), (denial(401), DENIAL), ()])
async def test_a_close_or_denial_before_accept_becomes_the_refusal(messages: tuple[Message, ...]) -> None:
    answer = await websocket(swallowing(*messages))

    assert (answer.status, answer.challenges, answer.close) == (401, [BARE], None)
    assert answer.problem["code"] == "not_authenticated"


async def test_without_the_extension_the_close_before_accept_stays_one() -> None:
    answer = await websocket(swallowing(CLOSE), denial=False)

    assert answer.sent == [{"type": "websocket.close", "code": 4401, "reason": "not_authenticated"}]


async def test_a_denial_of_the_applications_own_choice_passes() -> None:
    answer = await websocket(swallowing(denial(404), DENIAL))

    assert (answer.status, answer.body) == (404, DENIAL["body"])


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("last", [CLOSE, denial(401)])
@pytest.mark.parametrize(("token", "code"), [("", 4401), ("user", 4403)])
async def test_a_close_after_accept_says_why(last: Message, token: str, code: int) -> None:
    answer = await websocket(swallowing(ACCEPT, last), headers=bearer(token) if token else [])

    assert answer.accepted
    assert answer.close == code
    assert len(answer.sent) == 2


async def test_a_refusal_that_escapes_closes_an_accepted_socket() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(TEXT)
        check(scope)

    answer = await websocket(guarded(app))

    assert answer.text == ["hello"]
    assert answer.close == 4401


async def test_a_refusal_that_escapes_before_accept_is_a_denial() -> None:
    assert (await websocket(guarded(letting))).challenges == [BARE]


async def test_a_socket_that_goes_on_after_a_refusal_has_dealt_with_it() -> None:
    answer = await websocket(swallowing(ACCEPT, TEXT, {"type": "websocket.close", "code": 1000}))

    assert answer.close == 1000


async def test_a_refusal_after_the_close_changes_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 1000})
        check(scope)

    answer = await websocket(guarded(app))

    assert [message["type"] for message in answer.sent] == ["websocket.accept", "websocket.close"]
    assert answer.close == 1000


async def test_a_socket_without_a_refusal_is_left_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (ACCEPT, TEXT, CLOSE):
            await send(message)

    assert (await websocket(guarded(app))).sent == [ACCEPT, TEXT, CLOSE]
