"""Tokens made by hand, good and bad: any header, any payload, any signature."""

import base64
import json
from typing import Any

from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.jwt import JWTIssuer, JWTVerifier, VerifiedToken
from asgi_auth.keys import SigningKey, SigningKeys

ISSUER = "https://api.example"
AUDIENCE = "https://articles.example"
NOW = 1_800_000_000.0
KEYS = {
    "HS256": SigningKeys.from_secret("w5Bq0XoM3yTn8Zr1vLk6JhGdFsApQeUi"),
    "RS256": SigningKeys(SigningKey.generate("RS256")),
    "ES256": SigningKeys(SigningKey.generate("ES256")),
    "EdDSA": SigningKeys(SigningKey.generate("EdDSA")),
}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": AUDIENCE,
    "exp": 1_800_000_900,
    "iat": 1_800_000_000,
    "jti": "4aPo6iUy9tRe1wQz0q3Zr0",
    "client_id": "first-party",
    "scope": "read:articles write:articles",
    "roles": ["user"],
    "auth_time": 1_799_999_990,
    "epoch": 3,
    "sid": "nLk2jHg7fDs4aPo6iUy9tR",
}


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "==")


def text(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def header_of(key: SigningKey, **more: Any) -> dict[str, Any]:
    return {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid} | more


def signed(key: SigningKey, header: object, payload: object) -> str:
    """A token under a good signature, whatever its header and payload are."""
    signing_input = f"{encode(text(header))}.{encode(text(payload))}"
    return f"{signing_input}.{encode(key.sign(signing_input.encode()))}"


def with_header(algorithm: str = "ES256", **more: Any) -> str:
    key = KEYS[algorithm].current
    return signed(key, header_of(key, **more), CLAIMS)


def with_claims(**more: Any) -> str:
    """Our claims, some of them changed; those that are ``...`` are left out."""
    key = KEYS["ES256"].current
    claims = {name: value for name, value in (CLAIMS | more).items() if value is not ...}
    return signed(key, header_of(key), claims)


def with_payload(raw: bytes, algorithm: str = "ES256") -> str:
    key = KEYS[algorithm].current
    return signed(key, header_of(key), raw)


def issued(algorithm: str = "ES256") -> str:
    return JWTIssuer(ISSUER, KEYS[algorithm]).issue({name: CLAIMS[name] for name in CLAIMS if name != "iss"})


def verify(
    token: str | bytes,
    algorithm: str = "ES256",
    *,
    now: float = NOW,
    verifier: JWTVerifier | None = None,
    expired_for: float = 0,
) -> VerifiedToken:
    verifier = JWTVerifier(ISSUER, AUDIENCE) if verifier is None else verifier
    return verifier.verify(token, KEYS[algorithm].verification_keys, now, expired_for=expired_for)


def refusal(
    token: str | bytes, algorithm: str = "ES256", *, now: float = NOW, verifier: JWTVerifier | None = None
) -> Reason | None:
    """Why the token is refused; None where it is accepted. Anything but an InvalidToken is passed on."""
    try:
        verify(token, algorithm, now=now, verifier=verifier)
    except InvalidToken as refused:
        return refused.reason
    return None
