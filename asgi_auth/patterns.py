"""Path patterns of a policy: how they are written, and which one is the most specific for a path.

``"[METHOD ]/path"``. Paths are compared as segments, empty ones dropped, so ``/a``, ``/a/`` and
``//a`` are one path. ``{name}`` is exactly one segment; a final ``/`` covers the path itself and
everything below it. Pure: no I/O, no ASGI.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPMethod
from typing import Generic, TypeVar

from .errors import ConfigurationError

__all__ = ["WEBSOCKET", "Pattern", "PatternMap", "methods_for", "segments"]

WEBSOCKET = "WS"
"""What a pattern writes in place of a METHOD for websockets alone."""

_METHODS = frozenset({*HTTPMethod, WEBSOCKET})
_NAME = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
# `*` and `#` are legal in a path, but nobody who writes them in a pattern means the character.
_FORBIDDEN = re.compile(r"[%?#*\\{}\x00-\x1f\x7f-\x9f]")

V = TypeVar("V")


def segments(path: str) -> list[str]:
    """The non-empty segments of a decoded path."""
    return [segment for segment in path.split("/") if segment]


def methods_for(method: str | None) -> tuple[str | None, ...]:
    """The METHODs that cover a request, the most specific first: its method as sent, None for a websocket."""
    if method is None:
        return (WEBSOCKET, None)
    if method == "HEAD":
        return ("HEAD", "GET", None)
    # A client may send any word as its method: the word for websockets opens nothing over http.
    return (None,) if method == WEBSOCKET else (method, None)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One parsed pattern: ``None`` among the segments stands for ``{name}``."""

    method: str | None
    segments: tuple[str | None, ...]
    subtree: bool

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Read a pattern; anything that could be meant in two ways is a ConfigurationError."""
        method, _, path = (None, "", text) if text.startswith("/") else text.partition(" ")
        if not path.startswith("/"):
            raise ConfigurationError(f"the pattern {text!r} is not '/path' or 'METHOD /path'")
        if method is not None and method not in _METHODS:
            raise ConfigurationError(f"the pattern {text!r} names a method that is neither HTTP's nor {WEBSOCKET}")
        parts = tuple(_segment(segment, text) for segment in segments(path))
        return cls(method, parts, path.endswith("/"))

    def is_under(self, prefix: str) -> bool:
        """Whether the pattern names ``prefix`` or something below it, letter for letter."""
        start = tuple(segments(prefix))
        return self.segments[: len(start)] == start


class PatternMap(Generic[V]):
    """Values by pattern. A look-up gives the METHODs of the one most specific shape that covers a path."""

    def __init__(self, items: Iterable[tuple[str, V]]) -> None:
        self._root: _Node[V] = _Node()
        self.patterns: tuple[Pattern, ...] = ()
        for text, value in items:
            self._add(text, Pattern.parse(text), value)

    def _add(self, text: str, pattern: Pattern, value: V) -> None:
        node = self._root
        for segment in pattern.segments:
            node = node.child(segment)
        methods = node.below if pattern.subtree else node.here
        if pattern.method in methods:
            raise ConfigurationError(f"the pattern {text!r} has the same shape and method as another one")
        methods[pattern.method] = value
        self.patterns += (pattern,)

    def match(self, path: str) -> Mapping[str | None, V] | None:
        """The values, by METHOD (None: every method), of the best shape; None where no shape covers the path.

        Left to right, at the first segment that differs: literal, then ``{name}``, then subtree.
        """
        return _best(self._root, segments(path), 0)


class _Node(Generic[V]):
    __slots__ = ("below", "here", "literals", "named")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[V]] = {}
        self.named: _Node[V] | None = None
        self.here: dict[str | None, V] = {}
        self.below: dict[str | None, V] = {}

    def child(self, segment: str | None) -> "_Node[V]":
        if segment is not None:
            return self.literals.setdefault(segment, _Node())
        if self.named is None:
            self.named = _Node()
        return self.named


def _best(node: _Node[V], parts: list[str], at: int) -> Mapping[str | None, V] | None:
    # A tree visits each of its nodes at most once, so the work is bounded by the number of rules.
    if at == len(parts):
        return node.here or node.below or None
    literal = node.literals.get(parts[at])
    found = None if literal is None else _best(literal, parts, at + 1)
    if found is None and node.named is not None:
        found = _best(node.named, parts, at + 1)
    return found or node.below or None


def _segment(segment: str, text: str) -> str | None:
    if _NAME.fullmatch(segment):
        return None
    if segment in (".", "..") or _FORBIDDEN.search(segment):
        raise ConfigurationError(
            f"the pattern {text!r} has a segment that is neither a literal nor one {{name}}: "
            "no dot segments, no escapes, no query, no wildcards (a final '/' covers everything below)"
        )
    return segment
