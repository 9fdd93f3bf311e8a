"""The mapping of a session: JSON alone, its own changes known, and made again to newer data."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import SessionClosed, StoreUnavailable
from asgi_auth.session_data import DATA_LIMIT, NO_CHANGES, Changes, SessionData

CANARY = "canary-93ab"


def stored(data: SessionData, text: str) -> dict[str, Any]:
    """What a store has after the changes are made to what it had."""
    loaded: dict[str, Any] = json.loads(data.changes().applied_to(text))
    return loaded


def test_it_is_read_like_a_dict() -> None:
    data = SessionData('{"a": 1, "b": [true, null, "é"]}')

    assert (dict(data), len(data), list(data)) == ({"a": 1, "b": [True, None, "é"]}, 2, ["a", "b"])
    assert ("a" in data, "c" in data, data.get("c"), data.get("a")) == (True, False, None, 1)
    with pytest.raises(KeyError):
        data["c"]
    assert data.changes() == NO_CHANGES


def test_it_is_written_like_a_dict() -> None:
    text = '{"a": 1, "b": 2, "c": 3}'
    data = SessionData(text)

    data["d"] = {"x": [1]}
    data.update(a=10, e=None)
    del data["b"]
    assert data.pop("c") == 3
    assert data.setdefault("f", "new") == "new"
    assert data.pop("nothing", 0) == 0

    assert stored(data, text) == dict(data) == {"a": 10, "d": {"x": [1]}, "e": None, "f": "new"}


def test_whoever_has_not_asked_has_not_read_it() -> None:
    data = SessionData("junk that nobody looks at")

    assert not data.is_accessed
    assert data.changes() == NO_CHANGES
    with pytest.raises(StoreUnavailable):
        len(data)
    assert data.is_accessed


@pytest.mark.parametrize("ask", [len, list, bool, dict, lambda data: "a" in data, lambda data: data.get("a")])
def test_every_question_counts_as_reading(ask: Any) -> None:
    data = SessionData()
    ask(data)

    assert data.is_accessed


def test_what_was_read_and_changed_inside_is_changed() -> None:
    text = '{"seen": [1], "who": {"name": "a"}, "same": [1]}'
    data = SessionData(text)

    data["seen"].append(2)
    data["who"]["name"] = "b"
    assert data["same"] == [1]

    changes = data.changes()
    assert changes.values == {"seen": [1, 2], "who": {"name": "b"}}
    assert stored(data, text) == {"seen": [1, 2], "who": {"name": "b"}, "same": [1]}


def test_what_was_set_and_changed_afterwards_is_kept_as_it_is_at_the_end() -> None:
    data = SessionData()
    seen = [1]
    data["seen"] = seen
    seen.append(2)

    assert stored(data, "{}") == {"seen": [1, 2]}


def test_a_list_that_was_changed_and_deleted_is_deleted() -> None:
    data = SessionData('{"seen": [1]}')
    data["seen"].append(2)
    del data["seen"]

    assert data.changes() == Changes({}, frozenset({"seen"}))


@pytest.mark.requirement("R-47", "holds")
def test_changes_are_made_again_to_newer_data() -> None:
    data = SessionData('{"a": 1, "b": 2, "c": 3}')
    data["a"] = 10
    del data["b"]

    assert stored(data, '{"a": 5, "b": 6, "c": 7, "d": 8}') == {"a": 10, "c": 7, "d": 8}


def test_setting_again_what_was_deleted_and_deleting_what_was_set_leaves_the_last() -> None:
    data = SessionData('{"a": 1, "b": 2}')
    del data["a"]
    data["a"] = 3
    data["b"] = 4
    del data["b"]

    assert data.changes() == Changes({"a": 3}, frozenset({"b"}))


def test_clearing_deletes_every_name_that_is_there() -> None:
    data = SessionData('{"a": 1, "b": 2}')
    data.clear()

    assert stored(data, '{"a": 1, "b": 2, "c": 3}') == {"c": 3}


NOT_JSON: list[Any] = [
    b"bytes",
    {1, 2},
    object(),
    float("nan"),
    float("inf"),
    {"a": {"b": object()}},
    [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]],
    "\ud800",
    10**20,
    {1: "a", "1": "b"},
    {("a",): 1},
    CANARY.encode(),
]


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.parametrize("value", NOT_JSON, ids=[type(value).__name__ for value in NOT_JSON])
def test_what_is_not_json_is_a_type_error_that_names_the_key_and_not_the_value(value: Any) -> None:
    data = SessionData('{"basket": 1}')

    with pytest.raises(TypeError) as refused:
        data["basket"] = value

    assert "session['basket']" in str(refused.value)
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None
    assert (data["basket"], data.changes()) == (1, NO_CHANGES)


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.parametrize("deep", [20, 1000, 100_000])
def test_what_is_nested_too_deeply_to_be_read_again_is_not_stored(deep: int) -> None:
    value: list[Any] = []
    for _ in range(deep):
        value = [value]

    with pytest.raises(TypeError, match="nested"):
        SessionData()["deep"] = value
    while value:
        value = value.pop()


@pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
def test_names_are_strings(key: Any) -> None:
    with pytest.raises(TypeError, match="names"):
        SessionData()[key] = 1


@pytest.mark.requirement("R-47", "refuses")
def test_what_is_put_into_a_list_that_is_not_json_is_refused_when_it_is_saved() -> None:
    for text in ("{}", '{"seen": []}'):
        data = SessionData(text)
        data.setdefault("seen", [])
        data["seen"].append(object())
        with pytest.raises(TypeError, match="seen"):
            data.changes()


@pytest.mark.requirement("R-47", "refuses")
def test_it_holds_16_kib_and_no_more() -> None:
    data = SessionData()
    room = DATA_LIMIT - len('{"a":""}')

    data["a"] = "x" * room
    with pytest.raises(ValueError, match="16384 bytes"):
        data["a"] = "x" * (room + 1)
    with pytest.raises(ValueError, match="16384 bytes"):
        data["b"] = 1

    assert len(data.changes().applied_to("{}")) == DATA_LIMIT
    assert list(data) == ["a"]


@pytest.mark.requirement("R-47", "refuses")
def test_two_requests_cannot_make_it_larger_together() -> None:
    data = SessionData()
    data["a"] = "x" * (DATA_LIMIT // 2)

    with pytest.raises(ValueError, match="16384 bytes"):
        data.changes().applied_to(json.dumps({"b": "x" * (DATA_LIMIT // 2)}))


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"a"',
        "{",
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        "\x80\x04\x95",
        "cos\nsystem\n(S'id'\ntR.",
        "[" * 100_000,
        '{"a":' + "[" * 17 + "]" * 17 + "}",
        "\ud800",
    ],
)
def test_data_that_is_no_json_object_is_refused_and_never_anything_else(text: str) -> None:
    """CVE-2021-33026: a pickle in the store was code. Here it is bad data, and bad data is 503."""
    data = SessionData(text)
    with pytest.raises(StoreUnavailable):
        data["a"]
    with pytest.raises(StoreUnavailable):
        data["a"] = 1
    fresh = SessionData()
    fresh["a"] = 1
    with pytest.raises(StoreUnavailable):
        fresh.changes().applied_to(text)


def test_a_closed_one_can_be_read_and_says_why_it_cannot_be_changed() -> None:
    data = SessionData('{"a": [1]}')
    data.closed = "the response has begun"

    assert data["a"] == [1]
    for change in (lambda: data.__setitem__("b", 1), lambda: data.__delitem__("a"), data.clear, data.popitem):
        with pytest.raises(SessionClosed, match="the response has begun"):
            change()
    assert isinstance(SessionClosed("x"), RuntimeError)


def test_it_shows_nothing_of_what_it_holds() -> None:
    data = SessionData(json.dumps({"a": CANARY}))
    data[CANARY] = CANARY

    assert CANARY not in repr(data)


def test_it_can_begin_anew() -> None:
    data = SessionData('{"a": 1}')
    data["b"] = 2

    data.restart('{"c": 3}')

    assert (dict(data), data.changes()) == ({"c": 3}, NO_CHANGES)


names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3, alphabet="xy"), inner, max_size=3),
    max_leaves=5,
)
steps = st.lists(
    st.tuples(st.just("set"), names, values)
    | st.tuples(st.just("delete"), names, st.none())
    | st.tuples(st.just("append"), names, values),
    max_size=8,
)


def run(mapping: Any, script: list[tuple[str, str, Any]]) -> None:
    for step, name, value in script:
        if step == "set":
            mapping[name] = json.loads(json.dumps(value))
        elif step == "delete":
            mapping.pop(name, None)
        elif isinstance(mapping.get(name), list):
            mapping[name].append(value)


@pytest.mark.requirement("R-47", "holds")
@given(start=st.dictionaries(names, values), script=steps)
def test_whatever_is_done_the_store_has_what_a_dict_would_have(start: dict[str, Any], script: Any) -> None:
    text = json.dumps(start)
    data, plain = SessionData(text), json.loads(text)

    run(data, script)
    run(plain, script)

    assert dict(data) == plain
    assert stored(data, text) == plain
