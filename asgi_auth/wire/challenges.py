"""WWW-Authenticate values (RFC 9110 §11.6.1, RFC 6750 §3).

Nothing that a client sent becomes part of a challenge: a realm is configured, a description is one
of our own sentences, scopes are those of a requirement.
"""

import re
from collections.abc import Iterable

from ..errors import ConfigurationError, InsufficientScope, InvalidRequest, InvalidToken, Refusal
from ..principal import Anonymous, Auth, Principal

__all__ = ["DEFAULT_REALM", "api_key", "bearer", "for_denial", "for_presented", "joined", "session"]

DEFAULT_REALM = "asgi_auth"
"""The realm of a challenge where no layer before the guard knows one."""

_VISIBLE = re.compile(r"[\x20-\x7e]+")
# RFC 6750 §3: neither error_description nor scope may hold a quote or a backslash.
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def bearer(realm: str, *, error: str | None = None, description: str = "", scopes: Iterable[str] = ()) -> str:
    """A ``Bearer`` challenge; without ``error`` where no credential came (RFC 6750 §3.1).

    A realm that is empty or not visible ASCII is a ConfigurationError. A description or a scope
    with characters that RFC 6750 §3 forbids is left out.
    """
    parts = [_scheme("Bearer", realm)]
    if error is not None:
        parts.append(f'error="{error}"')
        if _DESCRIPTION.fullmatch(description):
            parts.append(f'error_description="{description}"')
    wanted = " ".join(sorted(scope for scope in scopes if _SCOPE.fullmatch(scope)))
    if wanted:
        parts.append(f'scope="{wanted}"')
    return ", ".join(parts)


def api_key(realm: str) -> str:
    """The challenge of the layer that reads API keys."""
    return _scheme("ApiKey", realm)


def session(realm: str) -> str:
    """The challenge of a login: sign in, and come back with what it gave you."""
    return _scheme("Session", realm)


def joined(before: object, own: Anonymous) -> Auth:
    """Who the caller is where a layer found no credential: as ``before``, with the layer's challenge if Anonymous.

    ``own`` holds that challenge alone. What is neither a Principal nor Anonymous is not ours, and counts as absent.
    """
    if isinstance(before, Principal):
        return before
    if isinstance(before, Anonymous) and before.challenges:
        known = own.challenges[0] in before.challenges
        return before if known else Anonymous((*before.challenges, *own.challenges))
    return own


def for_presented(refusal: Refusal, realm: str) -> tuple[str, ...]:
    """The challenges of a refused bearer credential: one with its error code, none for a 503."""
    if isinstance(refusal, InvalidRequest | InvalidToken):
        return (bearer(realm, error=refusal.code, description=refusal.detail),)
    return (bearer(realm),) if refusal.status_code == 401 else ()


def for_denial(refusal: Refusal, auth: object, realm: str | None) -> tuple[str, ...]:
    """The challenges of a guard's denial: what the layers left on Anonymous, else Bearer.

    A 403 has one only where a bearer token lacks scopes (RFC 6750 §3.1).
    """
    known = DEFAULT_REALM if realm is None else realm
    if isinstance(refusal, InsufficientScope):
        if isinstance(auth, Principal) and auth.scheme == "bearer":
            return (bearer(known, error=refusal.code, description=refusal.detail, scopes=refusal.scopes),)
        return ()
    if refusal.status_code != 401:
        return ()
    if isinstance(refusal, InvalidToken):
        return (bearer(known, error=refusal.code, description=refusal.detail),)
    if isinstance(auth, Anonymous) and auth.challenges:
        return auth.challenges
    return (bearer(known),)


def _scheme(scheme: str, realm: str) -> str:
    if not _VISIBLE.fullmatch(realm):
        raise ConfigurationError("a realm must be visible ASCII and not empty")
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'{scheme} realm="{quoted}"'
