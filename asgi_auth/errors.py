"""Everything this package raises.

::

    AuthError
    ├── ConfigurationError           a constructor, or a guard that no layer of ours stands before
    ├── SessionClosed                (also a RuntimeError) a change of a session that would be lost
    ├── Refusal                      (also a starlette HTTPException)
    │   ├── Unavailable         503  fail closed, with Retry-After
    │   │   ├── StoreUnavailable     a store did not answer in time, or not at all
    │   │   ├── Stale                the revocation feed is older than max_staleness
    │   │   └── Busy                 the password hashing queue is full
    │   └── Denied
    │       ├── InvalidRequest      400  invalid_request
    │       ├── NotAuthenticated    401  no credential came
    │       ├── InvalidToken        401  invalid_token
    │       ├── InvalidCredentials  401  invalid_credentials
    │       ├── InsufficientScope   403  insufficient_scope
    │       ├── Forbidden           403  forbidden
    │       ├── NotFound            404  not_found (our own routes)
    │       ├── MethodNotAllowed    405  method_not_allowed (our own routes)
    │       ├── Conflict            409  conflict
    │       ├── TooLarge            413  too_large
    │       ├── WrongMediaType      415  wrong_media_type
    │       ├── Invalid             422  invalid, lists the fields
    │       └── TooManyRequests     429  too_many_requests, with Retry-After
    └── GrantError                   RFC 6749 §5.2, for the token endpoint

A refusal speaks to three audiences in three fields: ``code`` (public, stable), ``detail`` (public,
safe) and ``reason`` (for logs, metrics and audit; never sent). None of them, and no ``repr``, holds
anything that a client sent. Features raise refusals bare; only the edges add challenges.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from starlette.exceptions import HTTPException

__all__ = [
    "AuthError",
    "Busy",
    "ConfigurationError",
    "Conflict",
    "Denied",
    "FieldError",
    "Forbidden",
    "GrantError",
    "GrantErrorCode",
    "InsufficientScope",
    "Invalid",
    "InvalidCredentials",
    "InvalidRequest",
    "InvalidToken",
    "MethodNotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Reason",
    "Refusal",
    "SessionClosed",
    "Stale",
    "StoreUnavailable",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
    "WrongMediaType",
]


class Reason(StrEnum):
    """Why a request was refused: for logs, metrics and audit, never for the client."""

    # the request
    NO_CREDENTIAL = "no_credential"
    AUTHORIZATION_MALFORMED = "authorization_malformed"
    AUTHORIZATION_REPEATED = "authorization_repeated"
    AUTHORIZATION_TOO_LARGE = "authorization_too_large"
    PATH_AMBIGUOUS = "path_ambiguous"
    BODY_MALFORMED = "body_malformed"
    BODY_TOO_LARGE = "body_too_large"
    MEDIA_TYPE = "media_type"
    FIELDS_INVALID = "fields_invalid"
    PATH_UNKNOWN = "path_unknown"
    METHOD_UNKNOWN = "method_unknown"
    # JSON web tokens
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_TOO_LARGE = "token_too_large"
    TOKEN_HEADER_REFUSED = "token_header_refused"
    TOKEN_ALGORITHM_REFUSED = "token_algorithm_refused"
    TOKEN_KEY_UNKNOWN = "token_key_unknown"
    TOKEN_SIGNATURE_INVALID = "token_signature_invalid"
    TOKEN_TYPE_WRONG = "token_type_wrong"
    TOKEN_CLAIMS_INVALID = "token_claims_invalid"
    TOKEN_ISSUER_WRONG = "token_issuer_wrong"
    TOKEN_AUDIENCE_WRONG = "token_audience_wrong"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_REVOKED = "token_revoked"
    # refresh tokens
    REFRESH_MALFORMED = "refresh_malformed"
    REFRESH_UNKNOWN = "refresh_unknown"
    REFRESH_EXPIRED = "refresh_expired"
    REFRESH_REUSED = "refresh_reused"
    REFRESH_SCOPE_WIDENED = "refresh_scope_widened"
    # API keys
    KEY_MALFORMED = "key_malformed"
    KEY_UNKNOWN = "key_unknown"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    KEY_REPEATED = "key_repeated"
    KEY_ROTATED = "key_rotated"
    KEY_LIMIT_REACHED = "key_limit_reached"
    # sessions
    ORIGIN_REFUSED = "origin_refused"
    CSRF_TOKEN_WRONG = "csrf_token_wrong"
    SESSION_RENEWED = "session_renewed"
    CREDENTIAL_NARROWED = "credential_narrowed"
    # accounts
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_LOCKED = "account_locked"
    ACCOUNT_CHANGED = "account_changed"
    PASSWORD_WRONG = "password_wrong"
    PASSWORD_NOT_SET = "password_not_set"
    EMAIL_TAKEN = "email_taken"
    EPOCH_OLD = "epoch_old"
    # authorization
    ROLE_MISSING = "role_missing"
    SCOPE_MISSING = "scope_missing"
    METHOD_NOT_LISTED = "method_not_listed"
    AUTHENTICATION_TOO_OLD = "authentication_too_old"
    # the services behind
    STORE_UNAVAILABLE = "store_unavailable"
    FEED_STALE = "feed_stale"
    HASHING_BUSY = "hashing_busy"
    LIMIT_REACHED = "limit_reached"


class AuthError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigurationError(AuthError):
    """The application is put together wrongly. The message names the cause and the mend.

    Raised by constructors. At request time only by ``check``, ``Require`` and the authorization
    middleware, where no layer of ours ran or something replaced ``scope["auth"]``: nothing is let
    through.
    """


class SessionClosed(AuthError, RuntimeError):
    """A session cannot be changed here: its cookie would not reach the browser. The message says why.

    The response has begun, the connection is a websocket, or the caller came with another credential.
    """


class Refusal(AuthError, HTTPException):
    """A request is not served. Frameworks that render starlette's HTTPException render this too."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "refused"
    public_detail: ClassVar[str] = "The request was refused."

    def __init__(self, reason: Reason, *, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.status, self.public_detail if detail is None else detail, headers)
        self.reason = reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason.value!r})"


class Unavailable(Refusal):
    """Something the decision depends on is down: nothing is authorised without a completed check."""

    status = 503
    code = "unavailable"
    public_detail = "The service cannot answer at the moment. Try again shortly."

    def __init__(self, reason: Reason = Reason.STORE_UNAVAILABLE, *, retry_after: float = 1) -> None:
        super().__init__(reason, headers={"Retry-After": _whole_seconds(retry_after)})
        self.retry_after = retry_after


class StoreUnavailable(Unavailable):
    """A store did not answer inside its deadline, lost its connection or answered nonsense."""


class Stale(Unavailable):
    """What this process knows of revocations is older than ``max_staleness`` and cannot be renewed."""

    def __init__(self, *, retry_after: float = 1) -> None:
        super().__init__(Reason.FEED_STALE, retry_after=retry_after)


class Busy(Unavailable):
    """The queue for password hashing is full."""

    def __init__(self, *, retry_after: float = 1) -> None:
        super().__init__(Reason.HASHING_BUSY, retry_after=retry_after)


class Denied(Refusal):
    """The client's request is at fault, or its credential does not suffice."""


class InvalidRequest(Denied):
    """The request cannot be read the one way it should be (RFC 6750 §3.1)."""

    status = 400
    code = "invalid_request"
    public_detail = "The request is malformed."


class NotAuthenticated(Denied):
    """No credential came. The challenge carries no error code (RFC 6750 §3.1)."""

    status = 401
    code = "not_authenticated"
    public_detail = "Authentication is required."

    def __init__(self, reason: Reason = Reason.NO_CREDENTIAL) -> None:
        super().__init__(reason)


class InvalidToken(Denied):
    """The presented credential is malformed, expired, revoked or meant for somebody else: one answer."""

    status = 401
    code = "invalid_token"
    public_detail = "The token is not valid."

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason, detail=_expired_detail(reason))


class InvalidCredentials(Denied):
    """E-mail and password do not open an account: unknown, wrong, locked or disabled, one answer."""

    status = 401
    code = "invalid_credentials"
    public_detail = "The credentials are not valid."


class InsufficientScope(Denied):
    """The credential is good but lacks scopes (RFC 6750 §3.1). ``scopes`` are the ones needed."""

    status = 403
    code = "insufficient_scope"
    public_detail = "The credential does not have the scopes this needs."

    def __init__(self, scopes: Iterable[str]) -> None:
        super().__init__(Reason.SCOPE_MISSING)
        self.scopes = frozenset(scopes)


class Forbidden(Denied):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"
    public_detail = "This is not allowed."


class NotFound(Denied):
    """No route of ours has this path."""

    status = 404
    code = "not_found"
    public_detail = "There is nothing here."

    def __init__(self) -> None:
        super().__init__(Reason.PATH_UNKNOWN)


class MethodNotAllowed(Denied):
    """A route of ours has this path with other methods; they are named in ``Allow``."""

    status = 405
    code = "method_not_allowed"
    public_detail = "The method is not allowed here."

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(Reason.METHOD_UNKNOWN, headers={"Allow": ", ".join(sorted(allowed))})


class Conflict(Denied):
    """What was asked for collides with what exists."""

    status = 409
    code = "conflict"
    public_detail = "This is taken already."


class TooLarge(Denied):
    """The body is larger than the route reads."""

    status = 413
    code = "too_large"
    public_detail = "The body is too large."

    def __init__(self) -> None:
        super().__init__(Reason.BODY_TOO_LARGE)


class WrongMediaType(Denied):
    """The body is not ``application/json``."""

    status = 415
    code = "wrong_media_type"
    public_detail = "The body must be application/json."

    def __init__(self) -> None:
        super().__init__(Reason.MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a body that is not acceptable: its name is one we know, its value is never repeated."""

    field: str
    code: str


class Invalid(Denied):
    """The body is JSON, but its fields are not what the route takes. Unknown fields are only counted."""

    status = 422
    code = "invalid"
    public_detail = "Some fields are missing or not acceptable."

    def __init__(self, errors: Iterable[FieldError], *, unknown_fields: int = 0) -> None:
        super().__init__(Reason.FIELDS_INVALID)
        self.errors = tuple(errors)
        self.unknown_fields = unknown_fields


class TooManyRequests(Denied):
    """A limit is reached (RFC 6585 §4). ``retry_after`` is in seconds."""

    status = 429
    code = "too_many_requests"
    public_detail = "Too many requests. Try again later."

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(Reason.LIMIT_REACHED, headers={"Retry-After": _whole_seconds(retry_after)})
        self.retry_after = retry_after


GrantErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
]


class GrantError(AuthError):
    """A token request is refused: ``error`` is the code of RFC 6749 §5.2 (``invalid_target``: RFC 8707 §2)."""

    def __init__(self, error: GrantErrorCode) -> None:
        super().__init__(error)
        self.error = error


def _whole_seconds(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))


def _expired_detail(reason: Reason) -> str | None:
    return "The token has expired." if reason is Reason.TOKEN_EXPIRED else None
