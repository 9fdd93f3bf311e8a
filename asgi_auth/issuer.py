"""What an issuer must look like, and which origin its pages have."""

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError

__all__ = ["check_issuer", "checked_origin", "is_loopback_http", "origin_of"]

# Visible ASCII without what a URL does not hold or what would not mean the issuer: quotes, braces, ? # @ and the like.
_URL = re.compile(r"[!$-;=A-Z\[\]_a-z~]+")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def check_issuer(issuer: str) -> None:
    """Refuse what is no issuer: an https URL, or http on a loopback address, else ConfigurationError."""
    parts = _parts(issuer)
    if parts is None:
        raise ConfigurationError(
            "the issuer is a URL of ASCII characters without query, fragment and user, as in 'https://api.example'"
        )
    if parts.scheme != "https" and not is_loopback_http(issuer):
        raise ConfigurationError("the issuer is an https URL; plain http is for loopback addresses alone")


def is_loopback_http(url: str) -> bool:
    """Whether ``url`` is plain http on a loopback address: development on one machine."""
    parts = _parts(url)
    return parts is not None and parts.scheme == "http" and _is_loopback(parts.hostname or "")


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 §6.2): lower case, no default port.

    ConfigurationError for what is no URL with a host.
    """
    parts = _parts(url)
    if parts is None:
        raise ConfigurationError("only a URL with a host has an origin")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def checked_origin(origin: str) -> str:
    """``origin`` if it is written as browsers write it, since it is compared literally. Else ConfigurationError."""
    if _parts(origin) is None or origin_of(origin) != origin:
        raise ConfigurationError(
            "an origin is scheme and host in lower case, and a port unless it is the default: 'https://app.example'"
        )
    return origin


def _parts(url: str) -> SplitResult | None:
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme and parts.hostname and parts.port != 0 and _URL.fullmatch(url):
            return parts
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
