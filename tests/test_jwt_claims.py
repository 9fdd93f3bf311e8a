"""What the claims of a token must be: parties, times, types, and what becomes of them."""

import math
from typing import Any

import pytest
from forge import AUDIENCE, CLAIMS, ISSUER, KEYS, NOW, header_of, refusal, signed, verify, with_claims, with_header

from asgi_auth.errors import ConfigurationError, Reason
from asgi_auth.jwt import JWTVerifier, Profile

EXP, IAT = CLAIMS["exp"], CLAIMS["iat"]
ID_TOKEN: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": AUDIENCE,
    "exp": EXP,
    "iat": IAT,
    "nonce": "n",
    "client_id": "first-party",
    "jti": "1",
}


FOREIGN_ISSUERS = [
    *(..., None, "", 1, True, [], [ISSUER], {"iss": ISSUER}),
    *(f"{ISSUER}/", ISSUER[:-1], f"{ISSUER}.evil", ISSUER.upper(), f" {ISSUER}", f"{ISSUER}\n"),
]
FOREIGN_AUDIENCES = [
    *(..., None, "", 1, True, [], {}, f"{AUDIENCE}/", AUDIENCE.upper(), f"{AUDIENCE} other"),
    *(["https://other.example"], [AUDIENCE, 1], [[AUDIENCE]], {AUDIENCE: 1}, "https://other.example"),
]
NO_INSTANTS: list[Any] = [None, True, False, "1800000900", [], {}, -1, 1e300, 253_402_300_800, 10**19]
OTHER_TYPES: list[Any] = [None, "", "JWT", "jwt", "logout+jwt", "at+jwt2", "at", "text/at+jwt", 1, ["at+jwt"], {}]
WORDS = [("", set()), (" a  b ", {"a", "b"}), (["a b"], {"a b"}), ([], set()), (..., set()), ("a\tb", {"a\tb"})]


@pytest.mark.requirement("R-11", "holds")
@pytest.mark.requirement("R-12", "holds")
@pytest.mark.requirement("R-14", "holds")
def test_the_claims_become_a_typed_value_without_claims_in_its_repr() -> None:
    token = verify(with_claims(nbf=IAT))

    assert (token.subject, token.issuer, token.client_id, token.jti) == ("ada", ISSUER, "first-party", CLAIMS["jti"])
    assert (token.scopes, token.roles) == (frozenset({"read:articles", "write:articles"}), frozenset({"user"}))
    assert (token.auth_time, token.issued_at, token.not_before, token.expires_at) == (1_799_999_990, IAT, IAT, EXP)
    assert token.claims["scope"] == CLAIMS["scope"]
    assert "read:articles" not in repr(token)
    assert not hasattr(token.claims, "__setitem__")


@pytest.mark.requirement("R-11", "refuses")
@pytest.mark.parametrize("iss", FOREIGN_ISSUERS, ids=str)
def test_the_issuer_is_the_same_text_and_nothing_like_it(iss: object) -> None:
    assert refusal(with_claims(iss=iss)) is Reason.TOKEN_ISSUER_WRONG


@pytest.mark.requirement("R-12", "refuses")
@pytest.mark.parametrize("aud", FOREIGN_AUDIENCES, ids=str)
def test_a_token_for_somebody_else_is_refused(aud: object) -> None:
    assert refusal(with_claims(aud=aud)) is Reason.TOKEN_AUDIENCE_WRONG


@pytest.mark.requirement("R-12", "holds")
def test_a_list_of_audiences_that_names_us_is_for_us() -> None:
    assert verify(with_claims(aud=["https://other.example", AUDIENCE])).subject == "ada"


@pytest.mark.requirement("R-12", "refuses")
@pytest.mark.parametrize(("issuer", "audience"), [("", AUDIENCE), (ISSUER, "")])
def test_a_verifier_for_anybody_cannot_be_made(issuer: str, audience: str) -> None:
    with pytest.raises(ConfigurationError, match="for nobody"):
        JWTVerifier(issuer, audience)


@pytest.mark.requirement("R-14", "refuses")
@pytest.mark.parametrize("sub", [..., None, "", 1, True, ["ada"], {}, "a" * 256], ids=str)
def test_a_subject_is_a_text_of_1_to_255_characters(sub: object) -> None:
    assert refusal(with_claims(sub=sub)) is Reason.TOKEN_CLAIMS_INVALID
    assert refusal(with_claims(sub="a" * 255)) is None


@pytest.mark.requirement("R-10", "holds")
@pytest.mark.requirement("R-10", "refuses")
@pytest.mark.parametrize("leeway", [0.0, 5.0, 60.0])
def test_expiry_is_exact_to_the_instant_at_every_leeway(leeway: float) -> None:
    verifier = JWTVerifier(ISSUER, AUDIENCE, expiry_leeway=leeway)
    last = math.nextafter(EXP + leeway, 0)

    assert refusal(with_claims(), now=last, verifier=verifier) is None
    assert refusal(with_claims(), now=EXP + leeway, verifier=verifier) is Reason.TOKEN_EXPIRED


@pytest.mark.requirement("R-10", "holds")
@pytest.mark.requirement("R-10", "refuses")
@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("leeway", [0.0, 5.0, 60.0])
def test_the_start_is_exact_to_the_instant_at_every_leeway(claim: str, leeway: float) -> None:
    verifier = JWTVerifier(ISSUER, AUDIENCE, leeway=leeway)
    token = with_claims(**{"iat": IAT - 100, claim: IAT + 10})

    assert refusal(token, now=IAT + 10 - leeway, verifier=verifier) is None
    early = math.nextafter(IAT + 10 - leeway, 0)
    assert refusal(token, now=early, verifier=verifier) is Reason.TOKEN_NOT_YET_VALID


@pytest.mark.requirement("R-10", "refuses")
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize("value", NO_INSTANTS, ids=str)
def test_an_instant_is_a_number_before_the_year_10000(claim: str, value: object) -> None:
    assert refusal(with_claims(**{claim: value})) is Reason.TOKEN_CLAIMS_INVALID


@pytest.mark.requirement("R-10", "refuses")
@pytest.mark.parametrize("claim", ["exp", "iat", "jti", "client_id"])
def test_what_rfc_9068_requires_must_be_there(claim: str) -> None:
    assert refusal(with_claims(**{claim: ...})) is Reason.TOKEN_CLAIMS_INVALID


def test_fractions_of_a_second_count() -> None:
    assert refusal(with_claims(exp=NOW + 0.5), now=NOW + 0.4) is None
    assert refusal(with_claims(exp=NOW + 0.5), now=NOW + 0.5) is Reason.TOKEN_EXPIRED


@pytest.mark.requirement("R-10", "refuses")
def test_a_token_that_lives_longer_than_allowed_is_refused() -> None:
    short, exact = (JWTVerifier(ISSUER, AUDIENCE, max_lifetime=limit) for limit in (899, 900))
    undated = Profile(required=frozenset())

    assert refusal(with_claims(), verifier=exact) is None
    assert refusal(with_claims(), verifier=short) is Reason.TOKEN_CLAIMS_INVALID
    no_iat = JWTVerifier(ISSUER, AUDIENCE, max_lifetime=900, profile=undated)
    assert refusal(with_claims(iat=...), verifier=no_iat) is Reason.TOKEN_CLAIMS_INVALID


@pytest.mark.parametrize("leeways", [{"leeway": -1}, {"leeway": 61}, {"expiry_leeway": -0.1}, {"expiry_leeway": 60.1}])
def test_leeways_beyond_a_minute_are_a_mistake(leeways: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="0 to 60"):
        JWTVerifier(ISSUER, AUDIENCE, leeway=leeways.get("leeway", 0), expiry_leeway=leeways.get("expiry_leeway", 0))


def test_only_expiry_is_forgiven_to_a_logout() -> None:
    assert verify(with_claims(), now=EXP + 99, expired_for=100).subject == "ada"
    assert refusal(with_claims(), now=EXP + 99) is Reason.TOKEN_EXPIRED


@pytest.mark.requirement("R-13", "holds")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_an_access_token_says_so_in_its_header(typ: str) -> None:
    assert refusal(with_header(typ=typ)) is None


@pytest.mark.requirement("R-13", "refuses")
@pytest.mark.parametrize("typ", OTHER_TYPES, ids=str)
def test_every_other_type_is_no_access_token(typ: object) -> None:
    assert refusal(with_header(typ=typ)) is Reason.TOKEN_TYPE_WRONG
    key = KEYS["ES256"].current
    assert refusal(signed(key, {"alg": "ES256", "kid": key.kid}, CLAIMS)) is Reason.TOKEN_TYPE_WRONG


@pytest.mark.requirement("R-13", "holds")
@pytest.mark.requirement("R-13", "refuses")
def test_a_foreign_profile_has_a_discriminator_that_id_tokens_fail() -> None:
    profile = Profile(
        types=frozenset({"jwt", ""}),
        discriminator=("token_use", "access"),
        scopes="scp",
        client_id="azp",
        roles="groups",
        required=frozenset(),
    )
    verifier = JWTVerifier(ISSUER, AUDIENCE, profile=profile)
    key = KEYS["ES256"].current
    header = header_of(key, typ="JWT")
    access = ID_TOKEN | {"token_use": "access", "scp": ["a", "b"], "azp": "web", "groups": ["staff"]}

    token = verify(signed(key, header, access), verifier=verifier)
    assert (token.scopes, token.roles) == (frozenset({"a", "b"}), frozenset({"staff"}))
    assert token.client_id == "web"
    for id_token in (ID_TOKEN, ID_TOKEN | {"token_use": "id"}, ID_TOKEN | {"token_use": ["access"]}):
        assert refusal(signed(key, header, id_token), verifier=verifier) is Reason.TOKEN_TYPE_WRONG


@pytest.mark.requirement("R-13", "refuses")
def test_a_discriminator_without_a_value_asks_for_the_claim_alone() -> None:
    verifier = JWTVerifier(ISSUER, AUDIENCE, profile=Profile(discriminator=("cid", None)))

    assert refusal(with_claims(cid="web"), verifier=verifier) is None
    for missing in (..., None, ""):
        assert refusal(with_claims(cid=missing), verifier=verifier) is Reason.TOKEN_TYPE_WRONG


@pytest.mark.requirement("R-13", "refuses")
def test_a_profile_that_cannot_tell_access_tokens_from_id_tokens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="discriminator"):
        Profile(types=frozenset({"jwt"}))
    with pytest.raises(ConfigurationError, match="discriminator"):
        Profile(types=frozenset({"jwt", "at+jwt"}))
    with pytest.raises(ConfigurationError, match="at least one typ"):
        Profile(types=frozenset())


@pytest.mark.parametrize("claim", ["jti", "sid", "client_id"])
@pytest.mark.parametrize("value", ["", 1, True, ["x"], {}, "x" * 256], ids=str)
def test_an_id_is_a_text_of_1_to_255_characters(claim: str, value: object) -> None:
    assert refusal(with_claims(**{claim: value})) is Reason.TOKEN_CLAIMS_INVALID


@pytest.mark.parametrize("value", [-1, 1.0, True, "3", [], {}], ids=str)
def test_an_epoch_is_a_whole_number(value: object) -> None:
    assert refusal(with_claims(epoch=value)) is Reason.TOKEN_CLAIMS_INVALID
    assert verify(with_claims(epoch=...)).epoch is None


@pytest.mark.parametrize("claim", ["scope", "roles"])
@pytest.mark.parametrize("value", [1, True, {}, [1], ["a", None], [["a"]]], ids=str)
def test_scopes_and_roles_are_texts(claim: str, value: object) -> None:
    assert refusal(with_claims(**{claim: value})) is Reason.TOKEN_CLAIMS_INVALID


@pytest.mark.parametrize(("value", "words"), WORDS)
def test_words_stand_between_spaces_and_nothing_else(value: object, words: set[str]) -> None:
    assert verify(with_claims(scope=value)).scopes == words


@pytest.mark.requirement("R-16", "refuses")
@pytest.mark.parametrize("claim", ["iat", "jti", "client_id"])
def test_a_required_claim_that_is_null_is_missing(claim: str) -> None:
    """A token without a jti could not be revoked."""
    assert refusal(with_claims(**{claim: None})) is Reason.TOKEN_CLAIMS_INVALID
