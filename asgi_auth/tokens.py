"""Opaque tokens: ``prefix_id_secrets+checksum`` in base62, every part of a fixed width.

What is stored of them is an id and SHA-256 digests. The checksum is no security: it lets junk be refused
before any I/O, and scanners find leaked tokens.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib

__all__ = [
    "CHECKSUM_LENGTH",
    "ID_LENGTH",
    "SECRET_LENGTH",
    "derive_secret",
    "digest",
    "encode",
    "is_id",
    "is_secret",
    "matches",
    "mint_id",
    "mint_secret",
    "parse",
]

ID_LENGTH = 22
"""Characters of an id: 131 bits."""
SECRET_LENGTH = 43
"""Characters of a secret: 256 bits."""
CHECKSUM_LENGTH = 6
"""Characters of the checksum: 32 bits."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE62 = re.compile(r"[0-9A-Za-z]*")


def mint_id() -> str:
    """A random id, 22 characters. Safe to log."""
    return _base62(secrets.randbelow(62**ID_LENGTH), ID_LENGTH)


def is_id(text: str) -> bool:
    """Whether ``text`` looks like an id: whoever asks a store for another text asks in vain."""
    return len(text) == ID_LENGTH and _BASE62.fullmatch(text) is not None


def is_secret(text: str) -> bool:
    """Whether ``text`` looks like a secret: what does not was never minted."""
    return len(text) == SECRET_LENGTH and _BASE62.fullmatch(text) is not None


def mint_secret() -> str:
    """A random secret of 256 bits, 43 characters."""
    return _base62(secrets.randbits(256), SECRET_LENGTH)


def derive_secret(parent_secret: str, salt: bytes) -> str:
    """The child of a secret: HMAC-SHA256 of ``salt`` under it, 43 characters.

    Whoever has the parent secret and the salt gets the same child; either alone says nothing of it.
    """
    derived = hmac.digest(parent_secret.encode(), salt, "sha256")
    return _base62(int.from_bytes(derived), SECRET_LENGTH)


def digest(secret: str) -> bytes:
    """The SHA-256 of a secret, 32 bytes: what a store keeps. Full-entropy secrets need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def matches(left: bytes, right: bytes) -> bool:
    """Whether two digests are equal, in constant time."""
    return hmac.compare_digest(left, right)


def encode(prefix: str, id: str, *token_secrets: str) -> str:
    """The token ``prefix_id_secrets`` with the CRC-32 of all that behind it."""
    body = f"{prefix}_{id}_{''.join(token_secrets)}"
    return body + _checksum(body)


def parse(text: str, *, prefix: str, widths: tuple[int, ...]) -> tuple[str, ...] | None:
    """The id and the secrets of a token whose secrets are ``widths`` characters long.

    None for anything that ``encode`` would not have made. Never raises; linear in the expected length.
    """
    start = len(prefix) + 1
    end = start + ID_LENGTH + 1 + sum(widths)
    if len(text) != end + CHECKSUM_LENGTH or not text.startswith(f"{prefix}_") or text[start + ID_LENGTH] != "_":
        return None
    id, rest = text[start : start + ID_LENGTH], text[start + ID_LENGTH + 1 :]
    if not _BASE62.fullmatch(id) or not _BASE62.fullmatch(rest) or _checksum(text[:end]) != text[end:]:
        return None
    parts, at = [id], 0
    for width in widths:
        parts.append(rest[at : at + width])
        at += width
    return tuple(parts)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
