import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.patterns import Pattern, PatternMap, segments

PARTS = st.sampled_from(["a", "b", "A", "{x}", "{y}", ""])
PATTERNS = st.builds(
    lambda method, parts, end: method + "/" + "/".join(parts) + end,
    st.sampled_from(["", "GET ", "HEAD ", "POST ", "WS "]),
    st.lists(PARTS, max_size=4),
    st.sampled_from(["", "/"]),
)
PATHS = st.lists(st.sampled_from(["a", "b", "A", "c", ""]), max_size=5).map(lambda parts: "/" + "/".join(parts))


def covers(pattern: Pattern, parts: list[str]) -> bool:
    """The slow model: does this one pattern cover the path?"""
    if len(parts) < len(pattern.segments) or (len(parts) > len(pattern.segments) and not pattern.subtree):
        return False
    return all(mine in (None, theirs) for mine, theirs in zip(pattern.segments, parts, strict=False))


def rank(pattern: Pattern) -> list[int]:
    """The slow model: left to right, literal before name before subtree."""
    return [1 if segment is None else 0 for segment in pattern.segments] + ([2] if pattern.subtree else [])


@pytest.mark.requirement("R-83", "holds")
@given(st.lists(PATTERNS, max_size=8), PATHS)
def test_the_best_shape_is_the_one_that_a_search_of_all_patterns_finds(texts: list[str], path: str) -> None:
    unique = {(p.method, p.segments, p.subtree): (p, text) for text in texts for p in [Pattern.parse(text)]}
    found = PatternMap([(text, pattern) for pattern, text in unique.values()]).match(path)

    covering = [pattern for pattern, _ in unique.values() if covers(pattern, segments(path))]
    best = min(map(rank, covering), default=None)
    expected = {(p.method, p.segments) for p in covering if rank(p) == best}

    if found is None:
        assert not covering
    else:
        assert {(p.method, p.segments) for p in found.values()} == expected


@given(st.text())
def test_any_text_is_a_pattern_or_a_configuration_error(text: str) -> None:
    try:
        pattern = Pattern.parse(text)
    except ConfigurationError:
        return

    assert pattern.method is None or pattern.method.isupper()


@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "admin",
        "GET",
        "GET admin",
        "get /admin",
        "FETCH /admin",
        " /admin",
        "GET  /admin",
        "/{a}{b}",
        "/x{a}",
        "/{a}x",
        "/{}",
        "/{a:path}",
        "/{1}",
        "/a%2Fb",
        "/a?b",
        "/a#b",
        "/admin/*",
        "/a/./b",
        "/a/..",
        "/a\\b",
        "/a\nb",
        "/a\x7f",
    ],
)
def test_a_pattern_that_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Pattern.parse(text)


@pytest.mark.parametrize(("one", "other"), [("/a", "//a"), ("/a/{x}", "/a/{y}"), ("GET /a/", "GET /a//"), ("/", "//")])
def test_the_same_shape_twice_is_refused(one: str, other: str) -> None:
    with pytest.raises(ConfigurationError, match="same shape"):
        PatternMap([(one, 1), (other, 2)])


@pytest.mark.parametrize(
    ("path", "best"),
    [
        ("/", 0),
        ("", 0),
        ("/zzz", 0),
        ("/a", 1),
        ("/a/", 1),
        ("//a", 1),
        ("/A", 0),
        ("/a/5", 3),
        ("/a/5/x", 2),
        ("/a/b", 4),
        ("/a/b/c", 2),
        ("/a/b/d", 5),
    ],
)
def test_literals_come_before_names_before_subtrees(path: str, best: int) -> None:
    rules = PatternMap([("/", 0), ("/a", 1), ("/a/", 2), ("/a/{id}", 3), ("/a/b", 4), ("/a/{id}/d", 5)])

    assert rules.match(path) == {None: best}


def test_a_map_without_a_covering_pattern_answers_nothing() -> None:
    assert PatternMap([("/a", 1)]).match("/a/b") is None


def test_a_pattern_is_under_a_prefix_segment_by_segment() -> None:
    assert Pattern.parse("GET /auth/login").is_under("/auth/")
    assert Pattern.parse("/auth/").is_under("/auth")
    assert not Pattern.parse("/authors/").is_under("/auth")
    assert not Pattern.parse("/").is_under("/auth")
