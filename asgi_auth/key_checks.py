"""Which keys are refused, whoever offers them.

RFC 7518 §3.2 to §3.4 set the lengths; RFC 8725 §3.1 and §3.5 say what goes wrong below them. Each function
raises ValueError whose message says what is wrong and how to mend it, never anything of the key.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

__all__ = ["MIN_RSA_BITS", "MIN_SECRET_BYTES", "refuse_weak_rsa", "refuse_weak_secret"]

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""Larger keys make one verification cost milliseconds."""
MIN_SECRET_BYTES = 32
"""The hash length of HS256 (RFC 7518 §3.2)."""

_MIN_EXPONENT = 65537
_MIN_DISTINCT_BYTES = 10
_MAX_UNIT = 16

_EXAMPLES = frozenset(
    {
        b"a-string-secret-at-least-256-bits-long",
        b"your-256-bit-secret-your-256-bit-secret",
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        b"qwertyuiopasdfghjklzxcvbnm123456",
        b"0123456789abcdef0123456789abcdef",
        b"00112233445566778899aabbccddeeff",
        b"abcdefghijklmnopqrstuvwxyz123456",
        b"abcdefghijklmnopqrstuvwxyz012345",
        b"this-is-a-secret-key-please-change-it",
        b"my-super-secret-key-change-in-production",
        b"please-change-me-in-production-environment",
    }
)
"""Secrets of documentations and playgrounds that reach the length."""

_KEY_MARKERS = (
    b"-----BEGIN ",
    b"---- BEGIN ",
    b"ssh-rsa ",
    b"ssh-dss ",
    b"ssh-ed25519 ",
    b"ecdsa-sha2-",
    b"sk-ssh-",
    b'"kty"',
)
_SSH_WIRE_FORMATS = (b"\0\0\0\x07ssh-", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x13ecdsa-sha2-")

_LOADERS: tuple[Callable[[bytes], Any], ...] = (
    serialization.load_der_public_key,
    x509.load_der_x509_certificate,
    x509.load_der_x509_csr,
    lambda data: serialization.load_der_private_key(data, None),
)

# The primes that divide Infineon's M for the shortest keys: a modulus it made is a power of 65537 modulo each.
_ROCA_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107),
    *(109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_ROCA_POWERS = {prime: frozenset(pow(65537, n, prime) for n in range(prime)) for prime in _ROCA_PRIMES}


def refuse_weak_rsa(modulus: int, exponent: int) -> None:
    """Refuse short and oversized moduli, small and even exponents, and moduli with the ROCA fingerprint."""
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits: generate one of 3072")
    if exponent < _MIN_EXPONENT or exponent % 2 == 0:
        raise ValueError("the exponent of an RSA key is odd and at least 65537: generate a new key")
    # CVE-2017-15361: such a modulus can be factored.
    if all(modulus % prime in powers for prime, powers in _ROCA_POWERS.items()):
        raise ValueError("this RSA key was made by a generator whose keys can be factored (ROCA): generate a new key")


def refuse_weak_secret(secret: bytes) -> None:
    """Refuse HMAC secrets that are short, guessable, from a documentation, or a key in disguise."""
    if _is_key_material(secret):
        raise ValueError(
            "this secret is the text of a key, which others may know: use `python -c 'import secrets; "
            "print(secrets.token_urlsafe(32))'`, or load the key as what it is"
        )
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes: use secrets.token_urlsafe(32)")
    if secret.strip().lower() in _EXAMPLES or len(set(secret)) < _MIN_DISTINCT_BYTES or _repeats(secret):
        raise ValueError("this secret can be guessed: use secrets.token_urlsafe(32)")


def _repeats(secret: bytes) -> bool:
    return any(secret == (secret[:unit] * (len(secret) // unit + 1))[: len(secret)] for unit in range(1, _MAX_UNIT + 1))


def _is_key_material(secret: bytes) -> bool:
    plain = _plain(secret)
    decoded = _decoded(plain)
    return any(_is_key(data) for data in (secret, plain, decoded, _plain(decoded)) if data)


def _is_key(data: bytes) -> bool:
    named = any(marker in data for marker in _KEY_MARKERS) or data.startswith(_SSH_WIRE_FORMATS)
    return named or _is_json_container(data) or _loads(data)


def _plain(secret: bytes) -> bytes:
    """The secret without what editors and copying add: a byte order mark, UTF-16, white space."""
    if secret[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        secret = secret.decode("utf-16", "replace").encode()
    return secret.removeprefix(b"\xef\xbb\xbf").strip()


def _is_json_container(text: bytes) -> bool:
    if text[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), altchars=b"-_" if b"-" in text or b"_" in text else None)
    except binascii.Error:
        return b""


def _loads(data: bytes) -> bool:
    for loader in _LOADERS:
        try:
            loader(data)
        except TypeError:
            return True  # a private key behind a password
        except (ValueError, UnsupportedAlgorithm):
            continue
        return True
    return False
