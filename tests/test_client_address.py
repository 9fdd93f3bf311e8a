"""Whose request is it? The socket's peer, or what trusted proxies say, and one key for each way to write it."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.wire.client_address import UNKNOWN_ADDRESS, ClientAddress, client_address

PROXY = "10.0.0.1"
BEHIND = ClientAddress(["10.0.0.0/8", "2001:db8:ffff::/48"])
FORWARDED = ClientAddress(["10.0.0.0/8"], header="forwarded")
JUNK = st.binary(max_size=200) | st.text("for=\"\\,; \t[]:%.0123456789abcxFOR'").map(str.encode)


def scope(client: Any, *lines: bytes, header: bytes = b"x-forwarded-for") -> dict[str, Any]:
    return {"client": client, "headers": [(b"host", b"api.example"), *((header, line) for line in lines)]}


def behind(*lines: bytes, client: Any = (PROXY, 1)) -> str:
    return BEHIND(scope(client, *lines))


def forwarded(*lines: bytes) -> str:
    return FORWARDED(scope((PROXY, 1), *lines, header=b"forwarded"))


@pytest.mark.requirement("R-87", "holds")
def test_by_default_it_is_the_socket_s_peer() -> None:
    assert client_address(scope(("192.0.2.1", 50000))) == "192.0.2.1"


@pytest.mark.requirement("R-87", "refuses")
def test_a_thousand_spoofed_headers_are_one_client_where_nobody_is_trusted() -> None:
    """CVE-2025-59152: a header of the client's own gave it a new limit each time."""
    spoofed = [b"203.0.%d.%d" % (n // 250, n % 250) for n in range(1000)]

    assert {client_address(scope(("192.0.2.1", 1), line)) for line in spoofed} == {"192.0.2.1"}
    assert {ClientAddress(["10.0.0.0/8"])(scope(("192.0.2.1", 1), line)) for line in spoofed} == {"192.0.2.1"}


@pytest.mark.requirement("R-87", "refuses")
def test_behind_a_proxy_a_thousand_spoofed_headers_are_still_one_client() -> None:
    for n in range(1000):
        own = b"203.0.%d.%d" % (n // 250, n % 250)
        assert behind(own + b", 192.0.2.1") == "192.0.2.1"  # a proxy that appends to the line
        assert behind(own, b"192.0.2.1") == "192.0.2.1"  # one that adds a line of its own
        assert behind(own + b", 10.9.9.9, " + own + b", 192.0.2.1, 10.0.0.2") == "192.0.2.1"
        assert forwarded(b"for=" + own + b', for=192.0.2.1;host="a,for=' + own + b'"') == "192.0.2.1"


@pytest.mark.requirement("R-87", "holds")
@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], PROXY),
        ([b""], PROXY),
        ([b" , ,"], PROXY),
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1,"], "192.0.2.1"),
        ([b"192.0.2.1 ,\t10.0.0.2:80"], "192.0.2.1"),
        ([b"192.0.2.1", b"10.0.0.2", b"10.0.0.3"], "192.0.2.1"),
        ([b"192.0.2.1, 2001:db8:ffff::7"], "192.0.2.1"),
        ([b"192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        ([b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ([b"192.0.2.1, junk, 10.0.0.2"], UNKNOWN_ADDRESS),
        ([b"192.0.2.1, unknown"], UNKNOWN_ADDRESS),
        ([b"192.0.2.1, \xff"], UNKNOWN_ADDRESS),
        ([b"192.0.2.1, " + b"1" * 500], UNKNOWN_ADDRESS),
        ([b"192.0.2.7, " * 1000 + b"192.0.2.1"], "192.0.2.1"),
    ],
)
def test_trusted_hops_are_passed_from_the_right(lines: list[bytes], key: str) -> None:
    assert behind(*lines) == key


@pytest.mark.requirement("R-87", "holds")
@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], PROXY),
        ([b"for=192.0.2.1"], "192.0.2.1"),
        ([b'For="192.0.2.1:4711";proto=https;by=10.0.0.1'], "192.0.2.1"),
        ([b"proto=http ; for=192.0.2.1:80;; "], "192.0.2.1"),
        ([b'for="[2001:db8::1]:4711"'], "2001:db8::/64"),
        ([b'for="[2001:db8::1%25eth0]"'], "2001:db8::/64"),
        ([b'for="192.0.2.1:_gazonk"'], "192.0.2.1"),
        ([b'for="192.0.2\\.1"'], "192.0.2.1"),
        ([b"for=192.0.2.1, for=10.0.0.2", b", for=10.0.0.3"], "192.0.2.1"),
        ([b'for=192.0.2.1;host="a,b;for=203.0.113.9", for=10.0.0.2'], "192.0.2.1"),
        ([b'for=192.0.2.1;host="a\\",for=203.0.113.9"'], "192.0.2.1"),
        ([b'for="203.0.113.9, for=192.0.2.1'], "192.0.2.1"),
        ([b'x=", for=192.0.2.1;host="h"'], "192.0.2.1"),
        ([b"for=_hidden"], UNKNOWN_ADDRESS),
        ([b"for=unknown, for=10.0.0.2"], UNKNOWN_ADDRESS),
        ([b"for="], UNKNOWN_ADDRESS),
        ([b"by=10.0.0.1"], UNKNOWN_ADDRESS),
        ([b"for=192.0.2.1;for=192.0.2.2"], UNKNOWN_ADDRESS),
        ([b'for="192.0.2.1'], UNKNOWN_ADDRESS),
        ([b"for"], UNKNOWN_ADDRESS),
        ([b"192.0.2.1"], UNKNOWN_ADDRESS),
    ],
)
def test_forwarded_is_read_likewise(lines: list[bytes], key: str) -> None:
    assert forwarded(*lines) == key


def test_only_the_named_header_is_read() -> None:
    assert FORWARDED(scope((PROXY, 1), b"192.0.2.1")) == PROXY
    assert BEHIND(scope((PROXY, 1), b"for=192.0.2.1", header=b"forwarded")) == PROXY


@pytest.mark.requirement("R-88", "holds")
@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (["192.0.2.1", 80], "192.0.2.1"),
        (("192.0.2.1", "80"), "192.0.2.1"),
        (("192.0.2.1:80", None), "192.0.2.1"),
        (("192.0.2.1",), "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        (("::ffff:192.0.2.1", 80), "192.0.2.1"),
        (("::ffff:c000:201", 80), "192.0.2.1"),
        (("[::1]:80", 1), "::/64"),
        (("::1", 1), "::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("2001:0DB8:0001:0002::", 1), "2001:db8:1:2::/64"),
    ],
)
def test_every_way_to_write_an_address_is_one_key(client: object, key: str) -> None:
    assert client_address(scope(client)) == key


@pytest.mark.requirement("R-88", "refuses")
@pytest.mark.parametrize(
    "client",
    [
        None,
        (),
        [],
        (None, 1),
        ("", 1),
        (b"192.0.2.1", 1),
        (3221225985, 1),
        ("192.0.2.01", 1),
        ("192.0.2", 1),
        ("0xC0000201", 1),
        ("١٩٢.0.2.1", 1),
        ("testclient", 50000),
        ("1" * 10_000, 1),
        (["nested"], 1),
        7,
        {"host": "192.0.2.1"},
    ],
    ids=repr,
)
def test_what_is_no_address_shares_one_bucket(client: object) -> None:
    assert client_address(scope(client)) == UNKNOWN_ADDRESS


def test_a_peer_without_an_address_is_a_proxy_on_a_unix_socket_only_where_that_was_said() -> None:
    unix = ClientAddress(["unix", "10.0.0.0/8"])

    assert unix(scope(None, b"192.0.2.1, 10.0.0.2")) == "192.0.2.1"
    assert unix(scope(None)) == UNKNOWN_ADDRESS
    assert unix(scope(("192.0.2.9", 1), b"192.0.2.1")) == "192.0.2.9"
    assert BEHIND(scope(None, b"192.0.2.1")) == UNKNOWN_ADDRESS


def forms(address: IPv4Address) -> list[str]:
    mapped = f"::ffff:{address}"
    return [
        f"{address}",
        f"{address}:4711",
        mapped,
        f"[{mapped}]",
        f"[{mapped}]:80",
        mapped.upper(),
        f"{IPv6Address(mapped).exploded}%3",
        f" {address} ",
    ]


@pytest.mark.requirement("R-88", "holds")
@given(st.ip_addresses(v=4), st.integers(0, 7))
def test_the_key_does_not_depend_on_how_an_address_is_written(address: IPv4Address, form: int) -> None:
    written = forms(address)[form]

    assert client_address(scope((written, 1))) == str(address)
    if address.packed[0] != 10:
        assert behind(b"203.0.113.9, " + written.encode()) == str(address)
        assert forwarded(b'for=203.0.113.9, for="' + written.encode() + b'";proto=http') == str(address)


@pytest.mark.requirement("R-88", "holds")
@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.sampled_from(["{}", "[{}]", "[{}]:80", "{}%eth0"]))
def test_all_of_an_ipv6_network_is_one_key(address: IPv6Address, host: int, form: str) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped or neighbour.ipv4_mapped:
        return
    key = client_address(scope((str(address), 1)))

    assert key.endswith("/64")
    assert client_address(scope((form.format(neighbour), 1))) == key
    assert client_address(scope((form.format(neighbour.exploded).upper().replace("%ETH0", "%eth0"), 1))) == key
    assert client_address(scope((str(IPv6Address(int(address) ^ 1 << 64)), 1))) != key


@pytest.mark.requirement("R-88", "refuses")
@given(st.lists(JUNK, max_size=4), st.sampled_from([BEHIND, FORWARDED]), st.booleans())
def test_whatever_the_bytes_it_never_raises_and_the_proxy_s_own_word_holds(
    junk: list[bytes], address: ClientAddress, appended: bool
) -> None:
    header, own = (b"x-forwarded-for", b"192.0.2.1") if address is BEHIND else (b"forwarded", b'for="192.0.2.1"')

    assert isinstance(address(scope((PROXY, 1), *junk, header=header)), str)
    lines = [b", ".join([*junk, own])] if appended else [*junk, own]
    assert address(scope((PROXY, 1), *lines, header=header)) == "192.0.2.1"


@given(st.text(max_size=60) | st.none() | st.integers() | st.tuples(st.text(), st.integers()))
def test_whatever_the_peer_is_called_it_never_raises(client: object) -> None:
    assert isinstance(client_address(scope(client)), str)
    assert isinstance(BEHIND(scope(client, b"192.0.2.1")), str)


@pytest.mark.requirement("R-87", "refuses")
@pytest.mark.parametrize(
    ("trusted", "message"),
    [
        (["10.0.0.0/33"], "CIDR"),
        (["10.0.0.1/8"], "CIDR"),
        (["10.0.0"], "CIDR"),
        (["proxy.example"], "CIDR"),
        ([""], "CIDR"),
        (["*"], "CIDR"),
        ([167772160], "CIDR"),
        ([None], "CIDR"),
        ("10.0.0.0/8", "not one string"),
        (["0.0.0.0/0"], "everybody"),
        (["10.0.0.0/8", "::/0"], "everybody"),
        (["::ffff:10.0.0.0/104"], "as IPv4"),
    ],
    ids=repr,
)
def test_networks_that_are_not_meant_are_refused(trusted: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClientAddress(trusted)


def test_a_single_address_is_a_network_too() -> None:
    assert ClientAddress([PROXY, "::1"])(scope(("::1", 1), b"192.0.2.1, 10.0.0.1")) == "192.0.2.1"


def test_another_header_is_refused() -> None:
    header: Any = "x-real-ip"
    with pytest.raises(ConfigurationError, match="header"):
        ClientAddress(["10.0.0.0/8"], header=header)
