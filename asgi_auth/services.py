"""The features wired together, opened and closed as one.

Nothing here decides; each promise is kept by the feature that makes it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol, Self

from .access_tokens import AccessTokens
from .accounts import Accounts, AccountStore
from .api_keys import APIKeys, APIKeyStore
from .authorization import Roles
from .clock import SYSTEM_CLOCK, Clock
from .emails import canonical_email
from .errors import ConfigurationError, StoreUnavailable
from .issuer import check_issuer
from .jwt import JWTIssuer, JWTVerifier
from .keys import SigningKeys
from .lockout import Lockout, LockoutGuard, LockoutStore
from .maintenance import Maintenance
from .one_time import OneTimeStore, OneTimeTokens
from .passwords import PasswordHasher, PasswordPolicy
from .present_accounts import PresentAccounts
from .refresh_tokens import RefreshTokens, RefreshTokenStore
from .revocations import Revocations, RevocationStore
from .sessions import Sessions, SessionStore
from .unknown_tokens import UnknownTokens

__all__ = ["AuthServices", "Stores"]

_FIRST_USE_DEADLINE = 1.5
"""Seconds that a request waits for services that nobody has opened before."""


class Stores(Protocol):
    """One store for each feature, opened and closed together: ``SQLiteStores``, ``MemoryStores``, or your own."""

    @property
    def accounts(self) -> AccountStore:
        """Accounts."""
        ...

    @property
    def refresh_tokens(self) -> RefreshTokenStore:
        """Refresh families."""
        ...

    @property
    def sessions(self) -> SessionStore:
        """Sessions of browsers."""
        ...

    @property
    def api_keys(self) -> APIKeyStore:
        """API keys."""
        ...

    @property
    def one_time(self) -> OneTimeStore:
        """One-time values."""
        ...

    @property
    def lockout(self) -> LockoutStore:
        """Attempts that are counted, and known devices."""
        ...

    @property
    def revocations(self) -> RevocationStore:
        """The feed of revocations."""
        ...

    async def open(self) -> None:
        """Connect, and bring tables up to date. Idempotent; leaves nothing open where it raises."""
        ...

    async def close(self) -> None:
        """Complete what was begun and disconnect. Idempotent; may be opened again."""
        ...


class AuthServices:
    """Everything behind the middlewares and the routes, for handlers, jobs and commands alike.

    ``issuer`` is an https URL, or http on a loopback address for development; ``audience`` is the issuer where it is
    None. ``client_id`` is the client of the tokens that a login gives. Lifetimes, ``reuse_leeway`` and
    ``max_staleness`` are in seconds; see ``AccessTokens``, ``RefreshTokens``, ``Sessions``, ``Revocations``. ``email``
    gives the canonical form of an address, or raises ValueError. ``lockout`` limits guesses; None means ``Lockout()``.
    API keys begin with ``api_key_prefix``.

    ``async with`` it, or ``open`` and ``close`` it, or hand ``lifespan`` to the framework. Openings are counted: the
    stores close with the last. While it is open, what has expired is deleted every few minutes, in small batches.

    Whatever is put together wrongly is a ConfigurationError, here and not at the first request.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        issuer: str,
        signing_keys: SigningKeys,
        audience: str | None = None,
        client_id: str = "first-party",
        roles: Roles | None = None,
        default_roles: Iterable[str] = (),
        access_token_lifetime: float = 900,
        refresh_token_lifetime: float = 30 * 86400,
        refresh_family_lifetime: float = 180 * 86400,
        families_per_subject: int = 50,
        reuse_leeway: float = 0,
        passwords: PasswordHasher | None = None,
        password_policy: PasswordPolicy | None = None,
        lockout: Lockout | None = None,
        email: Callable[[str], str] = canonical_email,
        session_idle_timeout: float = 1800,
        session_lifetime: float = 12 * 3600,
        api_key_prefix: str = "ak",
        max_staleness: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_issuer(issuer)
        if not client_id or audience == "":
            raise ConfigurationError("client_id and audience are texts of at least one character")
        self.issuer = issuer
        self.audience = issuer if audience is None else audience
        self.client_id = client_id
        self.signing_keys = signing_keys
        self.roles = Roles({}) if roles is None else roles
        self.clock = clock
        self.refresh_token_lifetime = refresh_token_lifetime
        self.revocations = Revocations(stores.revocations, max_staleness=max_staleness, clock=clock)
        self.access_tokens = AccessTokens(
            JWTIssuer(issuer, signing_keys),
            JWTVerifier(issuer, self.audience),
            signing_keys.verification_keys,
            self.revocations,
            lifetime=access_token_lifetime,
            clock=clock,
        )
        self.unknown_tokens = UnknownTokens((lockout or Lockout()).unknown_tokens, clock=clock)
        self.lockout = LockoutGuard(stores.lockout, lockout, email=email, clock=clock)
        self.accounts = Accounts(
            stores.accounts,
            passwords=PasswordHasher() if passwords is None else passwords,
            password_policy=PasswordPolicy() if password_policy is None else password_policy,
            revocations=self.revocations,
            roles=self.roles,
            credential_lifetime=self.access_tokens.revocation_lifetime,
            credentials=(stores.refresh_tokens, stores.sessions),
            default_roles=default_roles,
            email=email,
            lockout=self.lockout,
            clock=clock,
        )
        self.refresh_tokens = RefreshTokens(
            stores.refresh_tokens,
            self.accounts,
            self.access_tokens,
            self.revocations,
            roles=self.roles,
            lifetime=refresh_token_lifetime,
            family_lifetime=refresh_family_lifetime,
            families_per_subject=families_per_subject,
            reuse_leeway=reuse_leeway,
            clock=clock,
        )
        self.present_accounts = PresentAccounts(stores.accounts, self.revocations, clock=clock)
        self.api_keys = APIKeys(
            stores.api_keys,
            self.present_accounts,
            self.revocations,
            roles=self.roles,
            realm=issuer,
            prefix=api_key_prefix,
            clock=clock,
        )
        self.one_time = OneTimeTokens(stores.one_time, clock=clock)
        self.sessions = Sessions(
            stores.sessions,
            self.present_accounts,
            self.revocations,
            issuer=issuer,
            roles=self.roles,
            idle_timeout=session_idle_timeout,
            lifetime=session_lifetime,
            credential_lifetime=self.access_tokens.revocation_lifetime,
            clock=clock,
        )
        self._stores = stores
        self._maintenance = Maintenance(
            (
                stores.refresh_tokens,
                stores.sessions,
                stores.api_keys,
                stores.one_time,
                stores.lockout,
                stores.revocations,
            ),
            clock=clock,
        )
        self._opened: AsyncExitStack | None = None
        self._openings = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the stores, follow the revocations, start the hashing thread; or count one more who has.

        Raises what the stores raise, StoreUnavailable or ConfigurationError, and leaves nothing open then.
        """
        async with self._turn():
            await self._open()
            self._openings += 1

    async def ensure_open(self) -> None:
        """Open, unless somebody has: of concurrent callers one does. The next ``close`` closes.

        Raises as ``open`` does, and StoreUnavailable where it takes longer than a request may wait.
        """
        if self._opened is not None:
            return
        try:
            async with asyncio.timeout(_FIRST_USE_DEADLINE), self._turn():
                await self._open()
        except TimeoutError:
            raise StoreUnavailable from None

    async def close(self) -> None:
        """Take one opening back; the last one closes, after what was begun is complete. Never opened: nothing."""
        async with self._turn():
            self._openings = max(0, self._openings - 1)
            if self._openings == 0 and self._opened is not None:
                opened, self._opened = self._opened, None
                await opened.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def lifespan(self, app: object) -> AbstractAsyncContextManager[None]:
        """The services' life as a lifespan for ``app``: ``Starlette(lifespan=auth.lifespan)``."""
        return self._lifespan()

    async def purge(self) -> int:
        """Delete what has expired, in small batches with pauses; how many rows. Raises StoreUnavailable."""
        return await self._maintenance.purge()

    def _turn(self) -> asyncio.Lock:
        # asyncio's locks belong to one event loop; a test client may bring a new loop for each request.
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    async def _open(self) -> None:
        if self._opened is not None:
            return
        async with AsyncExitStack() as opening:
            await self._stores.open()
            opening.push_async_callback(self._stores.close)
            for feature in (self.revocations, self.accounts, self._maintenance):
                opening.push_async_callback(feature.close)
                await feature.open()
            opening.push_async_callback(self.refresh_tokens.close)
            opening.push_async_callback(self.api_keys.close)
            opening.push_async_callback(self.sessions.close)
            self._opened = opening.pop_all()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with self:
            yield
