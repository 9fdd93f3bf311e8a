import pytest
from harness import Answer, http_scope, websocket_scope

from asgi_auth.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotAuthenticated,
    Reason,
    Refusal,
    StoreUnavailable,
)
from asgi_auth.wire.asgi import Message, Scope
from asgi_auth.wire.responses import close_code, refuse


async def answer(scope: Scope, refusal: Refusal, *challenges: str) -> Answer:
    found = Answer()

    async def send(message: Message) -> None:
        found.sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the renderer reads nothing")

    await refuse(scope, receive, send, refusal, challenges=challenges)
    return found


@pytest.mark.requirement("R-99", "holds")
async def test_a_refusal_is_a_problem_document() -> None:
    """RFC 9457 §3.1."""
    found = await answer(http_scope(), Forbidden(Reason.ROLE_MISSING))

    assert found.status == 403
    assert found.problem == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "forbidden",
        "detail": "This is not allowed.",
    }
    assert found.header("content-length") == [str(len(found.body))]
    assert found.challenges == []


async def test_the_fields_at_fault_are_listed_and_unknown_ones_counted() -> None:
    found = await answer(http_scope(), Invalid([FieldError("email", "malformed")], unknown_fields=2))

    assert found.problem["errors"] == [{"field": "email", "code": "malformed"}]
    assert found.problem["unknown_fields"] == 2


@pytest.mark.requirement("R-99", "refuses")
async def test_the_reason_for_the_logs_is_never_sent() -> None:
    for reason in Reason:
        found = await answer(http_scope(), Conflict(reason))
        assert reason.value.encode() not in found.body


async def test_every_challenge_is_a_line_of_its_own() -> None:
    found = await answer(http_scope(), NotAuthenticated(), "A", "B")

    assert found.challenges == ["A", "B"]


async def test_challenges_replace_those_in_the_headers_of_the_refusal() -> None:
    refusal = NotAuthenticated()
    refusal.headers = {"WWW-Authenticate": "A, B", "X-Other": "kept"}

    assert (await answer(http_scope(), refusal)).challenges == ["A, B"]
    found = await answer(http_scope(), refusal, "A", "B")
    assert found.challenges == ["A", "B"]
    assert found.header("x-other") == ["kept"]


@pytest.mark.requirement("R-99", "refuses")
@pytest.mark.parametrize("scope", [http_scope(), websocket_scope()])
async def test_no_401_goes_without_a_challenge(scope: Scope) -> None:
    assert (await answer(scope, NotAuthenticated())).challenges == ['Bearer realm="asgi_auth"']


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    """RFC 9110 §9.3.2."""
    get = await answer(http_scope(), Forbidden(Reason.ROLE_MISSING))
    head = await answer(http_scope(method="HEAD"), Forbidden(Reason.ROLE_MISSING))

    assert head.headers == get.headers
    assert head.body == b""


async def test_headers_of_a_refusal_are_sent() -> None:
    assert (await answer(http_scope(), StoreUnavailable(retry_after=1.5))).header("retry-after") == ["2"]
    assert (await answer(http_scope(), MethodNotAllowed(["POST", "GET"]))).header("allow") == ["GET, POST"]


async def test_a_websocket_gets_the_same_response_where_the_server_can_send_it() -> None:
    over_http = await answer(http_scope(), NotAuthenticated(), "A")
    over_websocket = await answer(websocket_scope(), NotAuthenticated(), "A")

    assert over_websocket.sent[0]["type"] == "websocket.http.response.start"
    assert over_websocket.headers == over_http.headers
    assert over_websocket.body == over_http.body


@pytest.mark.requirement("R-96", "refuses")
async def test_a_websocket_is_closed_before_accept_where_the_server_cannot() -> None:
    found = await answer(websocket_scope(denial=False), NotAuthenticated())

    assert found.sent == [{"type": "websocket.close", "code": 4401, "reason": "not_authenticated"}]


def test_an_accepted_socket_closes_with_the_status_in_its_code() -> None:
    assert close_code(NotAuthenticated()) == 4401
    assert close_code(Forbidden(Reason.ROLE_MISSING)) == 4403
