"""What a refusal says, and to whom."""

import pytest
from starlette.exceptions import HTTPException

from asgi_auth import errors
from asgi_auth.errors import (
    AuthError,
    Busy,
    ConfigurationError,
    Conflict,
    Denied,
    FieldError,
    Forbidden,
    GrantError,
    InsufficientScope,
    Invalid,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    Reason,
    Refusal,
    Stale,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    Unavailable,
    WrongMediaType,
)

REFUSALS = [
    (StoreUnavailable(), 503, "unavailable"),
    (Stale(), 503, "unavailable"),
    (Busy(), 503, "unavailable"),
    (InvalidRequest(Reason.BODY_MALFORMED), 400, "invalid_request"),
    (NotAuthenticated(), 401, "not_authenticated"),
    (InvalidToken(Reason.TOKEN_MALFORMED), 401, "invalid_token"),
    (InvalidCredentials(Reason.PASSWORD_WRONG), 401, "invalid_credentials"),
    (InsufficientScope(["a"]), 403, "insufficient_scope"),
    (Forbidden(Reason.ROLE_MISSING), 403, "forbidden"),
    (NotFound(), 404, "not_found"),
    (MethodNotAllowed(["GET"]), 405, "method_not_allowed"),
    (Conflict(Reason.EMAIL_TAKEN), 409, "conflict"),
    (TooLarge(), 413, "too_large"),
    (WrongMediaType(), 415, "wrong_media_type"),
    (Invalid([FieldError("email", "invalid")]), 422, "invalid"),
    (TooManyRequests(retry_after=1), 429, "too_many_requests"),
]


@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS, ids=lambda value: type(value).__name__)
def test_a_refusal_has_a_status_a_code_and_is_an_http_exception(refusal: Refusal, status: int, code: str) -> None:
    assert isinstance(refusal, HTTPException)
    assert isinstance(refusal, AuthError)
    assert isinstance(refusal, Denied if status < 500 else Unavailable)
    assert (refusal.status_code, refusal.code) == (status, code)
    assert refusal.detail.endswith(".")


@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS, ids=lambda value: type(value).__name__)
def test_the_reason_is_in_the_repr_alone(refusal: Refusal, status: int, code: str) -> None:
    assert repr(refusal) == f"{type(refusal).__name__}({refusal.reason.value!r})"
    assert refusal.reason.value not in refusal.detail


def test_every_refusal_has_a_row_above() -> None:
    leaves = {
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, Refusal) and not error.__subclasses__()
    }

    assert leaves == {type(refusal) for refusal, _, _ in REFUSALS}


@pytest.mark.requirement("R-99", "holds")
def test_only_expiry_is_told_to_a_client() -> None:
    details = {InvalidToken(reason).detail for reason in Reason}

    assert details == {"The token is not valid.", "The token has expired."}
    assert InvalidToken(Reason.TOKEN_EXPIRED).detail == "The token has expired."


@pytest.mark.parametrize(("seconds", "header"), [(0, "1"), (0.2, "1"), (1, "1"), (1.5, "2"), (30, "30")])
def test_retry_after_is_in_whole_seconds_and_never_nothing(seconds: float, header: str) -> None:
    for refusal in (TooManyRequests(retry_after=seconds), Busy(retry_after=seconds), Stale(retry_after=seconds)):
        assert refusal.headers == {"Retry-After": header}
        assert refusal.retry_after == seconds


def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    assert MethodNotAllowed(["POST", "GET"]).headers == {"Allow": "GET, POST"}


def test_a_grant_error_carries_the_code_of_the_rfc() -> None:
    assert GrantError("invalid_grant").error == "invalid_grant"
    assert not isinstance(GrantError("invalid_grant"), HTTPException)
    assert not isinstance(ConfigurationError("x"), HTTPException)
