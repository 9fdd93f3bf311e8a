import pytest
from harness import REALM, USER

from asgi_auth.errors import (
    ConfigurationError,
    Forbidden,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    NotAuthenticated,
    Reason,
    StoreUnavailable,
)
from asgi_auth.principal import Anonymous, Principal
from asgi_auth.wire.challenges import api_key, bearer, for_denial, for_presented, joined, session

BARE = f'Bearer realm="{REALM}"'


@pytest.mark.requirement("R-99", "holds")
def test_without_a_credential_the_challenge_has_no_error_code() -> None:
    """RFC 6750 §3.1."""
    assert bearer(REALM) == BARE
    assert session(REALM) == f'Session realm="{REALM}"'
    assert api_key(REALM) == f'ApiKey realm="{REALM}"'


def test_the_challenge_of_a_layer_joins_those_of_the_layers_before_it_once() -> None:
    own = Anonymous((api_key(REALM),))

    assert joined(None, own) is joined(object(), own) is joined(Anonymous(), own) is own
    both = joined(Anonymous((BARE,)), own)
    assert both == Anonymous((BARE, *own.challenges))
    assert joined(both, own) is both
    assert joined(USER, own) is USER


def test_the_realm_is_a_quoted_string() -> None:
    assert bearer('a"b\\c') == 'Bearer realm="a\\"b\\\\c"'


@pytest.mark.requirement("R-99", "refuses")
@pytest.mark.parametrize("realm", ["", "a\r\nSet-Cookie: x", "a\x00", "ü"])
def test_a_realm_that_would_break_the_header_is_refused(realm: str) -> None:
    with pytest.raises(ConfigurationError):
        bearer(realm)


def test_characters_that_the_rfc_forbids_are_left_out() -> None:
    found = bearer(REALM, error="e", description='say "no"\r\n', scopes=["b", "a", "x y", 'q"', "c\r\n"])

    assert found == f'{BARE}, error="e", scope="a b"'


@pytest.mark.requirement("R-99", "holds")
@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (
            InvalidToken(Reason.TOKEN_SIGNATURE_INVALID),
            (f'{BARE}, error="invalid_token", error_description="The token is not valid."',),
        ),
        (
            InvalidToken(Reason.TOKEN_EXPIRED),
            (f'{BARE}, error="invalid_token", error_description="The token has expired."',),
        ),
        (
            InvalidRequest(Reason.AUTHORIZATION_MALFORMED),
            (f'{BARE}, error="invalid_request", error_description="The request is malformed."',),
        ),
        (NotAuthenticated(), (BARE,)),
        (StoreUnavailable(), ()),
    ],
)
def test_a_refused_credential_is_challenged_with_its_error_code(
    refusal: InvalidToken | InvalidRequest | NotAuthenticated | StoreUnavailable, expected: tuple[str, ...]
) -> None:
    assert for_presented(refusal, REALM) == expected


def test_an_anonymous_caller_gets_the_challenges_of_every_layer() -> None:
    assert for_denial(NotAuthenticated(), Anonymous(("A", "B")), REALM) == ("A", "B")


def test_without_layers_a_401_is_challenged_for_bearer() -> None:
    assert for_denial(NotAuthenticated(), Anonymous(), REALM) == (BARE,)
    assert for_denial(NotAuthenticated(), None, None) == ('Bearer realm="asgi_auth"',)
    assert for_denial(NotAuthenticated(), USER, REALM) == (BARE,)


def test_a_token_refused_later_keeps_its_error_code() -> None:
    assert 'error="invalid_token"' in for_denial(InvalidToken(Reason.TOKEN_REVOKED), USER, REALM)[0]


def test_missing_scopes_are_named_to_a_bearer_and_to_nobody_else() -> None:
    refusal = InsufficientScope({"b", "a"})

    assert for_denial(refusal, USER, REALM) == (
        f'{BARE}, error="insufficient_scope", '
        'error_description="The credential does not have the scopes this needs.", scope="a b"',
    )
    assert for_denial(refusal, Principal(subject="u", scheme="session"), REALM) == ()


def test_a_missing_role_is_not_challenged() -> None:
    assert for_denial(Forbidden(Reason.ROLE_MISSING), USER, REALM) == ()
