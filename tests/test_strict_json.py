"""JSON that can be read in one way only."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.strict_json import MAX_DEPTH, loads

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)

REFUSED = {
    "nothing": b"",
    "no JSON": b"{email}",
    "two texts": b"{}{}",
    "text after the value": b"{} x",
    "not UTF-8": b'{"a": "\xff"}',
    "overlong UTF-8": b'"\xc0\xaf"',
    "UTF-8 of a surrogate": b'"\xed\xa0\x80"',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a member twice": b'{"a": 1, "a": 2}',
    "a member twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "a member twice, deep inside": b'{"a": [{"b": 1, "b": 1}]}',
    "NaN": b"[NaN]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "a number beyond floats": b"[1e999]",
    "a number beyond floats, beside an escape": b'["\\n", 1e999]',
    "an integer of 21 digits, beside an escape": b'["\\n", ' + b"1" * 21 + b"]",
    "an integer of 21 digits": b"[" + b"1" * 21 + b"]",
    "an integer of 100,000 digits": b"1" * 100_000,
    "half a surrogate pair": b'"\\ud800"',
    "half a surrogate pair in a name": b'{"\\uDFFF": 1}',
    "a control character in a string": b'"\n"',
    "17 arrays": b"[" * 17 + b"]" * 17,
    "17 objects": b'{"a":' * 17 + b"1" + b"}" * 17,
    "100,000 arrays": b"[" * 100_000,
    "a string without an end": b'"' + b'\\"' * 30_000,
    "brackets and a string without an end": b"[]" * 20 + b'"' + b'\\"' * 30_000,
}


@pytest.mark.requirement("R-9", "refuses")
@pytest.mark.requirement("R-100", "refuses")
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_refuses_what_could_be_read_in_two_ways(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not strict JSON$") as refused:
        loads(text)

    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.requirement("R-9", "holds")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, -2.5, "x", true, null]}', {"a": [1, -2.5, "x", True, None]}),
        (b'  "\xc3\xa9"\n', "é"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"-" + b"9" * 20, -(10**20 - 1)),
        (b"1e5", 1e5),
    ],
)
def test_reads_plain_json(text: bytes, value: object) -> None:
    assert loads(text) == value


@pytest.mark.requirement("R-100", "holds")
def test_reads_nesting_up_to_the_limit() -> None:
    value = loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    assert json.dumps(value) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_brackets_in_strings_and_beside_each_other_are_no_nesting() -> None:
    value = ["[[[[[[[[[[[[[[[[[[", '\\"{{{{{{{{{{{{{{{{{', *([] for _ in range(40)), {"{": {}}]

    assert loads(json.dumps(value).encode()) == value


@given(json_values)
def test_reads_back_whatever_python_writes(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    try:
        read = loads(text)
    except ValueError:
        assert text.count(b"[") + text.count(b"{") > MAX_DEPTH
    else:
        assert read == value


@pytest.mark.requirement("R-17", "holds")
@given(st.binary() | st.text().map(str.encode) | st.text('[]{}":,\\ud8019eE.-NaN', max_size=80).map(str.encode))
def test_whatever_the_bytes_the_outcome_is_a_value_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        value = loads(data)
        assert not isinstance(value, float) or math.isfinite(value)
        json.dumps(value, ensure_ascii=False).encode()
