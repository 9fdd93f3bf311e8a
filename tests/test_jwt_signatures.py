"""Whose signature counts: algorithms, keys, and the mistakes of other libraries with them."""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from forge import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    KEYS,
    NOW,
    decode,
    encode,
    header_of,
    issued,
    refusal,
    signed,
    text,
    verify,
    with_header,
)
from joserfc.jwk import RSAKey

from asgi_auth.errors import ConfigurationError, InvalidToken, Reason
from asgi_auth.jwt import JWTIssuer, JWTVerifier
from asgi_auth.keys import SigningKey, SigningKeys, VerificationKey, VerificationKeys

ALGORITHMS = pytest.mark.parametrize("algorithm", KEYS)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@ALGORITHMS
@pytest.mark.requirement("R-1", "holds")
@pytest.mark.requirement("R-2", "holds")
def test_a_token_of_ours_is_verified_in_one_call(algorithm: str) -> None:
    token = verify(issued(algorithm), algorithm)

    assert (token.subject, token.epoch, token.sid) == ("ada", 3, CLAIMS["sid"])
    assert dict(token.claims) == CLAIMS
    assert verify(issued(algorithm).encode(), algorithm) == token


@ALGORITHMS
@pytest.mark.requirement("R-1", "refuses")
def test_one_flipped_bit_anywhere_is_refused_before_any_claim_is_read(algorithm: str) -> None:
    header, payload, signature = issued(algorithm).split(".")
    for place in (0, len(decode(signature)) // 2, len(decode(signature)) - 1):
        raw = bytearray(decode(signature))
        raw[place] ^= 1
        assert refusal(f"{header}.{payload}.{encode(bytes(raw))}", algorithm) is Reason.TOKEN_SIGNATURE_INVALID
    foreign = encode(text(CLAIMS | {"sub": "eve", "exp": 1}))
    assert refusal(f"{header}.{foreign}.{signature}", algorithm) is Reason.TOKEN_SIGNATURE_INVALID


@pytest.mark.requirement("R-2", "refuses")
@pytest.mark.parametrize("name", ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")])
def test_no_spelling_of_none_is_an_algorithm(name: str) -> None:
    payload = encode(text(CLAIMS))
    good = issued().rpartition(".")[2]
    for kid in ({}, {"kid": KEYS["ES256"].current.kid}):
        header = encode(text({"alg": name, "typ": "at+jwt"} | kid))
        for signature in ("", encode(b"\0"), good, encode(b"none")):
            assert refusal(f"{header}.{payload}.{signature}") is Reason.TOKEN_KEY_UNKNOWN


@pytest.mark.requirement("R-2", "refuses")
@pytest.mark.parametrize("alg", [None, 1, True, [], ["ES256"], {}, {"alg": "ES256"}])
def test_an_algorithm_that_is_no_text_is_refused(alg: object) -> None:
    assert refusal(with_header(alg=alg)) is Reason.TOKEN_ALGORITHM_REFUSED


@pytest.mark.requirement("R-3", "refuses")
@pytest.mark.parametrize(
    ("claimed", "real"), [(claimed, real) for real in KEYS for claimed in (*KEYS, "PS256") if claimed != real]
)
def test_a_header_that_names_another_algorithm_than_the_key_has_is_refused(claimed: str, real: str) -> None:
    assert refusal(with_header(real, alg=claimed), real) is Reason.TOKEN_KEY_UNKNOWN


@pytest.mark.requirement("R-3", "holds")
def test_eddsa_has_two_names_and_both_are_one_algorithm() -> None:
    assert verify(with_header("EdDSA", alg="Ed25519"), "EdDSA") == verify(with_header("EdDSA", alg="EdDSA"), "EdDSA")


@pytest.mark.requirement("R-3", "refuses")
def test_secrets_and_key_pairs_never_share_a_set() -> None:
    with pytest.raises(ConfigurationError, match="never both"):
        SigningKeys(KEYS["HS256"].current, retired=[KEYS["RS256"].current])


def public_key_texts() -> dict[str, bytes]:
    """CVE-2015-9235, CVE-2022-29217 and their heirs: a public key as the secret of an HMAC."""
    jwk = {name: KEYS["RS256"].current.jwk[name] for name in ("kty", "n", "e")}
    key = load_der_public_key(RSAKey.import_key(jwk).as_der(private=False))
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "PEM": pem,
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM without its last newline": pem.rstrip(),
        "PEM after a space": b" " + pem,
        "PEM after a prefix": b"key: " + pem,
        "PEM after a byte order mark": b"\xef\xbb\xbf" + pem,
        "PKCS #1": key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": json.dumps(jwk).encode(),
        "JWK after a byte order mark": b"\xef\xbb\xbf" + json.dumps(jwk).encode(),
        "JWK set": json.dumps({"keys": [jwk]}).encode(),
    }


@pytest.mark.requirement("R-3", "refuses")
@pytest.mark.requirement("R-20", "refuses")
@pytest.mark.parametrize("secret", public_key_texts().values(), ids=public_key_texts())
def test_a_public_key_is_no_secret_where_it_is_loaded_nor_where_a_token_uses_it(secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="text of a key"):
        SigningKeys.from_secret(secret)

    for kid in ({}, {"kid": KEYS["RS256"].current.kid}):
        body = f"{encode(text({'alg': 'HS256', 'typ': 'at+jwt'} | kid))}.{encode(text(CLAIMS))}"
        forged = f"{body}.{encode(hmac.digest(secret, body.encode(), hashlib.sha256))}"
        assert refusal(forged, "RS256") is Reason.TOKEN_KEY_UNKNOWN


@pytest.mark.requirement("R-7", "refuses")
@pytest.mark.parametrize("same_kid", [True, False])
def test_a_key_that_a_token_brings_along_is_never_used(same_kid: bool) -> None:
    attacker, ours = SigningKey.generate("ES256"), KEYS["ES256"].current
    jwk = {name: attacker.jwk[name] for name in ("kty", "crv", "x", "y")}
    kid = ours.kid if same_kid else attacker.kid
    parameters: list[dict[str, Any]] = [
        {"jwk": jwk},
        {"jku": "https://evil.example/"},
        {"x5u": "https://evil.example/"},
        {"x5c": []},
    ]
    for parameter in parameters:
        token = signed(attacker, header_of(attacker, kid=kid, **parameter), CLAIMS)
        assert refusal(token) is Reason.TOKEN_HEADER_REFUSED
        assert refusal(with_header(**parameter)) is Reason.TOKEN_HEADER_REFUSED, "also under a good signature"


@pytest.mark.requirement("R-8", "refuses")
@pytest.mark.parametrize(
    "kid", [None, 1, [], {}, "", "k" * 257, "../../etc/passwd", "' OR 1=1", "https://evil.example"]
)
def test_a_kid_is_a_short_text_that_names_a_key_or_nothing(kid: object) -> None:
    expected = {Reason.TOKEN_HEADER_REFUSED, Reason.TOKEN_KEY_UNKNOWN} if kid is not None else {None}
    assert refusal(with_header(kid=kid)) in expected


@pytest.mark.requirement("R-8", "holds")
def test_without_kid_the_one_key_of_that_algorithm_verifies_and_of_two_neither() -> None:
    header = {"alg": "ES256", "typ": "at+jwt"}
    token = signed(KEYS["ES256"].current, header, CLAIMS)
    assert refusal(token) is None

    two = KEYS["ES256"].with_next(SigningKey.generate("ES256")).verification_keys
    assert two.find(None, "ES256") is None


def malformed_ecdsa() -> dict[str, Callable[[bytes], bytes]]:
    """CVE-2022-21449, CVE-2020-28042, CVE-2019-14859."""
    order = P256_ORDER.to_bytes(32)
    return {
        "nothing": lambda good: b"",
        "r = 0, s = 0": lambda good: bytes(64),
        "r = 0": lambda good: bytes(32) + good[32:],
        "s = 0": lambda good: good[:32] + bytes(32),
        "r = n": lambda good: order + good[32:],
        "s = n": lambda good: good[:32] + order,
        "all ones": lambda good: b"\xff" * 64,
        "one byte short": lambda good: good[:-1],
        "one byte long": lambda good: good + b"\0",
        "DER": lambda good: encode_dss_signature(int.from_bytes(good[:32]), int.from_bytes(good[32:])),
    }


@pytest.mark.requirement("R-1", "refuses")
@pytest.mark.parametrize("change", malformed_ecdsa().values(), ids=malformed_ecdsa())
def test_a_malformed_ecdsa_signature_is_refused(change: Callable[[bytes], bytes]) -> None:
    body, _, signature = issued().rpartition(".")

    assert refusal(f"{body}.{encode(change(decode(signature)))}") is Reason.TOKEN_SIGNATURE_INVALID


@ALGORITHMS
@pytest.mark.requirement("R-1", "refuses")
def test_signatures_of_any_odd_length_are_refused_and_nothing_else_is_raised(algorithm: str) -> None:
    body, _, signature = issued(algorithm).rpartition(".")
    raw = decode(signature)
    for odd in (b"", b"\0", raw[:-1], raw + b"\0", raw * 2, bytes(len(raw)), b"\xff" * len(raw), bytes(4000)):
        assert refusal(f"{body}.{encode(odd)}", algorithm) is Reason.TOKEN_SIGNATURE_INVALID


@pytest.mark.requirement("R-24", "holds")
@pytest.mark.requirement("R-24", "refuses")
def test_a_key_verifies_before_it_signs_and_after_it_and_not_once_it_is_gone() -> None:
    old = SigningKeys.generate("ES256")
    coming = SigningKey.generate("ES256")
    prepared = old.with_next(coming)
    promoted = prepared.promoted()
    by_old, by_new = (signed(key, header_of(key), CLAIMS) for key in (old.current, coming))

    def accepted(keys: VerificationKeys) -> list[bool]:
        return [_is_accepted(token, keys) for token in (by_old, by_new)]

    assert promoted.current is coming
    assert accepted(prepared.verification_keys) == [True, True]
    assert accepted(promoted.verification_keys) == [True, True]
    assert accepted(promoted.without_retired().verification_keys) == [False, True]
    with pytest.raises(ConfigurationError, match="no next key"):
        promoted.promoted()


def _is_accepted(token: str, keys: VerificationKeys) -> bool:
    try:
        JWTVerifier(ISSUER, AUDIENCE).verify(token, keys, NOW)
    except InvalidToken:
        return False
    return True


def test_an_issuer_can_sign_other_types_and_they_are_no_access_tokens() -> None:
    issuer = JWTIssuer(ISSUER, KEYS["ES256"])
    claims: dict[str, Any] = {name: CLAIMS[name] for name in CLAIMS if name != "iss"}

    assert refusal(issuer.issue(claims, type="logout+jwt")) is Reason.TOKEN_TYPE_WRONG
    assert refusal(issuer.issue(claims, type="logout+jwt")) is Reason.TOKEN_TYPE_WRONG, "its header is made once"


@pytest.mark.requirement("R-17", "refuses")
def test_whatever_a_library_raises_over_a_signature_it_is_a_bad_one() -> None:
    def raising(message: bytes, signature: bytes) -> bool:
        raise OverflowError("an odd signature")

    keys = VerificationKeys([VerificationKey(KEYS["ES256"].current.kid, frozenset({"ES256"}), raising)])
    with pytest.raises(InvalidToken) as refused:
        JWTVerifier(ISSUER, AUDIENCE).verify(issued(), keys, NOW)

    assert refused.value.reason is Reason.TOKEN_SIGNATURE_INVALID
