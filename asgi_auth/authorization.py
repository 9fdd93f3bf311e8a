"""What a caller may do: roles, scopes, requirements, and the policy that maps paths to requirements.

Everything here is pure and denies by default: an unknown role, an empty set of scopes, a requirement
that answers with anything but None, each refuses. Scopes are RFC 6749 §3.3 tokens, compared whole and
case-sensitively. Which request is asked about, and how the answer looks, is not decided here.

Wildcards are defined in this file alone. A granted ``*`` grants every scope. A granted scope that ends
in ``:*``, as ``read:*``, grants every scope that begins with the part before the star and goes on by at
least one character: ``read:articles`` and ``read:articles:drafts``, not ``read``, ``read:`` or
``reader:x``. A star anywhere else is an ordinary character.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .clock import SYSTEM_CLOCK, Clock
from .errors import (
    ConfigurationError,
    Denied,
    Forbidden,
    InsufficientScope,
    NotAuthenticated,
    Reason,
)
from .patterns import PatternMap, methods_for
from .principal import Anonymous, Auth, Principal

__all__ = [
    "Policy",
    "Requirement",
    "Roles",
    "all_of",
    "any_of",
    "authenticated",
    "decide",
    "fresh",
    "grants",
    "has_role",
    "has_scope",
    "narrow",
    "public",
]

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

Requirement = Callable[[Auth], Denied | None]
"""A plain function: None lets the caller through, a Denied says why not."""


def grants(granted: frozenset[str], wanted: str) -> bool:
    """Whether the granted scopes, wildcards expanded, include ``wanted``."""
    if wanted in granted or "*" in granted:
        return bool(wanted)
    return any(scope.endswith(":*") and _is_beyond(wanted, scope[:-1]) for scope in granted)


def narrow(granted: frozenset[str], wanted: Iterable[str]) -> frozenset[str] | None:
    """``wanted`` as a set where every one of it is granted, else None. Never wider than ``granted``.

    Only RFC 6749 §3.3 tokens are granted: ``read:x admin`` would be two scopes in a token, and ``read:*`` grants one.
    """
    asked = frozenset(wanted)
    return asked if all(_SCOPE.fullmatch(scope) and grants(granted, scope) for scope in asked) else None


def _is_beyond(text: str, prefix: str) -> bool:
    return len(text) > len(prefix) and text.startswith(prefix)


class Roles:
    """Which scopes each role has. Unknown roles have none.

    A role without a name, a scope that is no RFC 6749 §3.3 token, a star that is no wildcard, and a
    string where a collection of scopes belongs are a ConfigurationError.
    """

    def __init__(self, roles: Mapping[str, Iterable[str]]) -> None:
        self._scopes = {_role(role): _scopes_of(role, scopes) for role, scopes in roles.items()}

    def scopes(self, roles: Iterable[str]) -> frozenset[str]:
        """All scopes of these roles, as granted: wildcards are kept."""
        return frozenset().union(*(self._scopes.get(role, frozenset()) for role in roles))

    def is_known(self, role: str) -> bool:
        """Whether the role is one of these."""
        return role in self._scopes


def public(auth: Auth) -> Denied | None:
    """Lets everybody through."""
    return None


def authenticated(auth: Auth) -> Denied | None:
    """Lets through whoever presented a valid credential."""
    return None if auth.is_authenticated is True else NotAuthenticated()


def has_role(role: str) -> Requirement:
    """Lets through subjects with this role whose credential was not narrowed."""
    wanted = _role(role)

    def has_that_role(auth: Auth) -> Denied | None:
        if isinstance(auth, Anonymous):
            return NotAuthenticated()
        return None if wanted in auth.roles else Forbidden(Reason.ROLE_MISSING)

    return has_that_role


def has_scope(scope: str) -> Requirement:
    """Lets through credentials with this scope, wildcards expanded. It is one exact scope itself."""
    if not _is_scope(scope) or "*" in scope:
        raise ConfigurationError(f"has_scope({scope!r}): require one RFC 6749 scope token without a star")

    def has_that_scope(auth: Auth) -> Denied | None:
        if isinstance(auth, Anonymous):
            return NotAuthenticated()
        return None if grants(auth.scopes, scope) else InsufficientScope((scope,))

    return has_that_scope


def fresh(max_age: float, *, clock: Clock = SYSTEM_CLOCK) -> Requirement:
    """Lets through subjects that proved themselves (``auth_time``) at most ``max_age`` seconds ago.

    A refresh does not count as a proof. A credential that does not say when is too old.
    """
    if not 0 < max_age < math.inf:
        raise ConfigurationError("fresh: max_age is a positive number of seconds")

    def is_fresh(auth: Auth) -> Denied | None:
        if isinstance(auth, Anonymous):
            return NotAuthenticated()
        at = auth.authenticated_at
        if at is not None and clock.now() - at <= max_age:
            return None
        return Forbidden(Reason.AUTHENTICATION_TOO_OLD, detail="Sign in again to do this.")

    return is_fresh


def any_of(*requirements: Requirement) -> Requirement:
    """Lets through whom one of the requirements lets through; else the first one's denial."""
    _some("any_of", requirements)

    def is_any(auth: Auth) -> Denied | None:
        denials = []
        for requirement in requirements:
            denied = decide(requirement, auth)
            if denied is None:
                return None
            denials.append(denied)
        return denials[0]

    return is_any


def all_of(*requirements: Requirement) -> Requirement:
    """Lets through whom every requirement lets through; else the first denial."""
    _some("all_of", requirements)

    def is_all(auth: Auth) -> Denied | None:
        for requirement in requirements:
            denied = decide(requirement, auth)
            if denied is not None:
                return denied
        return None

    return is_all


def decide(requirement: Requirement, auth: Auth) -> Denied | None:
    """Ask a requirement, whoever wrote it: only None lets the caller through.

    A Denied that it raises counts as returned; another Refusal, and any other exception, stays raised.
    An answer that is neither None nor a Denied (a bool, a coroutine) is a ConfigurationError.
    """
    try:
        denied: Any = requirement(auth)
    except Denied as raised:
        return raised
    if denied is None or isinstance(denied, Denied):
        return denied
    raise ConfigurationError("a requirement answered neither None nor a Denied; it must be a plain function of those")


class Policy:
    """Which requirement guards which path: ``Policy({"GET /articles/": has_scope("read:articles"), …})``.

    The most specific pattern wins (see ``PatternMap``), then the METHOD: a METHOD over none, ``HEAD`` over
    ``GET``; ``GET`` covers ``HEAD``, never a websocket; ``WS`` is a websocket. A path that is named only with
    METHODs is closed to the others: 401 for Anonymous, 403 for anyone else. ``default`` is for paths that no
    pattern covers. Patterns that say the same twice or could be meant in two ways are a ConfigurationError.
    """

    def __init__(self, rules: Mapping[str, Requirement], *, default: Requirement = authenticated) -> None:
        for requirement in (*rules.values(), default):
            if not callable(requirement):
                raise ConfigurationError("a policy maps patterns to requirements: functions of the caller")
        self._rules = PatternMap(rules.items())
        self._default = default

    def requirement(self, method: str | None, path: str) -> Requirement:
        """The requirement for a request: ``method`` as sent, None for a websocket; ``path`` below the root path."""
        methods = self._rules.match(path)
        if methods is None:
            return self._default
        for candidate in methods_for(method):
            if candidate in methods:
                return methods[candidate]
        return _closed

    def names_below(self, prefix: str) -> bool:
        """Whether a pattern names ``prefix`` or something below it: such a rule would guard our own routes."""
        return any(pattern.is_under(prefix) for pattern in self._rules.patterns)


def _closed(auth: Auth) -> Denied | None:
    return Forbidden(Reason.METHOD_NOT_LISTED) if isinstance(auth, Principal) else NotAuthenticated()


def _is_scope(scope: object) -> bool:
    return isinstance(scope, str) and _SCOPE.fullmatch(scope) is not None


def _role(role: object) -> str:
    if not isinstance(role, str) or not role:
        raise ConfigurationError("a role is a name that is not empty")
    return role


def _scopes_of(role: str, scopes: Iterable[str]) -> frozenset[str]:
    if isinstance(scopes, str):
        raise ConfigurationError(f"role {role!r}: its scopes are a collection of strings, not one string")
    found = frozenset(scopes)
    for scope in found:
        if not _is_scope(scope) or not (scope == "*" or "*" not in scope.removesuffix(":*")):
            raise ConfigurationError(f"role {role!r}: {scope!r} is neither an RFC 6749 scope token nor a wildcard")
    return found


def _some(name: str, requirements: tuple[Requirement, ...]) -> None:
    if not requirements:
        raise ConfigurationError(f"{name}: name at least one requirement")
