"""What a browser says it is, in a few words: so that people recognise their own sessions. Nothing decides by it."""

import re

__all__ = ["LABEL_LENGTH", "device_label"]

LABEL_LENGTH = 64
"""Characters of the longest label."""

_READ = 512
_UNUSUAL = re.compile(r"[^0-9A-Za-z ._/();:,+-]")
# The first that is found counts: most browsers name those that they descend from, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device_label(user_agent: bytes) -> str:
    """``Firefox on Linux`` where both are known, else the beginning of what came, harmless characters alone.

    At most 64 characters; ``unknown`` for nothing.
    """
    text = user_agent[:_READ].decode("latin-1")
    browser, system = _first(_BROWSERS, text), _first(_SYSTEMS, text)
    if browser and system:
        return f"{browser} on {system}"
    return _UNUSUAL.sub("?", text[:LABEL_LENGTH]).strip() or "unknown"


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in table if mark in text), None)
