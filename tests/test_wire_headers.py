import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import InvalidRequest, Reason
from asgi_auth.wire.headers import AUTHORIZATION_LIMIT, authorization, bearer_token, is_preflight


@pytest.mark.requirement("R-98", "holds")
@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
@pytest.mark.parametrize("token", [b"a", b"abc.def-_~+/==", b"0"])
def test_a_bearer_credential_is_read_in_any_letter_case(scheme: bytes, token: bytes) -> None:
    assert bearer_token(scheme + b" " + token) == token
    assert bearer_token(scheme + b"   " + token) == token


@pytest.mark.requirement("R-98", "holds")
@pytest.mark.parametrize(
    "value",
    [b"Basic dTpw", b"Basic", b"Digest a=b, c=d", b"Bearer2 abc", b"XBearer abc", b"Negotiate \xff", b"abc.def"],
)
def test_another_scheme_is_not_ours(value: bytes) -> None:
    assert bearer_token(value) is None


@pytest.mark.requirement("R-98", "refuses")
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Bearer a b",
        b"Bearer a,b",
        b"Bearer a, Bearer b",
        b"Bearer,a",
        b"Bearer=a",
        b"Bearer\ta",
        b"Bearer \ta",
        b"Bearer a\x00",
        b"Bearer a\n",
        b"Bearer a\r\nX: y",
        b"Bearer \xc3\xa4",
        b"Bearer =a",
        b"Bearer a=b",
        b'Bearer "a"',
        b" Bearer a",
        b"\xffBearer a",
        b",",
    ],
)
def test_a_bearer_value_that_is_not_one_token68_is_malformed(value: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bearer_token(value)

    assert caught.value.reason is Reason.AUTHORIZATION_MALFORMED


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=64).map(lambda tail: b"Bearer " + tail)))
def test_whatever_the_bytes_the_value_is_a_token_another_scheme_or_malformed(value: bytes) -> None:
    token = None
    with contextlib.suppress(InvalidRequest):
        token = bearer_token(value)

    if token is not None:
        assert token.isascii()
        assert value.endswith(b" " + token)


@pytest.mark.requirement("R-98", "refuses")
def test_two_authorization_lines_are_refused_whatever_their_schemes() -> None:
    for second in (b"Basic a", b"Bearer a", b""):
        with pytest.raises(InvalidRequest) as caught:
            authorization([(b"authorization", b"Bearer a"), (b"x", b"y"), (b"authorization", second)])
        assert caught.value.reason is Reason.AUTHORIZATION_REPEATED


@pytest.mark.requirement("R-100", "holds")
def test_an_authorization_of_eight_kibibytes_is_read() -> None:
    value = b"Bearer " + b"a" * (AUTHORIZATION_LIMIT - 7)

    assert authorization([(b"host", b"h"), (b"authorization", value)]) is value


@pytest.mark.requirement("R-100", "refuses")
def test_one_byte_more_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        authorization([(b"authorization", b"a" * (AUTHORIZATION_LIMIT + 1))])

    assert caught.value.reason is Reason.AUTHORIZATION_TOO_LARGE


def test_no_line_is_no_value() -> None:
    assert authorization([(b"host", b"h")]) is None


@pytest.mark.requirement("R-97", "holds")
def test_a_preflight_names_an_origin_and_a_method_to_come() -> None:
    assert is_preflight([(b"origin", b"https://a"), (b"access-control-request-method", b"PUT")])


@pytest.mark.requirement("R-97", "refuses")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"https://a")],
        [(b"access-control-request-method", b"PUT")],
        [(b"origin", b""), (b"access-control-request-method", b"PUT")],
        [(b"origin", b"https://a"), (b"access-control-request-method", b"")],
        [(b"origin", b"https://a"), (b"x-access-control-request-method", b"PUT")],
    ],
)
def test_anything_less_is_no_preflight(headers: list[tuple[bytes, bytes]]) -> None:
    assert not is_preflight(headers)
