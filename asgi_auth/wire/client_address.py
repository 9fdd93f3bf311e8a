"""Who a request comes from, as one word to count by: the socket's peer, or what trusted proxies say.

X-Forwarded-For (a convention) and Forwarded (RFC 7239). Left out: every other header of that kind, the ``by``, ``host``
and ``proto`` of Forwarded, and chains of proxies that are known by their number alone. Linear whatever the bytes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Literal

from ..errors import ConfigurationError

__all__ = ["UNKNOWN_ADDRESS", "AddressOf", "ClientAddress", "client_address"]

AddressOf = Callable[[Any], str]
"""What tells the client's address from a scope: a ``ClientAddress``, or a function of yours."""

UNKNOWN_ADDRESS = "unknown"
"""The one bucket of all whose address is absent or cannot be read: a limit is strict there, since they share it."""

_HEADERS = {"x-forwarded-for", "forwarded"}
_HEADER_LIMIT = 2048
"""The last bytes of the header that are looked at: trusted proxies write at its end."""
_LONGEST = 128
"""More than any address with its zone, its port, brackets and quotes."""
# RFC 7239 §6: a node with a port, which may be obfuscated. Without brackets only one colon can mean a port.
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[\w.-]*)?", re.ASCII)
_WITH_PORT = re.compile(r"([^:]*):[\w.-]*", re.ASCII)
# RFC 7239 §4, with values that should have been quoted, since proxies write `for=192.0.2.1:80`.
_PAIR = r"""[!#$%&'*+.^_`|~\w-]++=(?:"(?:[^"\\]|\\.)*+"|[^\s",;\\]*+)"""
_ELEMENT = re.compile(rf"[ \t]*+(?:{_PAIR})?(?:[ \t]*+;[ \t]*+(?:{_PAIR})?)*+[ \t]*+", re.ASCII)
_FOR = re.compile(_PAIR, re.ASCII)

_PAIRS = (tuple, list)
_MAPPED = bytes(10) + b"\xff\xff"


class ClientAddress:
    """The address of a connection's client, as a key: ``192.0.2.1``, or ``2001:db8::/64`` for all of an IPv6 network.

    It is the socket's peer. Only where that is in a ``trusted`` network the ``header`` is read: from the right, past
    every hop that is trusted too, so what a client writes there itself changes nothing. Where all hops are trusted it
    is the farthest. Ports and zones are cut, IPv4-mapped IPv6 is IPv4. An address that is absent or cannot be read is
    ``UNKNOWN_ADDRESS``; this never raises, whatever the bytes.

    ``trusted`` holds networks in CIDR notation, and ``"unix"`` for a peer without an address, a proxy on a Unix
    socket; none by default. A network that is malformed, has host bits, or is everybody: ConfigurationError.
    """

    def __init__(
        self, trusted: Iterable[str] = (), header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    ) -> None:
        if isinstance(trusted, str):
            raise ConfigurationError("trusted networks are a collection of strings, not one string")
        if header not in _HEADERS:
            raise ConfigurationError("the header is 'x-forwarded-for' or 'forwarded', whichever the proxy writes")
        names = tuple(trusted)
        self._networks = tuple(_numbers(_network(name)) for name in names if name != "unix")
        self._trusts_unix = "unix" in names
        self._header = header.encode()
        self._hops = _forwarded_for if header == "forwarded" else _listed

    def __call__(self, scope: Any) -> str:
        """The key of ``scope``'s client; of an http or a websocket scope."""
        client = scope.get("client")
        if client:
            key, trusted = self._node(client[0] if isinstance(client, _PAIRS) else client)
        else:
            key, trusted = UNKNOWN_ADDRESS, self._trusts_unix
        return self._behind(key, scope) if trusted else key

    def _behind(self, key: str, scope: Any) -> str:
        value = b",".join(line for name, line in scope["headers"] if name == self._header)
        for hop in self._hops(value[-_HEADER_LIMIT:].decode("latin-1")):
            key, trusted = self._node(hop)
            if not trusted:
                break
        return key

    def _node(self, text: object) -> tuple[str, bool]:
        """The key of a hop, and whether it is one of the trusted."""
        address = _address(text)
        if address is None:
            return UNKNOWN_ADDRESS, False
        return _key(address), bool(self._networks) and self._trusts(address)

    def _trusts(self, address: bytes) -> bool:
        number = int.from_bytes(address)
        return any(number & mask == network for size, mask, network in self._networks if size == len(address))


def _network(name: object) -> IPv4Network | IPv6Network:
    try:
        if not isinstance(name, str):
            raise ValueError
        network = ip_network(name)
    except ValueError:
        raise ConfigurationError("a trusted network is written in CIDR notation, as in '10.0.0.0/8'") from None
    if network.prefixlen == 0:
        raise ConfigurationError("to trust everybody is to believe every client's own header: name the proxies")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ConfigurationError("write IPv4-mapped networks as IPv4")
    return network


def _numbers(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    """How long its addresses are, in bytes, and what of them is the network's."""
    return len(network.netmask.packed), int(network.netmask), int(network.network_address)


def _listed(value: str) -> Iterator[str]:
    """The hops of X-Forwarded-For, the nearest first. Empty ones are none (RFC 9110 §5.6.1)."""
    return (hop for hop in map(str.strip, reversed(value.split(","))) if hop)


def _forwarded_for(value: str) -> Iterator[str]:
    """The ``for`` of each element of Forwarded, the nearest first; an empty word for one that cannot be read.

    What a client has written comes before what a proxy adds. So elements are found from the right, where its open
    quotes reach nothing; a comma inside quotes never begins an element, for what follows it has an odd quote.
    """
    end = len(value)
    while end >= 0:
        end, element = _last_element(value, end)
        if element is None:
            yield ""
        elif element.strip():
            yield _for(element)


def _last_element(value: str, end: int) -> tuple[int, str | None]:
    """The element that ends there, and where the comma before it stands; -1 and None where there is none."""
    comma = end
    while comma >= 0:
        comma = value.rfind(",", 0, comma)
        element = _ELEMENT.fullmatch(value, comma + 1, end)
        if element is not None:
            return comma, element[0]
    return -1, None


def _for(element: str) -> str:
    pairs = (pair.split("=", 1) for pair in _FOR.findall(element))
    nodes = [value for name, value in pairs if name.lower() == "for"]
    if len(nodes) != 1:
        return ""
    return re.sub(r"\\(.)", r"\1", nodes[0].strip('"'))


def _address(text: object) -> bytes | None:
    """The four or sixteen bytes of an address, however it is written."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    try:
        return inet_pton(AF_INET, text)  # what nearly all are
    except (OSError, ValueError):
        return _packed(text) or _packed(_bare(text))


def _bare(text: str) -> str:
    text = text.strip().strip('"')
    node = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    return (node[1] if node else text).partition("%")[0]


def _packed(host: str) -> bytes | None:
    try:
        if ":" not in host:
            return inet_pton(AF_INET, host)
        packed = inet_pton(AF_INET6, host)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _key(address: bytes) -> str:
    if len(address) == 4:
        return inet_ntop(AF_INET, address)
    return inet_ntop(AF_INET6, address[:8] + bytes(8)) + "/64"


client_address = ClientAddress()
"""The socket's peer, whatever the headers say: nobody is trusted."""
