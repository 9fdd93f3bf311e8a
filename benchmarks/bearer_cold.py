"""One verification of one token from its signature up, by everybody who can."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable

import jwt as pyjwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import import_key
from rounds import Work
from signed_tokens import AUDIENCE, ISSUER, SECRET, Signed, signed

from asgi_auth import JWTVerifier
from asgi_auth.keys import Algorithm

__all__ = ["cold_contenders"]

Verify = Callable[[bytes, bytes], bool]


def cold_contenders(algorithm: Algorithm, calls: int) -> dict[str, Work]:
    """Ours, the raw verification, the hand-written floor, and the peers; ``calls`` calls each."""
    case = signed(algorithm, smallest=True)
    raw = raw_verification(algorithm, case)
    signing_input, _, signature = case.token.rpartition(b".")
    decoded = urlsafe_b64decode(signature + b"==")
    todo: dict[str, Callable[[], object]] = {
        "asgi_auth": ours(case),
        "asgi_auth, all claims": ours(signed(algorithm)),
        "raw": lambda: raw(signing_input, decoded),
        "floor": lambda: floor(case.token, raw),
        "joserfc": as_joserfc(algorithm, case),
        "PyJWT": as_pyjwt(algorithm, case),
    }
    return {f"{name} {algorithm}": repeated(call, calls) for name, call in todo.items()}


def repeated(call: Callable[[], object], calls: int) -> Work:
    async def run() -> None:
        for _ in range(calls):
            assert call(), "the token was not accepted"

    return Work(run, calls)


def ours(case: Signed) -> Callable[[], object]:
    verifier, keys, now = JWTVerifier(ISSUER, AUDIENCE), case.keys.verification_keys, time.time()
    return lambda: verifier.verify(case.token, keys, now)


def floor(token: bytes, verify: Verify) -> bool:
    """The least that is correct: split, decode, verify, parse header and claims, compare them."""
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if json.loads(urlsafe_b64decode(header + b"==")).get("typ") != "at+jwt":
        return False
    if not verify(signing_input, urlsafe_b64decode(signature + b"==")):
        return False
    claims = json.loads(urlsafe_b64decode(payload + b"=="))
    return bool(claims["iss"] == ISSUER and claims["aud"] == AUDIENCE and time.time() < claims["exp"])


def as_joserfc(algorithm: str, case: Signed) -> Callable[[], object]:
    """As its documentation has it, the key imported once; EdDSA under its new name."""
    key = import_key(case.jwk)
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
    )
    text = case.token.decode()

    def decode() -> object:
        token = joserfc_jwt.decode(text, key, algorithms=[algorithm])
        registry.validate(token.claims)
        return token

    return decode


def as_pyjwt(algorithm: str, case: Signed) -> Callable[[], object]:
    key, text = case.public_key, case.token.decode()
    return lambda: pyjwt.decode(text, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)


def raw_verification(algorithm: str, case: Signed) -> Verify:
    """``cryptography`` alone: the limit."""
    key = case.public_key
    if algorithm == "HS256":
        secret = SECRET.encode()
        return lambda message, signature: hmac.compare_digest(hmac.digest(secret, message, hashlib.sha256), signature)
    if algorithm == "RS256":
        pkcs1, sha256 = padding.PKCS1v15(), SHA256()
        return accepting(lambda message, signature: key.verify(signature, message, pkcs1, sha256))
    if algorithm == "ES256":
        ecdsa = ec.ECDSA(SHA256())
        return accepting(lambda message, signature: key.verify(der(signature), message, ecdsa))
    return accepting(lambda message, signature: key.verify(signature, message))


def accepting(verify: Callable[[bytes, bytes], None]) -> Verify:
    def accepts(message: bytes, signature: bytes) -> bool:
        try:
            verify(message, signature)
        except InvalidSignature:
            return False
        return True

    return accepts


def der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
