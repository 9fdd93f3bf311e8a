"""JSON web tokens: issue, and verify in one call (RFC 7515, RFC 7519, RFC 8725, RFC 9068).

The cryptography is joserfc's. Left out: encrypted tokens, the JSON serialization, ``crit`` extensions,
keys that a header names.
"""

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

from . import strict_json
from .errors import ConfigurationError, InvalidToken, Reason
from .keys import MAX_KID_LENGTH, SigningKey, SigningKeys, VerificationKeys

__all__ = ["MAX_TOKEN_LENGTH", "RFC_9068", "JWTIssuer", "JWTVerifier", "Profile", "VerifiedToken"]

MAX_TOKEN_LENGTH = 8192
"""Bytes. Checked before anything is split or copied."""

_MAX_ID_LENGTH = 255
_MAX_LEEWAY = 60.0
_LAST_INSTANT = 253_402_300_800.0  # the year 10000
_HEADERS_KEPT = 64
_TEXT = {str}
_REFUSED_PARAMETERS = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")  # a mark that no decoder takes, for what base64url does not have
_PADDING = (b"", b"", b"==", b"=")
_LAST_CHARACTERS = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
"""What a segment ends with whose last character carries four or two spare bits: they are zero."""
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the access tokens of one issuer look like. The default is RFC 9068, as we issue them.

    ``types`` are the accepted ``typ`` values in lower case without ``application/``; an empty text stands for none.
    Without ``at+jwt`` among them a ``discriminator`` must tell access tokens from ID tokens: a claim that ID tokens
    do not have, and its value (None: whatever it is). The others are the names of claims.
    """

    types: frozenset[str] = frozenset({"at+jwt"})
    discriminator: tuple[str, str | None] | None = None
    scopes: str = "scope"
    client_id: str = "client_id"
    roles: str = "roles"
    required: frozenset[str] = frozenset({"iat", "jti", "client_id"})

    def __post_init__(self) -> None:
        if not self.types:
            raise ConfigurationError("a profile accepts at least one typ")
        if self.types != {"at+jwt"} and self.discriminator is None:
            raise ConfigurationError(
                "a profile that accepts another typ than at+jwt needs a discriminator: a claim that ID tokens lack, "
                "as in discriminator=('token_use', 'access')"
            )


RFC_9068 = Profile()


class VerifiedToken(NamedTuple):
    """A token whose signature, header and claims were all checked. Its ``repr`` has no claims.

    A named tuple, since one is made for every verification: a frozen dataclass takes four times as long.
    """

    subject: str
    issuer: str
    client_id: str | None
    jti: str | None
    sid: str | None
    scopes: frozenset[str]
    roles: frozenset[str]
    epoch: int | None
    auth_time: float | None
    issued_at: float | None
    not_before: float | None
    expires_at: float
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"VerifiedToken(subject={self.subject!r}, jti={self.jti!r})"


class JWTIssuer:
    """Signs claims with the current key of ``signing_keys``."""

    def __init__(self, issuer: str, signing_keys: SigningKeys) -> None:
        self.issuer = issuer
        self._key = signing_keys.current
        self._headers: dict[str, bytes] = {"at+jwt": _header_segment(self._key, "at+jwt")}

    def issue(self, claims: Mapping[str, Any], *, type: str = "at+jwt") -> str:
        """The compact token of ``claims`` and ``iss``; ``type`` is its ``typ``."""
        header = self._headers.get(type) or self._headers.setdefault(type, _header_segment(self._key, type))
        payload = json.dumps({"iss": self.issuer, **claims}, separators=(",", ":"), allow_nan=False).encode()
        signing_input = header + b"." + _encode(payload)
        return (signing_input + b"." + _encode(self._key.sign(signing_input))).decode()


class JWTVerifier:
    """Verifies the access tokens of one issuer for one audience, in one call.

    ``leeway`` (nbf, iat) and ``expiry_leeway`` (exp) are seconds, at most 60; ``max_lifetime``, if set, is the most
    seconds between ``iat`` and ``exp``. ConfigurationError for an empty issuer or audience and for leeways out of
    range.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        profile: Profile = RFC_9068,
        leeway: float = 5.0,
        expiry_leeway: float = 0.0,
        max_lifetime: float | None = None,
    ) -> None:
        if not issuer or not audience:
            raise ConfigurationError("a verifier needs an issuer and an audience: tokens for anybody are for nobody")
        if not (0 <= leeway <= _MAX_LEEWAY and 0 <= expiry_leeway <= _MAX_LEEWAY):
            raise ConfigurationError("leeways are 0 to 60 seconds")
        self.issuer = issuer
        self.audience = audience
        self._profile = profile
        self.leeway = leeway
        self.expiry_leeway = expiry_leeway
        self._max_lifetime = max_lifetime
        self._headers: dict[bytes, tuple[str, str | None]] = {}

    def verify(
        self, token: str | bytes, keys: VerificationKeys, now: float, *, expired_for: float = 0
    ) -> VerifiedToken:
        """The token, if its signature, header and every claim are good at ``now``; else InvalidToken.

        ``exp`` equal to ``now`` is expired; with ``expired_for`` a token is accepted until that many seconds later.
        Pure but for a memo of headers. Whatever the bytes, nothing but InvalidToken is raised, and it holds none of
        them.
        """
        header, payload, signature, signing_input = _split(token)
        known = self._headers.get(header)
        algorithm, kid = known or self._checked_header(header)
        key = keys.find(kid, algorithm)
        if key is None:
            raise InvalidToken(Reason.TOKEN_KEY_UNKNOWN)
        raw_signature = _decode(signature)
        try:
            is_good = key.verify(signing_input, raw_signature)
        except Exception:
            is_good = False  # whatever a library makes of an odd signature, it is not a good one
        if is_good is not True:
            raise InvalidToken(Reason.TOKEN_SIGNATURE_INVALID)
        if known is None:
            self._keep(header, algorithm, kid)
        return self._checked_claims(_members(payload), now, expired_for)

    def _checked_header(self, segment: bytes) -> tuple[str, str | None]:
        header = _members(segment)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str):
            raise InvalidToken(Reason.TOKEN_ALGORITHM_REFUSED)
        # RFC 8725 §3.10: what a token says of keys is an attacker's word.
        if header.keys() & _REFUSED_PARAMETERS or not (kid is None or _is_short(kid, MAX_KID_LENGTH)):
            raise InvalidToken(Reason.TOKEN_HEADER_REFUSED)
        type = header.get("typ", "")
        # RFC 7515 §4.1.9: a media type, case-insensitive, its prefix may be left out.
        if not isinstance(type, str) or type.lower().removeprefix("application/") not in self._profile.types:
            raise InvalidToken(Reason.TOKEN_TYPE_WRONG)
        return algorithm, kid

    def _keep(self, header: bytes, algorithm: str, kid: str | None) -> None:
        """Parse a header once. Only headers under a good signature are kept, so nobody else can fill the memo."""
        if len(self._headers) >= _HEADERS_KEPT:
            self._headers.clear()
        self._headers[header] = (algorithm, kid)

    def _checked_claims(self, claims: dict[str, Any], now: float, expired_for: float) -> VerifiedToken:
        self._check_parties(claims)
        expires_at = _instant(claims, "exp")
        issued_at = _instant(claims, "iat")
        not_before = _instant(claims, "nbf")
        if expires_at is None or any(claims.get(name) is None for name in self._profile.required):
            raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)
        self._check_times(now - expired_for, now, expires_at, issued_at, not_before)
        # By position, in the order of the fields: names cost as much as two claims.
        return VerifiedToken(
            claims["sub"],
            self.issuer,
            _id(claims, self._profile.client_id),
            _id(claims, "jti"),
            _id(claims, "sid"),
            _words(claims.get(self._profile.scopes)),
            _words(claims.get(self._profile.roles)),
            _epoch(claims),
            _instant(claims, "auth_time"),
            issued_at,
            not_before,
            expires_at,
            MappingProxyType(claims),
        )

    def _check_parties(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") != self.issuer:
            raise InvalidToken(Reason.TOKEN_ISSUER_WRONG)
        audience = claims.get("aud")
        if audience != self.audience and not (_is_texts(audience) and self.audience in audience):
            raise InvalidToken(Reason.TOKEN_AUDIENCE_WRONG)
        if not _is_short(claims.get("sub"), _MAX_ID_LENGTH):
            raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)
        if self._profile.discriminator is not None:
            name, value = self._profile.discriminator
            if not claims.get(name) or (value is not None and claims[name] != value):
                raise InvalidToken(Reason.TOKEN_TYPE_WRONG)

    def _check_times(
        self, past: float, now: float, expires_at: float, issued_at: float | None, not_before: float | None
    ) -> None:
        # RFC 7519 §4.1.4: "on or after" exp it is expired.
        if past >= expires_at + self.expiry_leeway:
            raise InvalidToken(Reason.TOKEN_EXPIRED)
        if max(issued_at or 0.0, not_before or 0.0) > now + self.leeway:
            raise InvalidToken(Reason.TOKEN_NOT_YET_VALID)
        if self._max_lifetime is not None and (issued_at is None or expires_at - issued_at > self._max_lifetime):
            raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)


def _header_segment(key: SigningKey, type: str) -> bytes:
    header = {"alg": key.algorithm, "typ": type, "kid": key.kid}
    return _encode(json.dumps(header, separators=(",", ":")).encode())


def _split(token: str | bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Header, payload, signature and signing input, still encoded: exactly three parts (RFC 7515 §7.1)."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken(Reason.TOKEN_TOO_LARGE)
    if isinstance(token, str):
        try:
            token = token.encode("ascii")
        except UnicodeEncodeError:
            raise InvalidToken(Reason.TOKEN_MALFORMED) from None
    parts = token.split(b".", 3)
    if len(parts) != 3:
        raise InvalidToken(Reason.TOKEN_MALFORMED)
    header, payload, signature = parts
    return header, payload, signature, token[: len(header) + 1 + len(payload)]


def _members(segment: bytes) -> dict[str, Any]:
    try:
        members = strict_json.loads(_decode(segment))
    except ValueError:
        raise InvalidToken(Reason.TOKEN_MALFORMED) from None
    if not isinstance(members, dict):
        raise InvalidToken(Reason.TOKEN_MALFORMED)
    return members


def _decode(segment: bytes) -> bytes:
    """Base64url in its one canonical form (RFC 7515 §2): other alphabets, padding and spare bits are refused."""
    spare = len(segment) % 4
    if spare and segment[-1] not in _LAST_CHARACTERS[spare]:
        raise InvalidToken(Reason.TOKEN_MALFORMED)
    try:
        return binascii.a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[spare], strict_mode=True)
    except binascii.Error:
        raise InvalidToken(Reason.TOKEN_MALFORMED) from None


def _encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URLSAFE).rstrip(b"=")


def _instant(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if type(value) is int or type(value) is float:  # never a bool
        if 0 <= value < _LAST_INSTANT:
            return value
    elif name not in claims:
        return None
    raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)


def _id(claims: dict[str, Any], name: str) -> str | None:
    value: str | None = claims.get(name)
    if value is None or (type(value) is str and 0 < len(value) <= _MAX_ID_LENGTH):
        return value
    raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)


def _epoch(claims: dict[str, Any]) -> int | None:
    value: int | None = claims.get("epoch")
    if value is None or (type(value) is int and value >= 0):  # never a bool
        return value
    raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)


def _words(value: object) -> frozenset[str]:
    """The scopes or roles of a claim: a text of words between spaces (RFC 8693 §4.2), or a list of texts."""
    if value is None:
        return frozenset()
    if isinstance(value, str):
        words = frozenset(value.split(" "))
        return words - {""} if "" in words else words
    if not _is_texts(value):
        raise InvalidToken(Reason.TOKEN_CLAIMS_INVALID)
    return frozenset(value)


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and {*map(type, value)} <= _TEXT


def _is_short(value: object, length: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= length
