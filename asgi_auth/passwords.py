"""Passwords: one form, one hash, one policy (NIST SP 800-63B-4 §3.1.1; OWASP ASVS 5.0 6.2; RFC 9106).

The form is NFC, as in RFC 8265 §4.2 (OpaqueString), made by ``normalize_password`` whenever a password is set or
verified. NFC, not NFKC: nothing that was typed is lost, one character never turns into many that then count as
length, and hashes that other systems made of the text as typed go on working.

Everything here is synchronous and takes processor time: ``Accounts`` runs it in its ``HashingPool``. Left out:
peppers, password strength meters.
"""

import re
import time
import unicodedata
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata, resources
from secrets import token_bytes
from statistics import median
from typing import TYPE_CHECKING, Literal

from argon2.low_level import Type, hash_secret_raw

from .errors import ConfigurationError

if TYPE_CHECKING:
    from passlib.context import CryptContext

__all__ = [
    "MAXIMUM_BYTES",
    "MINIMUM_LENGTH",
    "NIST_SINGLE_FACTOR_LENGTH",
    "OWASP",
    "OWASP_46_MIB",
    "RFC_9106_HIGH_MEMORY",
    "RFC_9106_LOW_MEMORY",
    "TESTING",
    "Argon2Profile",
    "MalformedPassword",
    "PasswordHasher",
    "PasswordPolicy",
    "common_passwords",
    "normalize_password",
]

MINIMUM_LENGTH = 8
"""The fewest code points of a password by default, and the least that a policy may ask for (ASVS 6.2.1)."""

NIST_SINGLE_FACTOR_LENGTH = 15
"""What NIST SP 800-63B-4 §3.1.1.2 asks for where the password is the only factor."""

MAXIMUM_BYTES = 1024
"""The longest password, as UTF-8 after normalisation. Longer ones are refused before hashing, never cut."""

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_ARGON2_COSTS = re.compile(
    r"(?:argon2)?\$argon2[a-z]*\$(?:v=[0-9]+\$)?m=(?P<memory>[0-9]{1,10}),t=(?P<passes>[0-9]{1,10})"
)
_PIECE = re.compile(r"[^\W_]{3,}")

_MEND = (
    "PasswordHasher needs the distribution libpass, which is imported as passlib, but passlib 1.7 is installed, alone "
    "or beside it. Mend it with: pip uninstall --yes passlib libpass && pip install 'libpass[argon2,bcrypt]'"
)


class MalformedPassword(ValueError):
    """No password: too long, or with a NUL or a lone surrogate in it. ``code`` says which; the text is not kept."""

    def __init__(self, code: Literal["malformed", "too_long"]) -> None:
        super().__init__(code)
        self.code = code


def normalize_password(password: str) -> str:
    """The one form in which a password is counted, compared and hashed: Unicode NFC.

    Idempotent. Raises MalformedPassword, a ValueError, for a NUL, for a lone surrogate, for more than 1,024 code
    points, and for more than 1,024 bytes of UTF-8 once normalised.
    """
    if len(password) > MAXIMUM_BYTES:
        raise MalformedPassword("too_long")
    if _UNUSABLE.search(password):
        raise MalformedPassword("malformed")
    normalized = unicodedata.normalize("NFC", password)
    if len(normalized.encode()) > MAXIMUM_BYTES:
        raise MalformedPassword("too_long")
    return normalized


@dataclass(frozen=True, slots=True)
class Argon2Profile:
    """What one argon2id hash costs (RFC 9106 §3.1)."""

    time_cost: int
    """Passes over the memory."""
    memory_cost: int
    """KiB."""
    parallelism: int
    """Lanes, each a thread of its own while a hash is made."""


OWASP = Argon2Profile(time_cost=2, memory_cost=19_456, parallelism=1)
"""The default: OWASP Password Storage Cheat Sheet, 19 MiB in two passes."""

OWASP_46_MIB = Argon2Profile(time_cost=1, memory_cost=47_104, parallelism=1)
"""OWASP Password Storage Cheat Sheet: the same strength with more memory and one pass."""

RFC_9106_LOW_MEMORY = Argon2Profile(time_cost=3, memory_cost=65_536, parallelism=4)
"""RFC 9106 §4, second recommendation: 64 MiB."""

RFC_9106_HIGH_MEMORY = Argon2Profile(time_cost=1, memory_cost=2_097_152, parallelism=4)
"""RFC 9106 §4, first recommendation: 2 GiB for each hash."""

TESTING = Argon2Profile(time_cost=1, memory_cost=8, parallelism=1)
"""The cheapest hash there is, for tests. It protects nobody."""

_FOREIGN = (
    "bcrypt",
    "bcrypt_sha256",
    "scrypt",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "pbkdf2_sha1",
    "django_argon2",
    "django_bcrypt",
    "django_bcrypt_sha256",
    "django_pbkdf2_sha256",
)
"""Schemes that are verified, and replaced at the next login."""


class PasswordHasher:
    """Makes argon2id hashes and verifies those of others: passlib's ``CryptContext`` behind five verbs.

    Verified too, and replaced at the next login: argon2 with other parameters, bcrypt, bcrypt_sha256, scrypt,
    pbkdf2 with SHA-1, SHA-256 and SHA-512, and Django's argon2, bcrypt and pbkdf2_sha256. ``profile`` is one of
    the named ones or one of your own; less than OWASP's minimum is a ConfigurationError, except ``TESTING``.

    A refusal costs the same whoever is asked about: an unknown account costs one hash of ``profile``, and where a
    stored hash costs less the rest is added. A stored hash that costs more (bcrypt at 12 rounds does) is refused
    later than an unknown account, until its owner's next login replaces it.

    A bcrypt hash covers 72 bytes of the password at most. A longer password is refused there, the right one too:
    accepting it would mean to accept whatever shares its first 72 bytes. Its owner sets a new password.

    May be called from several threads at once. Raises ConfigurationError where the distribution ``passlib`` 1.7 is
    installed instead of, or beside, ``libpass``.
    """

    def __init__(self, profile: Argon2Profile = OWASP) -> None:
        if profile != TESTING and not any(_covers(profile, least) for least in (OWASP, OWASP_46_MIB)):
            raise ConfigurationError(
                "the argon2 profile is below OWASP's minimum of 19 MiB in two passes or 46 MiB in one: "
                "pass OWASP, or TESTING in tests"
            )
        self._profile = profile
        self._context = _crypt_context(profile)
        self._nobodys_hash = _nobodys_hash(profile)

    def hash(self, password: str) -> str:
        """The argon2id hash with a random salt, in PHC format. Raises MalformedPassword as ``normalize_password``."""
        return self._context.hash(normalize_password(password))

    def verify(self, password: str, hash: str | None) -> bool:
        """Whether ``hash`` was made from ``password``. Never raises.

        False, after the usual work, also for a malformed password, for a hash that cannot be read and for None.
        """
        normalized = _normalized_or_none(password)
        if hash is None or normalized is None:
            self.dummy_verify(password)
            return False
        started = time.thread_time()
        verdict = self._verdict(normalized, hash)
        spent = time.thread_time() - started
        self._top_up(0 if verdict is None else _work(hash, spent))
        return verdict is True

    def verify_and_update(self, password: str, hash: str | None) -> tuple[bool, str | None]:
        """``verify``'s answer, and a new hash where it is True and ``needs_update``, else None. Never raises."""
        verified = self.verify(password, hash)
        if hash is None or not verified:
            return False, None
        return True, self.hash(password) if self.needs_update(hash) else None

    def needs_update(self, hash: str) -> bool:
        """Whether ``hash`` is anything but argon2id with the parameters of ``profile``. Never raises."""
        try:
            return self._context.needs_update(hash)
        except Exception:
            return True

    def dummy_verify(self, password: str) -> None:
        """The work of refusing ``password`` where there is no hash to verify it against."""
        self._verdict(_normalized_or_none(password) or "", self._nobodys_hash)

    def warm(self) -> None:
        """Do now what the first login would wait for: load argon2 and measure this machine."""
        self.dummy_verify("")
        _seconds_per_unit()

    def _verdict(self, normalized: str, hash: str) -> bool | None:
        # None: nothing was verified. Whatever a library says of a broken hash goes no further, it quotes the hash.
        try:
            return self._context.verify(normalized, hash)
        except Exception:
            return None

    def _top_up(self, done: float) -> None:
        """Add what ``done`` units of work lack of one hash of the profile."""
        profile = self._profile
        memory_cost = round(profile.memory_cost - done / profile.time_cost)
        if memory_cost >= 8 * profile.parallelism:
            _argon2id(replace(profile, memory_cost=memory_cost))


class PasswordPolicy:
    """Which passwords may be set: long enough, not common, not made of what anybody knows about the account.

    No composition rules and no expiry (ASVS 6.2.5, 6.2.10). ``minimum_length`` counts code points after
    normalisation; it is at least 8, and NIST_SINGLE_FACTOR_LENGTH is a good choice. Up to 1,024 bytes are
    accepted. ``words`` are the application's own: its name, its company. ``blocked`` joins the shipped list of
    16,000 common passwords, which is read once in a process. Whether a password is known from a breach is asked
    by ``Accounts(breached=…)``, since that takes I/O.
    """

    def __init__(
        self, *, minimum_length: int = MINIMUM_LENGTH, words: Iterable[str] = (), blocked: Iterable[str] = ()
    ) -> None:
        if minimum_length < MINIMUM_LENGTH:
            raise ConfigurationError(f"minimum_length is at least {MINIMUM_LENGTH} (OWASP ASVS 5.0, 6.2.1)")
        if isinstance(words, str) or isinstance(blocked, str):
            raise ConfigurationError("words and blocked are collections of strings")
        self._minimum_length = minimum_length
        self._words = _pieces(words)
        self._blocked = common_passwords() | {_folded(password) for password in blocked}

    def check(self, password: str, context: Iterable[str] = ()) -> tuple[str, ...]:
        """What is wrong with ``password``; empty where it may be set. Pure, and never raises.

        ``malformed``: a NUL or a lone surrogate. ``too_long``: more than 1,024 bytes. ``too_short``. ``too_common``:
        on the list, in any case or width. ``too_predictable``: without the words of the application and of
        ``context`` (an e-mail address, a name) fewer than 8 code points are left.
        """
        try:
            normalized = normalize_password(password)
        except MalformedPassword as malformed:
            return (malformed.code,)
        if len(normalized) < self._minimum_length:
            return ("too_short",)
        folded = _folded(normalized)
        findings = {
            "too_common": folded in self._blocked,
            "too_predictable": _is_predictable(folded, self._words | _pieces(context)),
        }
        return tuple(code for code, found in findings.items() if found)


@cache
def common_passwords() -> frozenset[str]:
    """The shipped list: passwords of 8 or more characters that are known to be common, in lower case."""
    text = resources.files("asgi_auth").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line != "#" and not line.startswith("# "))


def _normalized_or_none(password: str) -> str | None:
    try:
        return normalize_password(password)
    except MalformedPassword:
        return None


def _covers(profile: Argon2Profile, least: Argon2Profile) -> bool:
    return (
        profile.time_cost >= least.time_cost
        and profile.memory_cost >= least.memory_cost
        and profile.parallelism >= least.parallelism
    )


def _crypt_context(profile: Argon2Profile) -> "CryptContext":
    _refuse_old_passlib()
    try:
        # Imported here: passlib 1.7 warns or fails at import, and two distributions may have left it in pieces.
        from passlib.context import CryptContext
    except ImportError as missing:
        raise ConfigurationError(_MEND) from missing
    return CryptContext(
        schemes=["argon2", *_FOREIGN],
        deprecated="auto",
        argon2__type="ID",
        argon2__time_cost=profile.time_cost,
        argon2__memory_cost=profile.memory_cost,
        argon2__parallelism=profile.parallelism,
    )


def _refuse_old_passlib() -> None:
    """Refuse passlib 1.7: it and libpass fill one folder, the last one installed wins, and bcrypt fails with 1.7."""
    try:
        version = metadata.version("passlib")
    except metadata.PackageNotFoundError:
        return
    if version.startswith("1.7."):
        raise ConfigurationError(_MEND)


def _nobodys_hash(profile: Argon2Profile) -> str:
    """A hash that no password has: it costs nothing to make, and as much as any other to verify."""
    salt, checksum = (b64encode(token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    costs = f"m={profile.memory_cost},t={profile.time_cost},p={profile.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${checksum}"


def _work(hash: str, spent: float) -> float:
    """How many units, KiB times passes, went into verifying ``hash`` in ``spent`` seconds of processor time."""
    costs = _ARGON2_COSTS.match(hash)
    if costs:
        return float(int(costs["memory"]) * int(costs["passes"]))
    return spent / _seconds_per_unit()


@cache
def _seconds_per_unit() -> float:
    """The pace of this machine, in processor time, which unlike elapsed time does not grow when others are busy too."""
    profile = replace(OWASP, time_cost=1)
    return median(_argon2id(profile) for _ in range(3)) / profile.memory_cost


def _argon2id(profile: Argon2Profile) -> float:
    """Spend the work of one hash; the processor time that this thread took for it."""
    started = time.thread_time()
    hash_secret_raw(
        secret=b"",
        salt=bytes(16),
        time_cost=profile.time_cost,
        memory_cost=profile.memory_cost,
        parallelism=profile.parallelism,
        hash_len=32,
        type=Type.ID,
    )
    return time.thread_time() - started


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _pieces(words: Iterable[str]) -> frozenset[str]:
    """The words to look for: letters and digits in a row, three or more."""
    return frozenset(piece for word in words for piece in _PIECE.findall(_folded(word)))


def _is_predictable(folded: str, pieces: frozenset[str]) -> bool:
    rest = folded
    for piece in sorted(pieces, key=len, reverse=True):
        rest = rest.replace(piece, "")
    return len(rest) < MINIMUM_LENGTH and rest != folded
