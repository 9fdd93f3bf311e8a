"""The path a router below will see, read from ``scope["path"]`` and ``root_path`` alone.

Nothing here looks at ``Host`` or ``X-Forwarded-*``. Frameworks disagree on what ``root_path`` removes;
where they do, every reading is returned, and a guard must be content with each.
"""

import re

__all__ = ["readings"]

# A path that routers, proxies or file systems may read in two ways.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|(?:\A|/)\.{1,2}(?:/|\Z)")


def readings(path: str, root_path: str) -> tuple[str, ...] | None:
    """The paths below ``root_path`` that a router may take this one for; None where it is ambiguous.

    Ambiguous are dot segments, backslashes, control characters, and a path that does not begin with a
    slash (a request target in absolute form, which Quart takes apart and others do not).
    """
    if (path and path[0] != "/") or _AMBIGUOUS.search(path):
        return None
    if not root_path:
        return (path,)
    # Litestar cuts at the first occurrence wherever it is, Quart cuts a prefix even inside a segment, and
    # a root path that ends in a slash is cut by some and not by others.
    first = path.split(root_path, maxsplit=1)[-1]
    return tuple(dict.fromkeys((_below(path, root_path), _below(path, root_path.rstrip("/")), first)))


def _below(path: str, root_path: str) -> str:
    """What follows ``root_path`` on a segment boundary, else the whole path (as Starlette cuts it)."""
    rest = path.removeprefix(root_path)
    return rest if rest[:1] in ("", "/") else path
