"""A bearer token among a websocket's subprotocols: taken out, never shown, never sent back."""

from typing import Any

import pytest
from harness import ADMIN, REALM, USER, Answer, Recorder, Tokens, bearer, drive, http, websocket, websocket_scope
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous, Principal
from asgi_auth.wire.asgi import ASGIApp, Receive, Scope, Send

HEADER = b"sec-websocket-protocol"


def offer(*protocols: str) -> dict[str, Any]:
    """What a server makes of one header line."""
    return {"subprotocols": list(protocols), "headers": [(HEADER, ", ".join(protocols).encode())]}


class Socket(Recorder):
    """Accepts with the subprotocol it is told to."""

    def __init__(self, subprotocol: str | None = None) -> None:
        super().__init__()
        self.subprotocol = subprotocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await send({"type": "websocket.accept", "subprotocol": self.subprotocol})
        await send({"type": "websocket.close", "code": 1000})


async def ask(inner: ASGIApp, **offered: Any) -> Answer:
    return await websocket(BearerMiddleware(inner, access_tokens=Tokens()), **offered)


def lines(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == HEADER]


@pytest.mark.requirement("R-96", "holds")
async def test_the_token_behind_the_marker_authenticates_and_only_the_marker_is_sent_back() -> None:
    inner = Socket()
    answer = await ask(inner, **offer("bearer", "user"))

    (scope,) = inner.scopes
    assert scope["auth"] is scope["user"] is USER
    assert answer.sent[0] == {"type": "websocket.accept", "subprotocol": "bearer"}
    assert "user" not in repr(answer.sent)


@pytest.mark.requirement("R-96", "holds")
@pytest.mark.parametrize(
    ("offered", "shown"),
    [
        (["bearer", "user"], []),
        (["bearer", "user", "chat"], ["chat"]),
        (["chat", "bearer", "user"], ["chat"]),
        (["a", "bearer", "user", "b"], ["a", "b"]),
    ],
)
async def test_the_application_sees_neither_marker_nor_token(offered: list[str], shown: list[str]) -> None:
    inner = Socket()
    await ask(inner, **offer(*offered))

    (scope,) = inner.scopes
    assert scope["subprotocols"] == shown
    assert lines(scope) == ([", ".join(shown).encode()] if shown else [])


@pytest.mark.requirement("R-96", "holds")
async def test_the_applications_own_choice_stands() -> None:
    answer = await ask(Socket("chat"), **offer("bearer", "user", "chat"))

    assert answer.sent[0]["subprotocol"] == "chat"


async def test_the_scope_is_copied_and_never_changed() -> None:
    scope = websocket_scope(**offer("bearer", "user", "chat"))
    before = repr(scope)
    inner = Socket()
    await drive(BearerMiddleware(inner, access_tokens=Tokens()), scope, [{"type": "websocket.disconnect"}])

    assert repr(scope) == before
    assert inner.scopes[0]["state"] is scope["state"]


@pytest.mark.parametrize("offered", [[], ["chat"], ["Bearer", "user"], ["BEARER", "user"], ["xbearer", "user"]])
async def test_without_the_marker_nothing_is_touched(offered: list[str]) -> None:
    """The marker is exactly lower case; subprotocols are compared so (RFC 6455 §1.9)."""
    inner = Socket()
    answer = await ask(inner, **offer(*offered))

    (scope,) = inner.scopes
    assert isinstance(scope["auth"], Anonymous)
    assert scope["subprotocols"] == offered
    assert answer.sent[0] == {"type": "websocket.accept", "subprotocol": None}


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-98", "refuses")
@pytest.mark.parametrize(
    "offered",
    [
        ["bearer"],
        ["chat", "bearer"],
        ["bearer", ""],
        ["bearer", "user", "bearer"],
        ["bearer", "bearer"],
        ["bearer", "user", "bearer", "admin"],
        ["bearer", "us er"],
        ["bearer", "=user"],
        ["bearer", "usér"],
        ["bearer", "user\n"],
        ["bearer", "a" * 8193],
    ],
)
async def test_what_is_not_one_marker_with_one_token_is_refused(offered: list[str]) -> None:
    inner = Socket()
    answer = await ask(inner, **(offer() | {"subprotocols": offered}))

    assert inner.scopes == []
    assert answer.status == 400
    assert answer.challenges == [
        f'Bearer realm="{REALM}", error="invalid_request", error_description="The request is malformed."'
    ]


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize(("token", "status"), [("junk", 401), ("expired", 401)])
@pytest.mark.parametrize("denial", [True, False])
async def test_a_token_that_is_not_valid_is_refused_before_accept(token: str, status: int, denial: bool) -> None:
    inner = Socket()
    answer = await ask(inner, denial=denial, **offer("bearer", token))

    assert inner.scopes == []
    assert not answer.accepted
    assert (answer.status, answer.close) == ((status, None) if denial else (None, 4000 + status))


@pytest.mark.requirement("R-98", "refuses")
async def test_a_token_in_the_header_and_one_among_the_subprotocols_are_two_credentials() -> None:
    """RFC 6750 §2, also where they are the same."""
    for token in ("user", "admin"):
        inner = Socket()
        offered = offer("bearer", "user")
        answer = await ask(inner, **(offered | {"headers": offered["headers"] + bearer(token)}))
        assert (answer.status, inner.scopes) == (400, [])


@pytest.mark.requirement("R-98", "refuses")
async def test_an_api_key_and_a_token_among_the_subprotocols_are_two_credentials() -> None:
    inner = Socket()
    answer = await ask(inner, auth=Principal(subject="u", scheme="api_key"), **offer("bearer", "user"))

    assert (answer.status, inner.scopes) == (400, [])


@pytest.mark.requirement("R-98", "holds")
async def test_the_basic_scheme_of_a_proxy_stands_beside_it() -> None:
    inner = Socket()
    offered = offer("bearer", "admin")
    await ask(inner, **(offered | {"headers": [*offered["headers"], (b"authorization", b"Basic dTpw")]}))

    assert inner.scopes[0]["auth"] is ADMIN


async def test_a_layer_inside_another_finds_no_token_left_and_keeps_the_caller() -> None:
    inner = Socket()
    answer = await ask(BearerMiddleware(inner, access_tokens=Tokens()), **offer("bearer", "user", "chat"))

    assert inner.scopes[0]["auth"] is USER
    assert answer.sent[0]["subprotocol"] == "bearer"


@pytest.mark.requirement("R-96", "refuses")
async def test_an_ordinary_request_has_no_subprotocols() -> None:
    inner = Recorder()
    await http(BearerMiddleware(inner, access_tokens=Tokens()), headers=[(HEADER, b"bearer, user")])

    assert isinstance(inner.scopes[0]["auth"], Anonymous)


CANARY = "zq7canary7qz"
NAMES = st.one_of(
    st.sampled_from(
        ["bearer", "user", "admin", "Bearer", "chat", "", CANARY, f"{CANARY}=", f"{CANARY} x", "é" + CANARY]
    ),
    st.text(max_size=20),
)


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.requirement("R-99", "refuses")
@given(st.lists(NAMES, max_size=6), st.booleans(), st.one_of(st.none(), st.sampled_from(["chat", "bearer"])))
async def test_whatever_is_offered_the_answer_is_documented_and_no_token_is_shown(
    offered: list[str], denial: bool, chosen: str | None
) -> None:
    inner = Socket(chosen)
    line = ", ".join(offered).encode("utf-8", "replace")
    answer = await websocket(
        BearerMiddleware(inner, access_tokens=Tokens()), denial=denial, subprotocols=offered, headers=[(HEADER, line)]
    )

    marks = offered.count("bearer")
    behind = offered[offered.index("bearer") + 1 :][:1] if marks else []
    assert CANARY not in repr(answer.sent)
    if marks == 1 and behind in (["user"], ["admin"]):
        (scope,) = inner.scopes
        assert scope["auth"].is_authenticated
        assert answer.sent[0]["subprotocol"] == (chosen or "bearer")
        assert len(scope["subprotocols"]) == len(offered) - 2
        assert "bearer" not in scope["subprotocols"]
    elif marks:
        assert inner.scopes == []
        assert answer.status in (400, 401) or answer.close in (4400, 4401)
    else:
        assert isinstance(inner.scopes[0]["auth"], Anonymous)
        assert answer.sent[0]["subprotocol"] == chosen
