"""Which site's page a request comes from, and how origins are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.issuer import check_issuer, checked_origin, is_loopback_http, origin_of
from asgi_auth.wire.origin import Origins, csrf_header

OURS = b"https://app.example"
ORIGINS = Origins(["https://app.example", "https://admin.example:8443"])
FOREIGN = [
    b"",
    b"null",
    b"NULL",
    b"https://evil.example",
    b"http://app.example",
    b"https://app.example:443",
    b"https://app.example/",
    b"https://app.example.evil.example",
    b"https://evil.example/https://app.example",
    b"https://xapp.example",
    b"https://app_example",
    b"https://APP.example",
    b"https://app.example https://evil.example",
    b"https://app.example, https://app.example",
    b" https://app.example",
    b"https://admin.example",
    b"https://app.example\x00",
    b"\xff",
]


def headers(origins: list[bytes], sites: list[bytes] | None = None) -> list[tuple[bytes, bytes]]:
    return [*((b"origin", value) for value in origins), *((b"sec-fetch-site", value) for value in sites or [])]


@pytest.mark.requirement("R-43", "holds")
@pytest.mark.parametrize("origin", [OURS, b"https://admin.example:8443"])
@pytest.mark.parametrize("sites", [[], [b"same-origin"], [b"same-site"], [b"cross-site"]])
def test_an_origin_of_the_list_is_enough(origin: bytes, sites: list[bytes]) -> None:
    """A front end on another host is cross-site, and its origin was named."""
    assert ORIGINS.admit(headers([origin], sites)) is True


@pytest.mark.requirement("R-43", "refuses")
@pytest.mark.requirement("R-97", "refuses")
@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("sites", [[], [b"same-origin"], [b"none"]])
def test_any_other_origin_is_refused_whatever_the_site_is_called(origin: bytes, sites: list[bytes]) -> None:
    """CVE-2026-25478: origins are compared literally, never as patterns."""
    assert ORIGINS.admit(headers([origin], sites)) is False


@pytest.mark.requirement("R-43", "refuses")
def test_two_origin_lines_are_refused() -> None:
    assert ORIGINS.admit(headers([OURS, OURS])) is False
    assert ORIGINS.admit_websocket(headers([OURS, OURS])) is False


@pytest.mark.requirement("R-43", "holds")
@pytest.mark.parametrize("site", [b"same-origin", b"none"])
def test_without_an_origin_the_own_site_and_the_person_itself_are_enough(site: bytes) -> None:
    assert ORIGINS.admit(headers([], [site])) is True


@pytest.mark.requirement("R-43", "refuses")
@pytest.mark.parametrize(
    "sites",
    [
        [b"cross-site"],
        [b"same-site"],
        [b"Same-Origin"],
        [b""],
        [b"same-origin, same-origin"],
        [b"same-origin", b"same-origin"],
        [b"none", b"cross-site"],
        [b"\xff"],
    ],
)
def test_without_an_origin_any_other_site_is_refused(sites: list[bytes]) -> None:
    assert ORIGINS.admit(headers([], sites)) is False


@pytest.mark.requirement("R-43", "holds")
def test_with_neither_header_nothing_is_known() -> None:
    assert ORIGINS.admit([(b"referer", b"https://app.example/"), (b"host", b"app.example")]) is None


@pytest.mark.requirement("R-96", "holds")
def test_a_websocket_from_an_origin_of_the_list_is_admitted() -> None:
    assert ORIGINS.admit_websocket(headers([OURS])) is True


@pytest.mark.requirement("R-96", "refuses")
@pytest.mark.parametrize("origins", [[], *([origin] for origin in FOREIGN)])
def test_a_websocket_from_elsewhere_or_nowhere_is_refused(origins: list[bytes]) -> None:
    assert ORIGINS.admit_websocket(headers(origins, [b"same-origin"])) is False


values = st.sampled_from([OURS, *FOREIGN, b"same-origin", b"none", b"cross-site"]) | st.binary(max_size=40)


@pytest.mark.requirement("R-43", "refuses")
@given(origins=st.lists(values, max_size=3), sites=st.lists(values, max_size=3))
def test_whatever_the_bytes_only_our_own_pages_are_admitted(origins: list[bytes], sites: list[bytes]) -> None:
    admitted = ORIGINS.admit(headers(origins, sites))

    if origins:
        assert admitted is (origins in ([OURS], [b"https://admin.example:8443"]))
    elif sites:
        assert admitted is (sites in ([b"same-origin"], [b"none"]))
    else:
        assert admitted is None
    assert ORIGINS.admit_websocket(headers(origins, sites)) is (origins in ([OURS], [b"https://admin.example:8443"]))


@pytest.mark.parametrize("many", ["https://app.example", []])
def test_origins_are_a_collection_of_at_least_one(many: list[str] | str) -> None:
    with pytest.raises(ConfigurationError):
        Origins(many)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://xn--bcher-kva.example",
        "chrome-extension://abcdefgh",
    ],
)
def test_an_origin_is_written_as_browsers_write_it(origin: str) -> None:
    assert checked_origin(origin) == origin


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "app.example",
        "//app.example",
        "https://",
        "https://App.example",
        "HTTPS://app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example:0",
        "https://app.example:99999",
        "https://user@app.example",
        "https://*.app.example ",
        "https://bücher.example",
        "https://app.example\n",
        "https://app.example?x",
        "https://[::1",
    ],
)
def test_an_origin_that_no_browser_would_send_is_a_configuration_error(origin: str) -> None:
    with pytest.raises(ConfigurationError):
        checked_origin(origin)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        ("HTTPS://API.example:443/tenant/1", "https://api.example"),
        ("http://localhost:8000/x", "http://localhost:8000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://api.example:8443", "https://api.example:8443"),
    ],
)
def test_a_url_has_the_origin_of_its_pages(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_what_has_no_host_has_no_origin_and_is_no_issuer() -> None:
    for text in ("", "https://", "mailto:a@b.c", "https://a b"):
        with pytest.raises(ConfigurationError):
            origin_of(text)
        with pytest.raises(ConfigurationError):
            check_issuer(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000", True),
        ("http://127.1.2.3", True),
        ("http://[::1]", True),
        ("https://localhost", False),
        ("http://api.example", False),
        ("http://localhost.evil.example", False),
        ("http://10.0.0.1", False),
        ("junk", False),
    ],
)
def test_plain_http_on_this_machine_is_known(url: str, expected: bool) -> None:
    assert is_loopback_http(url) is expected


@pytest.mark.requirement("R-44", "refuses")
def test_the_csrf_header_comes_once_or_not_at_all() -> None:
    one = (b"x-csrf-token", b"t")

    assert csrf_header([one]) == b"t"
    assert csrf_header([one, one]) == csrf_header([]) == b""
