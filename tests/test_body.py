"""Bodies of our own routes: limits before copying, one way to read, known fields only."""

import json
import logging
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from asgi_auth.errors import Denied, FieldError, Invalid, InvalidRequest, TooLarge, WrongMediaType
from asgi_auth.wire.asgi import Message, Receive, Scope
from asgi_auth.wire.body import BODY_LIMIT, Kind, fields, read_json, read_optional_json

JSON = (b"content-type", b"application/json")


def scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}


def arriving(*chunks: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request"})
    upcoming = iter(messages)

    async def receive() -> Message:
        return next(upcoming)

    return receive


async def unread() -> Message:
    raise AssertionError("the body must not be read")


async def test_a_json_object_in_pieces_is_read() -> None:
    assert await read_json(scope(JSON), arriving(b'{"email": ', b'"a@', b'b.c"}')) == {"email": "a@b.c"}


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b'application/json ; charset="utf-8"',
    ],
)
async def test_application_json_is_read_in_every_spelling(media_type: bytes) -> None:
    assert await read_json(scope((b"content-type", media_type)), arriving(b"{}")) == {}


FOREIGN_TYPES: dict[str, list[tuple[bytes, bytes]]] = {
    "none": [],
    "empty": [(b"content-type", b"")],
    "text/plain": [(b"content-type", b"text/plain")],
    "text/plain with a hint": [(b"content-type", b"text/plain; application/json")],
    "a form": [(b"content-type", b"application/x-www-form-urlencoded")],
    "a multipart form": [(b"content-type", b"multipart/form-data; boundary=application/json")],
    "another json": [(b"content-type", b"application/problem+json")],
    "a longer word": [(b"content-type", b"application/jsonp")],
    "a list": [(b"content-type", b"application/json, text/plain")],
    "a list, plain first": [(b"content-type", b"text/plain, application/json")],
    "another charset": [(b"content-type", b"application/json; charset=utf-16")],
    "a parameter": [(b"content-type", b"application/json; boundary=x")],
    "a tab and more": [(b"content-type", b"application/json\ttext/plain")],
    "two lines": [JSON, JSON],
    "two lines, plain second": [JSON, (b"content-type", b"text/plain")],
    "compressed": [JSON, (b"content-encoding", b"gzip")],
    "not ASCII": [(b"content-type", b"application/json\xff")],
}


@pytest.mark.parametrize("headers", FOREIGN_TYPES.values(), ids=FOREIGN_TYPES)
async def test_any_other_content_type_is_415_before_the_body_is_read(headers: list[tuple[bytes, bytes]]) -> None:
    """CVE-2021-32677: a foreign page can send JSON as text/plain without a preflight."""
    with pytest.raises(WrongMediaType):
        await read_json(scope(*headers), unread)


async def test_identity_is_no_encoding() -> None:
    assert await read_json(scope(JSON, (b"content-encoding", b"Identity")), arriving(b"{}")) == {}


@pytest.mark.requirement("R-100", "holds")
async def test_a_body_of_exactly_the_limit_is_read() -> None:
    text = b'{"a": "' + b"x" * (BODY_LIMIT - 9) + b'"}'

    document = await read_json(scope(JSON, (b"content-length", b"%d" % BODY_LIMIT)), arriving(text[:9], text[9:]))

    assert len(text) == BODY_LIMIT
    assert len(document["a"]) == BODY_LIMIT - 9


@pytest.mark.requirement("R-100", "refuses")
@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 10**12, 10**5000], ids=["one more", "a terabyte", "5,001 digits"])
async def test_a_length_announced_over_the_limit_is_413_before_the_body_is_read(length: int) -> None:
    announced = b"9" * 5000 if length > 10**100 else b"%d" % length
    with pytest.raises(TooLarge):
        await read_json(scope(JSON, (b"content-length", announced)), unread)


@pytest.mark.requirement("R-100", "refuses")
async def test_what_arrives_over_the_limit_is_413_whatever_was_announced() -> None:
    with pytest.raises(TooLarge):
        await read_json(scope(JSON, (b"content-length", b"2")), arriving(b"x" * BODY_LIMIT, b"x"))


@pytest.mark.requirement("R-100", "refuses")
async def test_an_endless_body_is_left_at_the_limit_without_copies() -> None:
    """CVE-2026-119284: a cap that is looked at after copying is no cap."""
    huge = b"x" * 20_000_000
    served = 0

    async def endless() -> Message:
        nonlocal served
        served += 1
        return {"type": "http.request", "body": huge, "more_body": True}

    tracemalloc.start()
    with pytest.raises(TooLarge):
        await read_json(scope(JSON), endless)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert served == 1
    assert peak <= 2 * BODY_LIMIT


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"1", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff"])
async def test_what_is_not_one_strict_json_object_is_400(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await read_json(scope(JSON), arriving(body))


@pytest.mark.requirement("R-100", "refuses")
async def test_a_body_nested_deeper_than_16_is_400() -> None:
    with pytest.raises(InvalidRequest):
        await read_json(scope(JSON), arriving(b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"))


async def test_a_client_that_goes_away_is_no_refusal() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await read_json(scope(JSON), gone)


@pytest.mark.parametrize("headers", [[], [JSON], [(b"content-type", b"text/plain")]])
async def test_an_optional_body_may_be_missing_whatever_its_type(headers: list[tuple[bytes, bytes]]) -> None:
    assert await read_optional_json(scope(*headers), arriving(b"")) == {}


async def test_an_optional_body_that_came_is_read_as_strictly() -> None:
    assert await read_optional_json(scope(JSON), arriving(b'{"a": 1}')) == {"a": 1}
    with pytest.raises(WrongMediaType):
        await read_optional_json(scope((b"content-type", b"text/plain")), arriving(b"{}"))


@pytest.mark.requirement("R-65", "holds")
def test_known_strings_are_the_fields() -> None:
    assert fields({"a": "1", "b": ""}, ("a",), ("b",)) == {"a": "1", "b": ""}
    assert fields({"a": "1"}, ("a",), ("b",)) == {"a": "1"}


@pytest.mark.requirement("R-65", "refuses")
def test_missing_and_mistyped_fields_are_listed_and_unknown_ones_only_counted() -> None:
    with pytest.raises(Invalid) as refused:
        fields({"b": 1, "c": None, "role": "admin", "is_admin": True}, ("a", "b"), ("c", "d"))

    assert refused.value.errors == (
        FieldError("a", "missing"),
        FieldError("b", "not_a_string"),
        FieldError("c", "not_a_string"),
    )
    assert refused.value.unknown_fields == 2


@pytest.mark.requirement("R-65", "refuses")
def test_one_unknown_field_is_enough() -> None:
    with pytest.raises(Invalid) as refused:
        fields({"a": "1", "roles": "admin"}, ("a",))

    assert (refused.value.errors, refused.value.unknown_fields) == ((), 1)


def test_fields_of_other_kinds_are_named_with_them() -> None:
    kinds = {"name": Kind.STRING, "session": Kind.BOOLEAN, "lifetime": Kind.NUMBER, "scopes": Kind.STRINGS}

    for document in (
        {"name": "a", "session": True, "lifetime": 1, "scopes": []},
        {"name": "", "session": False, "lifetime": 0.5, "scopes": ["a", ""]},
    ):
        assert fields(document, kinds) == fields(document, ("name",), kinds) == fields(document, (), kinds) == document


NOT_OF_A_KIND: list[tuple[Kind, list[object]]] = [
    (Kind.STRING, [None, True, 1, ["a"], {}]),
    (Kind.BOOLEAN, [None, 0, 1, "true", "", [True]]),
    (Kind.NUMBER, [None, True, False, "1", [1], {}]),
    (Kind.STRINGS, [None, "a", ["a", 1], [None], [["a"]], {"a": "b"}, True]),
]


@pytest.mark.requirement("R-65", "refuses")
@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in NOT_OF_A_KIND for value in values], ids=repr
)
def test_a_field_of_another_kind_is_listed_with_the_code_of_its_own(kind: Kind, value: object) -> None:
    for required, optional in (({"a": kind}, {}), ({}, {"a": kind})):
        with pytest.raises(Invalid) as refused:
            fields({"a": value}, required, optional)

        assert refused.value.errors == (FieldError("a", kind.value),)


def test_a_required_field_of_any_kind_may_not_be_missing() -> None:
    with pytest.raises(Invalid) as refused:
        fields({}, {"a": Kind.NUMBER, "b": Kind.STRINGS}, {"c": Kind.BOOLEAN})

    assert refused.value.errors == (FieldError("a", "missing"), FieldError("b", "missing"))


CANARY = "canary-7c1f"
documents = st.dictionaries(
    st.sampled_from(["email", "password", "role", CANARY]),
    st.recursive(st.none() | st.text() | st.integers() | st.just(CANARY), lambda inner: st.lists(inner, max_size=3)),
)
bodies = st.one_of(
    st.binary(max_size=200),
    documents.map(lambda document: json.dumps(document).encode()),
    documents.map(lambda document: json.dumps(document).encode()[:-1] + CANARY.encode()),
)


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def outcome(body: bytes, media_type: bytes) -> dict[str, str] | Denied:
    try:
        document = await read_json(scope((b"content-type", media_type)), arriving(body))
        return fields(document, ("email", "password"))
    except Denied as refused:
        return refused


@pytest.mark.requirement("R-17", "refuses")
@given(body=bodies, media_type=st.sampled_from([JSON[1], b"text/plain", CANARY.encode()]) | st.binary(max_size=40))
async def test_whatever_the_bytes_the_outcome_is_the_fields_or_a_documented_4xx(body: bytes, media_type: bytes) -> None:
    log = Log()
    logging.getLogger().addHandler(log)
    try:
        found = await outcome(body, media_type)
    finally:
        logging.getLogger().removeHandler(log)

    if isinstance(found, Denied):
        assert found.status_code in {400, 413, 415, 422}
        assert CANARY not in f"{found!r} {found} {found.detail} {vars(found)}"
    else:
        assert set(found) == {"email", "password"}
    assert log.lines == []
