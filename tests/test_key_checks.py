"""Which keys are refused, whoever offers them."""

import base64
import json
from contextlib import suppress
from secrets import token_bytes, token_urlsafe

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.key_checks import refuse_weak_rsa, refuse_weak_secret
from asgi_auth.keys import SigningKey, SigningKeys

GOOD = "w5Bq0XoM3yTn8Zr1vLk6JhGdFsApQeUi"
MODULUS = int.from_bytes(base64.urlsafe_b64decode(SigningKey.generate("RS256").jwk["n"] + "=="))

SHORT = {"nothing": b"", "one byte": b"\0", "31 bytes": GOOD[:31].encode()}
GUESSABLE = {
    "one letter": b"a" * 64,
    "zeros": bytes(32),
    "a word again and again": b"secret" * 8,
    "a long word again and again": b"change-me-now!-1" * 3,
    "nine different bytes": b"123456789" * 3 + b"987654321",
    "jwt.io's": b"a-string-secret-at-least-256-bits-long",
    "FastAPI's": b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "with white space around it": b"  a-string-secret-at-least-256-bits-long\n",
    "in capitals": b"A-STRING-SECRET-AT-LEAST-256-BITS-LONG",
}


def private_keys() -> dict[str, bytes]:
    """Private keys in the forms that people paste."""
    p256, ed = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    der = p256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem = p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = ed.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    jwk = json.dumps(dict(SigningKey.generate("EdDSA").jwk))
    locked = p256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    return {
        "PEM": pem,
        "PEM in UTF-16": pem.decode().encode("utf-16"),
        "DER": der,
        "DER in base64": base64.b64encode(der),
        "DER in base64url": base64.urlsafe_b64encode(der),
        "DER in base64 lines": base64.encodebytes(der),
        "OpenSSH": ed.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "an SSH public key": public,
        "an SSH public key with options": b'command="x" ' + public,
        "JWK": jwk.encode(),
        "JWK after white space": f"\n\t {jwk}".encode(),
        "JWK in UTF-16": jwk.encode("utf-16"),
        "half a JWK": jwk[:-1].encode(),
        "a service account's JSON": json.dumps({"private_key_id": token_urlsafe(32)}).encode(),
        "a JWK with a word before it": f"key={jwk}".encode(),
        "PEM in base64": base64.b64encode(pem),
        "JWK in base64": base64.b64encode(jwk.encode()),
        "an SSH public key in base64": base64.b64encode(public),
        "the middle of an SSH public key": public.split()[1],
        "DER with a password": locked,
        "a list of JWKs": f"[{jwk}]".encode(),
    }


@pytest.mark.requirement("R-19", "refuses")
@pytest.mark.requirement("R-25", "refuses")
@pytest.mark.parametrize("secret", SHORT.values(), ids=SHORT)
def test_a_secret_has_at_least_32_bytes(secret: bytes) -> None:
    """CVE-2026-102266, CVE-2026-114616: an empty key verifies everything."""
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        SigningKeys.from_secret(secret)


@pytest.mark.requirement("R-25", "refuses")
@pytest.mark.parametrize("secret", GUESSABLE.values(), ids=GUESSABLE)
def test_a_secret_that_can_be_guessed_is_refused(secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="can be guessed") as refused:
        SigningKeys.from_secret(secret)

    assert secret.decode().strip() not in str(refused.value)


@pytest.mark.requirement("R-20", "refuses")
@pytest.mark.parametrize("secret", private_keys().values(), ids=private_keys())
def test_the_text_of_a_key_is_no_secret(secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="text of a key"):
        SigningKeys.from_secret(secret)


@pytest.mark.requirement("R-19", "holds")
@pytest.mark.requirement("R-20", "holds")
@pytest.mark.requirement("R-25", "holds")
def test_random_secrets_are_taken() -> None:
    for _ in range(300):
        refuse_weak_secret(token_bytes(32))
        refuse_weak_secret(token_urlsafe(32).encode())
        refuse_weak_secret(b"{" + token_urlsafe(32).encode())  # begins as JSON does, and is none


@given(st.binary(max_size=200))
def test_whatever_the_bytes_they_are_taken_or_refused(secret: bytes) -> None:
    with suppress(ValueError):
        refuse_weak_secret(secret)


@pytest.mark.requirement("R-19", "holds")
@pytest.mark.requirement("R-19", "refuses")
def test_an_rsa_modulus_has_2048_to_8192_bits() -> None:
    refuse_weak_rsa(MODULUS, 65537)
    refuse_weak_rsa((1 << 2047) + 1, 65537)
    for bits in (0, 512, 1024, 2047, 8193, 16384):
        with pytest.raises(ValueError, match="bits"):
            refuse_weak_rsa((1 << bits) >> 1, 65537)


@pytest.mark.requirement("R-19", "refuses")
@pytest.mark.parametrize("exponent", [0, 1, 3, 17, 257, 65535, 65536, 65538])
def test_an_rsa_exponent_is_odd_and_at_least_65537(exponent: int) -> None:
    with pytest.raises(ValueError, match="exponent"):
        refuse_weak_rsa(MODULUS, exponent)


@pytest.mark.requirement("R-19", "refuses")
def test_a_modulus_with_the_roca_fingerprint_is_refused() -> None:
    """CVE-2017-15361: a power of 65537 modulo every small prime."""
    fingerprinted = pow(65537, 140)

    with pytest.raises(ValueError, match="ROCA"):
        refuse_weak_rsa(fingerprinted, 65537)
