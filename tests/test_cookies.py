"""The session cookie: found among others, set, cleared; whatever the bytes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.wire.cookies import COOKIE_LIMIT, DEFAULT_COOKIE, SessionCookie, cookie_values

NAME = b"__Host-session"


def lines(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"api.example"), *((b"cookie", value) for value in values)]


@pytest.mark.requirement("R-42", "holds")
@pytest.mark.parametrize(
    "line",
    [
        b"__Host-session=v",
        b"a=1; __Host-session=v",
        b"a=1;__Host-session=v;b=2",
        b" __Host-session = v ; b",
        b"junk; =; ;; __Host-session=v",
        b'quoted="a; __Host-session=v',
        b"\xff\x00=\xfe; __Host-session=v",
    ],
)
def test_it_is_found_among_others(line: bytes) -> None:
    assert cookie_values(lines(line), NAME) == [b"v"]


def test_several_lines_are_one_list() -> None:
    """RFC 9113 §8.2.3: HTTP/2 may split Cookie into lines."""
    assert cookie_values(lines(b"a=1", b"__Host-session=v", b"b=2"), NAME) == [b"v"]


@pytest.mark.requirement("R-42", "refuses")
def test_two_of_one_name_are_both_told_of() -> None:
    assert cookie_values(lines(b"__Host-session=v; __Host-session=w"), NAME) == [b"v", b"w"]
    assert cookie_values(lines(b"__Host-session=v", b"__Host-session=v"), NAME) == [b"v", b"v"]


@pytest.mark.requirement("R-42", "refuses")
@pytest.mark.parametrize(
    "line",
    [
        b"=__Host-session=v",
        b"=__Host-session",
        b"; =v; __Host-session",
        b"x=__Host-session=v",
        b"__host-session=v",
        b"__HOST-SESSION=v",
        b"__Host-session\xa0=v",
        b"\x0b__Host-session=v",
        b"__Host-session\x00=v",
        b"__Secure-session=v",
        b"session=v",
        b"x__Host-session=v",
        b"__Host-session-2=v",
        b'"__Host-session"=v',
        b"a=1, __Host-session=v",
        b"a=1\x00; a__Host-session=v",
        b"",
        b";;;;",
    ],
)
def test_cookies_without_a_name_or_with_one_that_looks_like_ours_are_not_ours(line: bytes) -> None:
    """CVE-2023-23934: a nameless cookie ``=__Host-session=v`` was read as one named __Host-session."""
    assert cookie_values(lines(line), NAME) == []


@pytest.mark.requirement("R-42", "refuses")
def test_quotes_belong_to_the_value() -> None:
    """CVE-2024-7592: unquoting took quadratic time, and made one value of two."""
    assert cookie_values(lines(b'__Host-session="v\\"; b"'), NAME) == [b'"v\\"']


@pytest.mark.requirement("R-100", "refuses")
def test_more_than_16_kib_in_all_is_no_cookie_at_all() -> None:
    room = COOKIE_LIMIT - len(b"__Host-session=v; ")

    assert cookie_values(lines(b"__Host-session=v; " + b"x" * room), NAME) == [b"v"]
    assert cookie_values(lines(b"__Host-session=v; " + b"x" * (room + 1)), NAME) == []
    assert cookie_values(lines(b"__Host-session=v", *[b"x" * 1000] * 17), NAME) == []


class Counted(bytes):
    """Bytes that count how often they are searched or taken apart."""

    touched = 0

    def split(self, *arguments: Any) -> Any:
        type(self).touched += 1
        return super().split(*arguments)


@pytest.mark.requirement("R-42", "holds")
def test_100_kb_of_backslashes_are_left_at_their_length() -> None:
    """CVE-2024-7592. The limit is looked at before anything is taken apart."""
    Counted.touched = 0

    assert cookie_values(lines(Counted(b'__Host-session="' + b"\\" * 100_000)), NAME) == []
    assert Counted.touched == 0


@pytest.mark.requirement("R-42", "holds")
def test_a_line_is_taken_apart_once_however_many_pairs_it_has() -> None:
    """CVE-2016-7401 and its kin: each byte is looked at a fixed number of times."""
    Counted.touched = 0

    assert cookie_values(lines(Counted(b'a="\\\\\\";' * 1500 + b"__Host-session=v")), NAME) == [b"v"]
    assert Counted.touched == 1


pairs = st.tuples(
    st.sampled_from([b"", b"a", NAME, b" " + NAME, NAME.lower(), b"=" + NAME]) | st.binary(max_size=20),
    st.sampled_from([b"=", b"", b"=="]),
    st.binary(max_size=20),
).map(b"".join)


def reference(line: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"(?:\A|;)[ \t]*__Host-session[ \t]*=([^;]*)", line):
        yield match[1].strip(b" \t")


@pytest.mark.requirement("R-42", "holds")
@given(lines_of_pairs=st.lists(st.lists(pairs, max_size=6).map(b";".join), max_size=4))
def test_whatever_the_bytes_the_values_are_those_of_pairs_with_exactly_this_name(lines_of_pairs: list[bytes]) -> None:
    expected = [value for line in lines_of_pairs for value in reference(line)]

    assert cookie_values(lines(*lines_of_pairs), NAME) == expected


def attributes(line: bytes) -> list[str]:
    return line.decode().split("; ")


@pytest.mark.requirement("R-41", "holds")
def test_it_is_set_with_every_protection() -> None:
    assert attributes(DEFAULT_COOKIE.holding("v", 43199.9)) == [
        "__Host-session=v",
        "Path=/",
        "Max-Age=43199",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
    ]


@pytest.mark.requirement("R-41", "refuses")
def test_no_attribute_widens_it() -> None:
    for cookie in (DEFAULT_COOKIE, SessionCookie(secure=False), SessionCookie(same_site="none")):
        for line in (cookie.holding("v", 1), cookie.cleared()):
            assert b"domain" not in line.lower()
            assert b"; Path=/;" in line
            assert b"; HttpOnly" in line


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.parametrize("cookie", [DEFAULT_COOKIE, SessionCookie(name="sid", secure=False, same_site="strict")])
def test_it_is_cleared_with_the_attributes_it_was_set_with(cookie: SessionCookie) -> None:
    held, cleared = attributes(cookie.holding("v", 60)), attributes(cookie.cleared())

    assert cleared[0] == held[0].removesuffix("v")
    assert cleared[2] == "Max-Age=0"
    assert cleared[1:2] + cleared[3:] == held[1:2] + held[3:]


@pytest.mark.requirement("R-41", "holds")
def test_without_secure_there_is_no_host_prefix_either() -> None:
    """A browser drops a __Host- cookie that is not Secure."""
    cookie = SessionCookie(secure=False)

    assert cookie.effective_name == "session"
    assert b"Secure" not in cookie.holding("v", 1)


@pytest.mark.parametrize(("same_site", "written"), [("lax", "Lax"), ("strict", "Strict"), ("none", "None")])
def test_the_same_site_rule_is_an_argument(same_site: Any, written: str) -> None:
    assert attributes(SessionCookie(same_site=same_site).holding("v", 1))[-1] == f"SameSite={written}"


@pytest.mark.requirement("R-41", "refuses")
@pytest.mark.parametrize(
    "settings",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a;b"},
        {"name": "a=b"},
        {"name": "é"},
        {"name": "a\n"},
        {"name": "__Host-session"},
        {"name": "__secure-session"},
        {"name": "__Http-session"},
        {"name": "n" * 4000},
        {"same_site": "Lax"},
        {"same_site": "None"},
        {"same_site": ""},
        {"same_site": "none", "secure": False},
    ],
)
def test_a_cookie_that_browsers_would_drop_or_leak_is_a_configuration_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        SessionCookie(**settings)


@pytest.mark.requirement("R-41", "holds")
def test_the_longest_name_leaves_room_for_the_value() -> None:
    cookie = SessionCookie(name="n" * (4096 - 128 - len("__Host-")))

    assert len(cookie.effective_name) + 128 == 4096
