import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.wire.path import readings

PATHS = st.lists(st.sampled_from(["/", "api", "/api", "admin", ".", "x"]), max_size=8).map("".join)
ROOTS = st.sampled_from(["", "/", "/api", "/api/", "/api/x", "/admin", "api"])


def starlette(path: str, root: str) -> str:
    if root and path.startswith(root) and (path == root or path[len(root)] == "/"):
        return path[len(root) :]
    return path


def litestar(path: str, root: str) -> str:
    return path.split(root, maxsplit=1)[-1] if root else path


def quart(path: str, root: str) -> str | None:
    if not root:
        return path
    return None if path == root or not path.startswith(root) else path.removeprefix(root)


def parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


@pytest.mark.requirement("R-84", "holds")
@given(PATHS, ROOTS)
def test_the_readings_are_those_of_every_framework(path: str, root: str) -> None:
    found = readings(path, root)
    if found is None:
        return

    seen = [parts(reading) for reading in found]
    for reading in (starlette(path, root), litestar(path, root), quart(path, root)):
        assert reading is None or parts(reading) in seen


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/a", "", ("/a",)),
        ("", "", ("",)),
        ("/api/a", "/api", ("/a",)),
        ("/api", "/api", ("",)),
        ("/other/a", "/api", ("/other/a",)),
        ("/apia", "/api", ("/apia", "a")),
        ("/x/api/a", "/api", ("/x/api/a", "/a")),
        ("/api/api/a", "/api", ("/api/a",)),
        ("/api//a", "/api/", ("/a", "//a")),
        ("/api/a", "/api/", ("/api/a", "/a", "a")),
    ],
)
def test_the_root_path_is_cut_on_a_segment_boundary_and_where_it_first_occurs(
    path: str, root: str, expected: tuple[str, ...]
) -> None:
    assert readings(path, root) == expected


@pytest.mark.requirement("R-84", "refuses")
@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/..",
        "/./a",
        "/a/../b",
        "/a/..",
        "/a/.",
        "..",
        "/a\\b",
        "/a\x00",
        "/a\n",
        "/a\x1f/b",
        "/a\x7f",
        "/a\x85",
        "a",
        "*",
        "http://host/a",
        "x:a",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_has_no_reading(path: str) -> None:
    assert readings(path, "") is None


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/a..b", "/...", "/a.", "/..a", "/a;b", "/a b", "/ü"])
def test_dots_inside_a_segment_are_ordinary(path: str) -> None:
    assert readings(path, "") == (path,)
