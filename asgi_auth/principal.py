"""Who is calling: the value in ``scope["auth"]``.

``Auth = Principal | Anonymous``. ``is_authenticated`` tells them apart for people and for type
checkers: ``if auth.is_authenticated is True`` narrows to ``Principal``; ``Anonymous`` has no
``subject``, so unguarded use does not type-check.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

__all__ = ["Anonymous", "Auth", "Principal"]

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated party of a request and what its credential may do.

    ``scopes`` belong to the credential, ``roles`` to the subject; ``roles`` are empty where the
    credential was narrowed to fewer scopes than the subject has, so a narrowed token of an
    administrator is not an administrator. Wildcard scopes travel as granted: ask
    ``has_scope``, not ``in``.
    """

    is_authenticated: ClassVar[Literal[True]] = True

    subject: str
    """RFC 7519 ``sub``."""
    scheme: str
    """How it was presented: ``bearer``, ``api_key`` or ``session``."""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    client_id: str | None = None
    credential_id: str | None = None
    """``jti``, key id or session id: safe to log, enough to revoke."""
    authenticated_at: float | None = None
    """When the subject last proved itself (``auth_time``), kept across refresh; seconds since the epoch."""
    expires_at: float | None = None
    """When the credential ends; seconds since the epoch."""
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS, repr=False, hash=False)
    """The verified claims of a token, read-only; empty for other credentials."""

    @property
    def display_name(self) -> str:
        """The subject, where a framework asks ``request.user`` for a name."""
        return self.subject

    @property
    def identity(self) -> str:
        """The subject, where a framework asks ``request.user`` for its identity."""
        return self.subject


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody was authenticated. ``challenges`` say how one could be (RFC 9110 §11.6.1)."""

    is_authenticated: ClassVar[Literal[False]] = False
    scopes: ClassVar[frozenset[str]] = frozenset()
    roles: ClassVar[frozenset[str]] = frozenset()

    challenges: tuple[str, ...] = ()
    """One ``WWW-Authenticate`` value for each credential layer that found none."""

    @property
    def display_name(self) -> str:
        """Empty, where a framework asks ``request.user`` for a name."""
        return ""

    @property
    def identity(self) -> str:
        """Empty, where a framework asks ``request.user`` for its identity."""
        return ""


Auth = Principal | Anonymous
