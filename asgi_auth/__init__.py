"""Authentication for any ASGI application: who is calling, with what, and may they?

::

    auth = AuthServices(
        stores=SQLiteStores("auth.db"),
        issuer="https://api.example",
        signing_keys=SigningKeys.load_or_generate("signing-keys.json"),
        roles=Roles({"user": {"read:articles"}, "admin": {"*"}}),
        default_roles={"user"},
    )
    app = AuthStack(
        api,  # any ASGI application
        auth,
        policy=Policy({"/healthz": public, "/articles/": has_scope("read:articles"), "/admin/": has_role("admin")}),
    )

Everything else needs an authenticated caller; people register and sign in under ``/auth``. A handler asks
``check(request, has_scope("write:articles"))`` and has a ``Principal``, or the client has the right 401 or 403.

A program signs in with a key of its owner, in the header ``X-API-Key``::

    made = await auth.api_keys.create(subject, "nightly import", scopes={"read:articles"}, lifetime=90 * 86400)
    print(made.value)  # shown once; what is stored is a digest
"""

from .access_tokens import AccessToken, AccessTokens
from .accounts import Account, Accounts
from .api_keys import APIKey, APIKeys, NewAPIKey
from .authorization import Policy, Requirement, Roles, all_of, any_of, authenticated, fresh, has_role, has_scope, public
from .clock import SYSTEM_CLOCK, Clock
from .emails import canonical_email
from .errors import (
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
    SessionClosed,
    Stale,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    Unavailable,
    WrongMediaType,
)
from .jwt import JWTIssuer, JWTVerifier, Profile, VerifiedToken
from .keys import SigningKey, SigningKeys, VerificationKeys
from .lockout import Limit, Lockout, LockoutGuard, Visitor
from .middleware.api_key import APIKeyMiddleware
from .middleware.authorization import AuthorizationMiddleware, Require, allows, check, get_auth
from .middleware.bearer import BearerMiddleware
from .middleware.rate_limit import RateLimitMiddleware
from .middleware.rate_limit_keys import ByAPIKey, ByRoute, BySubject
from .middleware.request_session import RequestSession
from .middleware.session import SessionMiddleware, get_session
from .one_time import OneTimeTokens
from .passwords import Argon2Profile, PasswordHasher, PasswordPolicy
from .present_accounts import PresentAccounts
from .principal import Anonymous, Auth, Principal
from .rate_limit_storage import InProcessStorage
from .refresh_tokens import RefreshTokens, Tokens
from .revocations import RevocationKind, Revocations
from .services import AuthServices, Stores
from .sessions import Session, Sessions
from .stack import AuthStack, chain, mount
from .stores import MemoryStores, SQLiteStores
from .unknown_tokens import UnknownTokens
from .wire.client_address import ClientAddress, client_address
from .wire.cookies import SessionCookie

__all__ = [
    "SYSTEM_CLOCK",
    "APIKey",
    "APIKeyMiddleware",
    "APIKeys",
    "AccessToken",
    "AccessTokens",
    "Account",
    "Accounts",
    "Anonymous",
    "Argon2Profile",
    "Auth",
    "AuthError",
    "AuthServices",
    "AuthStack",
    "AuthorizationMiddleware",
    "BearerMiddleware",
    "Busy",
    "ByAPIKey",
    "ByRoute",
    "BySubject",
    "ClientAddress",
    "Clock",
    "ConfigurationError",
    "Conflict",
    "Denied",
    "FieldError",
    "Forbidden",
    "GrantError",
    "InProcessStorage",
    "InsufficientScope",
    "Invalid",
    "InvalidCredentials",
    "InvalidRequest",
    "InvalidToken",
    "JWTIssuer",
    "JWTVerifier",
    "Limit",
    "Lockout",
    "LockoutGuard",
    "MemoryStores",
    "MethodNotAllowed",
    "NewAPIKey",
    "NotAuthenticated",
    "NotFound",
    "OneTimeTokens",
    "PasswordHasher",
    "PasswordPolicy",
    "Policy",
    "PresentAccounts",
    "Principal",
    "Profile",
    "RateLimitMiddleware",
    "Reason",
    "RefreshTokens",
    "Refusal",
    "RequestSession",
    "Require",
    "Requirement",
    "RevocationKind",
    "Revocations",
    "Roles",
    "SQLiteStores",
    "Session",
    "SessionClosed",
    "SessionCookie",
    "SessionMiddleware",
    "Sessions",
    "SigningKey",
    "SigningKeys",
    "Stale",
    "StoreUnavailable",
    "Stores",
    "Tokens",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
    "UnknownTokens",
    "VerificationKeys",
    "VerifiedToken",
    "Visitor",
    "WrongMediaType",
    "all_of",
    "allows",
    "any_of",
    "authenticated",
    "canonical_email",
    "chain",
    "check",
    "client_address",
    "fresh",
    "get_auth",
    "get_session",
    "has_role",
    "has_scope",
    "mount",
    "public",
]
