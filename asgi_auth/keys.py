"""Keys that sign and keys that verify (RFC 7517, RFC 7518 §6).

Each key carries exactly one algorithm, a ``kid`` and one purpose. joserfc does the cryptography; what it
accepts and we do not is in ``key_checks.py``. Left out: encryption keys, hardware keys, ``x5c``.
"""

import base64
import hashlib
import hmac
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from types import MappingProxyType
from typing import Any, Literal, TypedDict, TypeGuard, get_args

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from . import key_files
from .errors import ConfigurationError
from .key_checks import refuse_weak_rsa, refuse_weak_secret

__all__ = ["JWKS", "Algorithm", "SigningKey", "SigningKeys", "VerificationKey", "VerificationKeys"]

logger = logging.getLogger(__name__)

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"]
"""What a key may sign with. ``EdDSA`` and ``Ed25519`` are two names of one algorithm (RFC 9864 §2.2)."""

JWK = Mapping[str, Any]

MAX_KID_LENGTH = 256
MAX_KEYS = 100

_EDDSA_NAMES = frozenset({"EdDSA", "Ed25519"})
_KEY_TYPES: dict[str, type[Key]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey, "oct": OctKey}
_KEY_TYPE_OF = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP", "HS256": "oct"}
_CURVES = {"EC": ("P-256", "ES256"), "OKP": ("Ed25519", "EdDSA")}
_MEMBERS = {
    "RSA": ({"n", "e"}, {"d", "p", "q", "dp", "dq", "qi"}),
    "EC": ({"crv", "x", "y"}, {"d"}),
    "OKP": ({"crv", "x"}, {"d"}),
    "oct": (set[str](), {"k"}),
}
_GENERATED_RSA_BITS = 3072


class JWKS(TypedDict):
    """A JWK set (RFC 7517 §5)."""

    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key that verifies: its ``kid``, the header's ``alg`` values it accepts, and how."""

    kid: str
    algorithms: frozenset[str]
    verify: Callable[[bytes, bytes], bool] = field(repr=False)
    """``verify(signing input, signature)``."""

    @property
    def is_symmetric(self) -> bool:
        """Whether who can verify with it can sign too."""
        return "HS256" in self.algorithms


class VerificationKeys:
    """Keys that verify, found by ``kid`` and algorithm. Immutable.

    No keys, one ``kid`` twice, and symmetric beside asymmetric keys are a ConfigurationError.
    """

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        keys = tuple(keys)
        self._by_kid: Mapping[str, VerificationKey] = MappingProxyType({key.kid: key for key in keys})
        if not keys:
            raise ConfigurationError("there is no usable key to verify with")
        if len(self._by_kid) != len(keys):
            raise ConfigurationError("two keys of one set have the same kid: give each its own")
        if len({key.is_symmetric for key in keys}) > 1:
            raise ConfigurationError("a set has HMAC secrets or key pairs, never both: use two verifiers")

    @classmethod
    def from_jwks(cls, jwks: Mapping[str, Any]) -> "VerificationKeys":
        """The usable public keys of another issuer's set.

        A key that is malformed, weak, symmetric, of another use or of an algorithm we do not have is skipped with
        a warning that names its place; a key without ``alg`` is RS256, ES256 or EdDSA by its type. More than 100
        entries, no usable one, or one ``kid`` twice: ConfigurationError.
        """
        entries = jwks.get("keys")
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            raise ConfigurationError(f"a JWK set has a list of at most {MAX_KEYS} keys")
        usable = []
        for place, entry in enumerate(entries):
            try:
                usable.append(_public_key(entry))
            except ValueError:
                logger.warning("key %d of a JWK set is not usable and was skipped", place)
        return cls(usable)

    def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """The key for a token's header, or None. Without ``kid`` only if one key alone has the algorithm."""
        if kid is not None:
            key = self._by_kid.get(kid)
            return key if key is not None and algorithm in key.algorithms else None
        fitting = [key for key in self._by_kid.values() if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key that signs. Its ``repr`` has no key material."""

    kid: str
    algorithm: Algorithm
    sign: Callable[[bytes], bytes] = field(repr=False)
    verification: VerificationKey = field(repr=False)
    jwk: JWK = field(repr=False)
    """With its private part."""

    @classmethod
    def generate(cls, algorithm: Algorithm = "RS256") -> "SigningKey":
        """A new key: RSA of 3072 bits, P-256, Ed25519, or 256 random bits for HS256."""
        if algorithm not in get_args(Algorithm):
            raise ConfigurationError(f"the algorithm is one of {', '.join(get_args(Algorithm))}")
        return cls.from_jwk({**_generated(_KEY_TYPE_OF[algorithm]).as_dict(private=True), "alg": algorithm})

    @classmethod
    def from_jwk(cls, jwk: JWK) -> "SigningKey":
        """The key of a private JWK that names its ``alg``; without ``kid`` it gets its thumbprint (RFC 7638).

        ConfigurationError for a key that is malformed or weak, not for signing, or whose halves do not match.
        """
        try:
            return _signing_key(jwk)
        except ValueError as error:
            raise ConfigurationError(f"a signing key is refused: {error}") from None


class SigningKeys:
    """The keys of one issuer: ``current`` signs; ``next``, ``current`` and ``retired`` verify. Immutable.

    Publish the next key before it signs, and keep a retired one until the last token it signed has expired:
    ``with_next``, ``promoted``, ``without_retired`` each return the keys after that step.
    """

    def __init__(
        self, current: SigningKey, *, next: SigningKey | None = None, retired: Iterable[SigningKey] = ()
    ) -> None:
        self.current = current
        self.next = next
        self.retired = tuple(retired)
        self.verification_keys = VerificationKeys(key.verification for key in self._all())

    @classmethod
    def generate(cls, algorithm: Algorithm = "RS256") -> "SigningKeys":
        """One new key, in memory only: tokens die with the process."""
        return cls(SigningKey.generate(algorithm))

    @classmethod
    def load_or_generate(cls, path: str | PathLike[str], algorithm: Algorithm = "RS256") -> "SigningKeys":
        """The keys in the private JWK set at ``path``; where there is no file, one new key of ``algorithm``.

        The file has mode 0600 and appears whole: of any number of processes that start at once one writes it and
        the others read it. ConfigurationError where others may read the file, or it holds no usable keys.
        """
        entries = key_files.load_or_create(path, lambda: cls.generate(algorithm)._entries())
        return cls._from_entries(entries)

    @classmethod
    def from_secret(cls, secret: str | bytes, *, previous: Iterable[str | bytes] = ()) -> "SigningKeys":
        """HS256 with one secret that all workers share; ``previous`` ones still verify.

        ConfigurationError for a secret of less than 32 bytes, one that can be guessed, or the text of a key.
        """
        return cls(_from_secret(secret), retired=map(_from_secret, previous))

    def with_next(self, key: SigningKey) -> "SigningKeys":
        """With a key that verifies and is published, and will sign after ``promoted``."""
        return SigningKeys(self.current, next=key, retired=self.retired)

    def promoted(self) -> "SigningKeys":
        """With the next key signing and the current one retired. ConfigurationError where there is no next key."""
        if self.next is None:
            raise ConfigurationError("there is no next key to promote: add one with with_next() first")
        return SigningKeys(self.next, retired=(self.current, *self.retired))

    def without_retired(self) -> "SigningKeys":
        """Without retired keys: what they signed is refused from now on."""
        return SigningKeys(self.current, next=self.next)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the private JWK set over the file at ``path``, mode 0600, in one step."""
        key_files.replace(path, self._entries())

    def jwks(self) -> JWKS:
        """The public JWK set; empty for HMAC secrets, which are never published."""
        return {"keys": [_public_jwk(key) for key in self._all() if not key.verification.is_symmetric]}

    def _all(self) -> tuple[SigningKey, ...]:
        return (self.current, *(() if self.next is None else (self.next,)), *self.retired)

    def _entries(self) -> list[dict[str, Any]]:
        status = {self.current.kid: "current"} | ({} if self.next is None else {self.next.kid: "next"})
        return [{**key.jwk, "status": status.get(key.kid, "retired")} for key in self._all()]

    @classmethod
    def _from_entries(cls, entries: list[dict[str, Any]]) -> "SigningKeys":
        by_status: dict[str, list[SigningKey]] = {"current": [], "next": [], "retired": []}
        for entry in entries:
            status = entry.get("status")
            if status not in by_status:
                raise ConfigurationError("each key of the file has the status next, current or retired")
            by_status[status].append(SigningKey.from_jwk({k: v for k, v in entry.items() if k != "status"}))
        if len(by_status["current"]) != 1 or len(by_status["next"]) > 1:
            raise ConfigurationError("the file has exactly one current key and at most one next key")
        return cls(by_status["current"][0], next=next(iter(by_status["next"]), None), retired=by_status["retired"])


def _generated(key_type: str) -> Key:
    if key_type == "RSA":
        return RSAKey.generate_key(_GENERATED_RSA_BITS)
    if key_type == "EC":
        return ECKey.generate_key("P-256")
    return OKPKey.generate_key("Ed25519") if key_type == "OKP" else OctKey.generate_key(256)


def _from_secret(secret: str | bytes) -> SigningKey:
    raw = secret.encode() if isinstance(secret, str) else secret
    k = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return SigningKey.from_jwk({"kty": "oct", "k": k, "alg": "HS256"})


def _signing_key(jwk: JWK) -> SigningKey:
    algorithm = jwk.get("alg")
    if not _is_algorithm(algorithm):
        raise ValueError("it names no alg of ours")
    private = _imported(jwk, algorithm, private=True)
    kid = _kid(jwk, private)
    public = _imported(jwk, algorithm, private=False) if algorithm != "HS256" else private
    model = _model(algorithm)
    key = SigningKey(
        kid,
        algorithm,
        lambda message: model.sign(message, private),
        _verification(kid, algorithm, public),
        MappingProxyType({**private.as_dict(private=True), "kid": kid, "alg": algorithm, "use": "sig"}),
    )
    if not key.verification.verify(b"halves", key.sign(b"halves")):
        raise ValueError("its private part does not match its public part")
    return key


def _is_algorithm(value: object) -> TypeGuard[Algorithm]:
    return isinstance(value, str) and value in _KEY_TYPE_OF


def _public_key(jwk: object) -> VerificationKey:
    if not isinstance(jwk, dict):
        raise ValueError("it is not an object")
    key_type = jwk.get("kty")
    if key_type not in ("RSA", "EC", "OKP"):
        raise ValueError("it is not the public half of a pair")
    algorithm = jwk.get("alg") or ("RS256" if key_type == "RSA" else _CURVES[key_type][1])
    key = _imported(jwk, algorithm, private=False)
    return _verification(_kid(jwk, key), algorithm, key)


def _imported(jwk: JWK, algorithm: object, *, private: bool) -> Key:
    """The joserfc key of the members that count. ValueError for whatever is wrong with them."""
    key_type = jwk.get("kty")
    if not isinstance(algorithm, str) or _KEY_TYPE_OF.get(algorithm) != key_type or not isinstance(key_type, str):
        raise ValueError("its alg does not fit its kty")
    if jwk.get("use", "sig") != "sig" or not _may(jwk.get("key_ops"), "sign" if private else "verify"):
        raise ValueError("it is not for signatures")
    public_members, private_members = _MEMBERS[key_type]
    if private and not private_members & jwk.keys():
        raise ValueError("it has no private part")
    wanted = public_members | private_members if private else public_members
    members = {"kty": key_type, **{name: jwk[name] for name in wanted if name in jwk}}
    _refuse_weak(members)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            key = _KEY_TYPES[key_type].import_key(members)
            _model(algorithm).check_key(key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, Warning):
        raise ValueError("it is malformed") from None
    return key


def _refuse_weak(members: JWK) -> None:
    if members["kty"] == "RSA":
        refuse_weak_rsa(_number(members.get("n")), _number(members.get("e")))
    elif members["kty"] == "oct":
        refuse_weak_secret(_bytes(members.get("k")))
    elif members.get("crv") != _CURVES[members["kty"]][0]:
        raise ValueError("its curve is not the one of its alg")


def _may(operations: object, operation: str) -> bool:
    return operations is None or (isinstance(operations, list) and operation in operations)


def _kid(jwk: JWK, key: Key) -> str:
    kid = jwk.get("kid")
    if kid is None:
        return _secret_kid(key.raw_value) if isinstance(key, OctKey) else key.thumbprint()
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH:
        raise ValueError(f"its kid is not a text of 1 to {MAX_KID_LENGTH} characters")
    return kid


def _secret_kid(secret: bytes) -> str:
    # A thumbprint would be a plain hash of the secret in every header.
    return hmac.digest(secret, b"asgi_auth kid", hashlib.sha256)[:16].hex()


def _verification(kid: str, algorithm: str, key: Key) -> VerificationKey:
    model = _model(algorithm)
    names = _EDDSA_NAMES if algorithm in _EDDSA_NAMES else frozenset({algorithm})
    return VerificationKey(kid, names, lambda message, signature: model.verify(message, signature, key))


def _model(algorithm: str) -> Any:
    # The object of the new name: that of the old one warns at every call and does the same.
    return JWSRegistry.algorithms["Ed25519" if algorithm == "EdDSA" else algorithm]


def _public_jwk(key: SigningKey) -> dict[str, Any]:
    public_members, _ = _MEMBERS[key.jwk["kty"]]
    return {name: key.jwk[name] for name in ("kty", *sorted(public_members), "kid", "alg", "use")}


def _number(text: object) -> int:
    return int.from_bytes(_bytes(text))


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("a member is missing")
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("a member is not base64url") from None
