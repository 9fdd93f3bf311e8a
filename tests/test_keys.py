"""Keys: one algorithm, one purpose, and never more of them published than their public half."""

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from asgi_auth.errors import ConfigurationError
from asgi_auth.keys import Algorithm, SigningKey, SigningKeys, VerificationKey, VerificationKeys

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in ALGORITHMS}
PAIRS = [algorithm for algorithm in ALGORITHMS if algorithm != "HS256"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def public(algorithm: Algorithm, **more: Any) -> dict[str, Any]:
    """The public JWK of a key; members that are ``...`` are left out."""
    entry = SigningKeys(KEYS[algorithm]).jwks()["keys"][0] | more
    return {name: value for name, value in entry.items() if value is not ...}


def private(algorithm: Algorithm, **more: Any) -> dict[str, Any]:
    entry = dict(KEYS[algorithm].jwk) | more
    return {name: value for name, value in entry.items() if value is not ...}


@pytest.mark.requirement("R-19", "holds")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_generated_key_signs_what_it_alone_verifies(algorithm: Algorithm) -> None:
    key, other = KEYS[algorithm], SigningKey.generate("HS256")
    signature = key.sign(b"message")

    assert key.verification.verify(b"message", signature)
    assert not key.verification.verify(b"massage", signature)
    assert not other.verification.verify(b"message", signature)
    assert key.algorithm in key.verification.algorithms


@pytest.mark.requirement("R-19", "holds")
def test_generated_keys_are_as_strong_as_they_should_be() -> None:
    modulus = base64.urlsafe_b64decode(KEYS["RS256"].jwk["n"] + "==")

    assert int.from_bytes(modulus).bit_length() == 3072
    assert KEYS["ES256"].jwk["crv"] == "P-256"
    assert KEYS["EdDSA"].jwk["crv"] == KEYS["Ed25519"].jwk["crv"] == "Ed25519"
    assert len(base64.urlsafe_b64decode(KEYS["HS256"].jwk["k"] + "==")) == 32


@pytest.mark.parametrize("algorithm", ["none", "HS512", "RS1", "RSA1_5", "", "rs256"])
def test_an_algorithm_that_we_do_not_have_is_refused(algorithm: Any) -> None:
    with pytest.raises(ConfigurationError, match="RS256"):
        SigningKey.generate(algorithm)
    with pytest.raises(ConfigurationError, match="alg"):
        SigningKey.from_jwk(private("RS256", alg=algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_without_kid_gets_one_that_says_nothing_of_a_secret(algorithm: Algorithm) -> None:
    key = SigningKey.from_jwk(private(algorithm, kid=...))

    assert 16 <= len(key.kid) <= 256
    if algorithm == "HS256":
        thumbprint = SigningKey.from_jwk(private("HS256", kid=...)).jwk
        assert key.kid not in json.dumps(dict(thumbprint) | {"kid": None})
    assert SigningKey.from_jwk(private(algorithm, kid=...)).kid == key.kid


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_repr_holds_key_material(algorithm: Algorithm) -> None:
    key = KEYS[algorithm]
    shown = f"{key!r} {key.verification!r} {SigningKeys(key)!r} {SigningKeys(key).verification_keys!r}"

    assert not any(str(key.jwk[name]) in shown for name in PRIVATE & key.jwk.keys())


@pytest.mark.requirement("R-21", "refuses")
@pytest.mark.parametrize(
    "more",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["verify"]},
        {"key_ops": "sign"},
        {"key_ops": []},
        {"d": ...},
        {"d": "AA"},
        {"d": 1},
        {"x": "AA"},
        {"x": ...},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"kty": "RSA"},
        {"kty": "oct"},
        {"kty": ["EC"]},
        {"kid": ""},
        {"kid": "k" * 257},
        {"kid": 1},
        {"alg": ["ES256"]},
        {"alg": "RS256"},
    ],
    ids=str,
)
def test_a_signing_key_that_is_not_whole_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="a signing key is refused"):
        SigningKey.from_jwk(private("ES256", **more))


@pytest.mark.requirement("R-21", "refuses")
@pytest.mark.parametrize("algorithm", PAIRS)
def test_a_private_half_that_does_not_match_its_public_half_is_refused(algorithm: Algorithm) -> None:
    """CVE-2026-102275."""
    other = SigningKey.generate(algorithm)
    halves = {name: other.jwk[name] for name in ("n", "x", "y") if name in other.jwk}

    with pytest.raises(ConfigurationError, match="a signing key is refused"):
        SigningKey.from_jwk(private(algorithm, **halves))


@pytest.mark.requirement("R-19", "refuses")
@pytest.mark.requirement("R-25", "refuses")
@pytest.mark.parametrize("k", ["", "AA", "c2VjcmV0", ..., 1, "!!!", "\u00e4"])
def test_an_empty_or_short_secret_is_refused_on_every_path(k: object) -> None:
    """CVE-2026-102266, CVE-2026-114616."""
    with pytest.raises(ConfigurationError):
        SigningKey.from_jwk(private("HS256", k=k))
    with pytest.raises(ConfigurationError):
        VerificationKeys.from_jwks({"keys": [private("HS256", k=k)]})


@pytest.mark.requirement("R-19", "refuses")
def test_a_short_rsa_key_is_refused_on_every_path() -> None:
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024).as_dict(private=True)

    with pytest.raises(ConfigurationError, match="2048"):
        SigningKey.from_jwk(weak | {"alg": "RS256"})
    with pytest.raises(ConfigurationError, match="no usable key"):
        VerificationKeys.from_jwks({"keys": [weak]})


@pytest.mark.requirement("R-19", "refuses")
def test_a_point_that_is_not_on_its_curve_and_a_foreign_curve_are_refused() -> None:
    for entry in (public("ES256", y="AA"), ECKey.generate_key("P-384").as_dict(private=False)):
        with pytest.raises(ConfigurationError, match="no usable key"):
            VerificationKeys.from_jwks({"keys": [entry]})
    with pytest.raises(ConfigurationError, match="no usable key"):
        VerificationKeys.from_jwks({"keys": [OKPKey.generate_key("Ed448").as_dict(private=False)]})


@pytest.mark.requirement("R-21", "holds")
def test_one_bad_key_in_a_set_is_skipped_and_the_others_verify(caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2026-102274."""
    bad: list[Any] = [None, [], "key", {}, {"kty": "EC"}, public("RS256", n="AA"), private("HS256"), {"kty": "xyz"}]
    keys = VerificationKeys.from_jwks({"keys": [*bad, public("ES256"), public("RS256", use="enc", kid="e")]})

    assert keys.find(KEYS["ES256"].kid, "ES256") is not None
    assert caplog.messages == [f"key {place} of a JWK set is not usable and was skipped" for place in [*range(8), 9]]


@pytest.mark.requirement("R-21", "refuses")
@pytest.mark.parametrize("jwks", [{}, {"keys": []}, {"keys": None}, {"keys": {}}, {"keys": [None] * 101}], ids=str)
def test_a_set_without_a_usable_key_verifies_nothing(jwks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        VerificationKeys.from_jwks(jwks)


@pytest.mark.requirement("R-8", "refuses")
def test_one_kid_names_one_key() -> None:
    with pytest.raises(ConfigurationError, match="same kid"):
        VerificationKeys.from_jwks({"keys": [public("ES256", kid="k"), public("RS256", kid="k")]})
    with pytest.raises(ConfigurationError, match="same kid"):
        SigningKeys(KEYS["ES256"], retired=[KEYS["ES256"]])


@pytest.mark.parametrize(("algorithm", "default"), [("RS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")])
def test_a_published_key_without_alg_has_the_usual_one_of_its_type(algorithm: Algorithm, default: str) -> None:
    keys = VerificationKeys.from_jwks({"keys": [public(algorithm, alg=..., kid=..., use=...)]})

    assert keys.find(None, default) is not None
    assert keys.find(None, "PS256") is None


@pytest.mark.requirement("R-3", "refuses")
def test_secrets_beside_key_pairs_are_refused_where_keys_are_built_by_hand() -> None:
    with pytest.raises(ConfigurationError, match="never both"):
        VerificationKeys([KEYS["HS256"].verification, KEYS["ES256"].verification])
    mine = VerificationKey("k", frozenset({"HS256"}), lambda message, signature: False)
    assert mine.is_symmetric


@pytest.mark.parametrize("algorithm", PAIRS)
def test_a_published_set_has_public_members_alone_and_verifies(algorithm: Algorithm) -> None:
    keys = SigningKeys(KEYS[algorithm]).with_next(SigningKey.generate("ES256")).promoted()
    published = keys.jwks()

    assert [entry["kid"] for entry in published["keys"]] == [keys.current.kid, KEYS[algorithm].kid]
    assert not any(PRIVATE & entry.keys() or "status" in entry for entry in published["keys"])
    there = VerificationKeys.from_jwks(json.loads(json.dumps(published))).find(KEYS[algorithm].kid, algorithm)
    assert there is not None
    assert there.verify(b"message", KEYS[algorithm].sign(b"message"))


@pytest.mark.requirement("R-25", "holds")
def test_secrets_are_never_published_and_previous_ones_still_verify() -> None:
    old, new = "w5Bq0XoM3yTn8Zr1vLk6JhGdFsApQeUi", b"9iUeQpAsFdGhJk6LvL1rZ8nTy3MoX0qB"
    keys = SigningKeys.from_secret(new, previous=[old])

    assert keys.jwks() == {"keys": []}
    assert keys.verification_keys.find(SigningKeys.from_secret(old).current.kid, "HS256") is not None
    assert keys.current.kid == SigningKeys.from_secret(new).current.kid, "every worker finds the same kid"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda v: st.dictionaries(st.text(max_size=4), v)))
def test_whatever_a_set_holds_it_is_usable_or_a_configuration_error(entry: Any) -> None:
    for hybrid in (entry, public("ES256") | (entry if isinstance(entry, dict) else {"x": entry})):
        keys = VerificationKeys.from_jwks({"keys": [hybrid, public("RS256")]})
        assert keys.find(KEYS["RS256"].kid, "RS256") is not None
