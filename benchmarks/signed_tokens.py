"""The tokens and keys that every contender gets: the same claims under each algorithm."""

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt as pyjwt

from asgi_auth import AuthServices, JWTIssuer, MemoryStores, PasswordHasher, SigningKeys
from asgi_auth.keys import Algorithm
from asgi_auth.passwords import TESTING

__all__ = ["AUDIENCE", "ISSUER", "SECRET", "Signed", "services", "signed"]

ISSUER = AUDIENCE = "https://api.example"
SECRET = "q3Zr0wS1uT8yXv5nLk2jHg7fDs4aPo6iUy9tRe1wQz0"


@dataclass(frozen=True, slots=True)
class Signed:
    """One token, and what it takes to verify it."""

    token: bytes
    keys: SigningKeys
    jwk: dict[str, Any]
    """Public, or the secret."""

    @property
    def public_key(self) -> Any:
        """The same key as PyJWT takes it."""
        return pyjwt.PyJWK(self.jwk).key


def services() -> AuthServices:
    return AuthServices(
        stores=MemoryStores(),
        issuer=ISSUER,
        signing_keys=SigningKeys.from_secret(SECRET),
        passwords=PasswordHasher(TESTING),
    )


@cache
def signed(algorithm: Algorithm, *, smallest: bool = False) -> Signed:
    """A token for an hour, under a fresh key as we make it, with all of our claims or with those RFC 9068 requires."""
    keys = SigningKeys.from_secret(SECRET) if algorithm == "HS256" else SigningKeys.generate(algorithm)
    now = int(time.time())
    claims = {
        "sub": "9Zr0wS1uT8yXv5nLk2jHg7",
        "aud": AUDIENCE,
        "exp": now + 3600,
        "iat": now,
        "jti": "4aPo6iUy9tRe1wQz0q3Zr0",
        "client_id": "first-party",
    }
    if not smallest:
        claims |= {"scope": "read:articles write:articles", "roles": ["user"], "auth_time": now, "epoch": 0}
        claims |= {"sid": "nLk2jHg7fDs4aPo6iUy9tR"}
    token = JWTIssuer(ISSUER, keys).issue(claims).encode()
    jwk = json.loads(json.dumps({name: value for name, value in keys.current.jwk.items() if name != "d"}))
    return Signed(token, keys, jwk)
