"""Lockout: how often a password may be guessed, by whom, and who is never shut out by that.

An attempt is charged before anything is verified, in one step for all that it counts under, and refunded where it
succeeds; success resets nothing. First come the limits that say nothing of an account: everybody's and the address's;
where one is reached the attempt is refused, alike for every e-mail address. Then come the account's own, in lanes: one
for strangers, one for each device that its owner has signed in from, one for callers who are signed in. Where a lane
is closed, or the pair of account and address, the stored hash is not consulted, and the answer is the one to a wrong
password after the same work, also to the right one.

Left out: captchas, and locks that stay until somebody opens them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_bytes

from .clock import SYSTEM_CLOCK, Clock
from .emails import canonical_email
from .errors import ConfigurationError, TooManyRequests
from .lockout_store import Charge, Decision, Limit, LockoutKey, LockoutStore
from .tokens import is_secret, mint_secret
from .unknown_tokens import UNKNOWN_TOKENS

__all__ = ["OPEN", "UNKNOWN", "Attempt", "Limit", "Lockout", "LockoutGuard", "LockoutStore", "Visitor"]

_MINUTE, _QUARTER, _HOUR, _DAY = 60.0, 900.0, 3600.0, 86_400.0
_MAX_DEVICES = 10
_CHARGE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who makes an attempt: the client's address, and the device that its cookie names, as far as they are known.

    ``address`` is in the form of ``client_address``. Without one the limits of addresses do not apply.
    """

    address: str | None = None
    device: str | None = None


UNKNOWN = Visitor()
"""Nothing is known of who asks: a command, a job."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that may be made: with ``is_open`` against the stored hash, else against none."""

    charge_id: bytes | None
    is_open: bool


OPEN = Attempt(None, is_open=True)
"""An attempt that nobody counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockout:
    """The limits. Each is one ``Limit`` or several, of which the strictest counts; none at all switches a count off.

    ``account``: of one lane of one account. ``pair``: of strangers from one address against one account. ``address``:
    of one address against all accounts; as it is, a minute after 5 failures, then a quarter of an hour, then an hour.
    ``everybody``: of all attempts together. ``unknown_tokens``: of one address, in one process, with API keys and
    refresh tokens that nobody has issued. An account knows at most ``devices_per_account`` devices, each for
    ``device_lifetime`` seconds after its last sign-in; more than 10 devices and impossible lifetimes are a
    ConfigurationError.
    """

    account: Sequence[Limit] = (Limit(20, _QUARTER), Limit(100, _DAY))
    pair: Sequence[Limit] = (Limit(10, _QUARTER),)
    address: Sequence[Limit] = (Limit(5, _MINUTE), Limit(10, _QUARTER), Limit(15, _HOUR))
    everybody: Sequence[Limit] = (Limit(1000, _MINUTE),)
    unknown_tokens: Limit | None = UNKNOWN_TOKENS
    devices_per_account: int = _MAX_DEVICES
    device_lifetime: float = 180 * _DAY

    def __post_init__(self) -> None:
        if not 0 <= self.devices_per_account <= _MAX_DEVICES:
            raise ConfigurationError("an account knows 0 to 10 devices: each is one more lane to guess in")
        # Browsers keep no cookie for longer than 400 days (RFC 6265bis §5.5).
        if not 0 < self.device_lifetime <= 400 * _DAY:
            raise ConfigurationError("device_lifetime is more than 0 seconds and at most 400 days")


class LockoutGuard:
    """Counts attempts in ``store``, the same in every process and after a restart.

    ``email`` gives the canonical form of an address, as in ``Accounts``: an account is counted by its address, so an
    unknown one is counted alike. All verbs raise StoreUnavailable (503) where the store does.
    """

    def __init__(
        self,
        store: LockoutStore,
        limits: Lockout | None = None,
        *,
        email: Callable[[str], str] = canonical_email,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.limits = Lockout() if limits is None else limits
        self._store = store
        self._email = email
        self._clock = clock

    async def charge(self, email: str, visitor: Visitor) -> Attempt:
        """Charge a sign-in as ``email`` before it is tried: in the lane of the visitor's device, or of strangers.

        Raises TooManyRequests where everybody's limit or the address's is reached: nothing is charged then. Concurrent
        attempts count as failures until they are refunded.
        """
        account = self._account(email)
        device = await self._known_device(account, visitor)
        if device is not None:
            return await self._charge(visitor, [_key(account, self.limits.account, "device", account, device)])
        keys = [_key(account, self.limits.account, "strangers", account)]
        if visitor.address is not None:
            keys.append(_key(account, self.limits.pair, "pair", account, visitor.address.encode()))
        return await self._charge(visitor, keys)

    async def charge_signed_in(self, email: str, visitor: Visitor) -> Attempt:
        """Charge what a caller who is signed in as ``email`` tries with the password: strangers cannot shut it out.

        Raises as ``charge`` does.
        """
        account = self._account(email)
        return await self._charge(visitor, [_key(account, self.limits.account, "signed in", account)])

    async def refund(self, attempt: Attempt) -> None:
        """Take back the charge of an attempt that has succeeded, or was never made. Idempotent; resets nothing else."""
        if attempt.charge_id is not None:
            await self._store.refund(attempt.charge_id)

    async def remember(self, email: str, visitor: Visitor) -> str | None:
        """The secret that names the visitor's device from now on, after a sign-in as ``email`` there; for a cookie.

        None where accounts are not counted or know no devices. A device keeps its secret. For a new one beyond
        ``devices_per_account`` the one is forgotten that was used least lately.
        """
        if not self.limits.account or not self.limits.devices_per_account:
            return None
        secret = mint_secret() if visitor.device is None or not is_secret(visitor.device) else visitor.device
        account, now = self._account(email), self._clock.now()
        await self._store.remember(
            account,
            _digest("known", account, secret.encode()),
            keep=self.limits.devices_per_account,
            expires_at=now + self.limits.device_lifetime,
            now=now,
        )
        return secret

    async def clear(self, *, email: str | None = None, address: str | None = None) -> int:
        """Open what is closed: every lane of one account, one address, or with neither what all attempts count under.

        How many charges were forgotten. Known devices stay known; an address is one in the form of ``client_address``.
        """
        owners = [] if email is None else [self._account(email)]
        owners += [] if address is None else [_digest("address", address.encode())]
        return sum([await self._store.clear(owner) for owner in owners or [_digest("everybody")]])

    def _account(self, email: str) -> bytes:
        try:
            return _digest("account", self._email(email).encode())
        except ValueError:
            return _digest("account")  # what is no address has one account for all of it

    async def _known_device(self, account: bytes, visitor: Visitor) -> bytes | None:
        if visitor.device is None or not is_secret(visitor.device):
            return None
        device = _digest("known", account, visitor.device.encode())
        return device if await self._store.is_known(account, device, now=self._clock.now()) else None

    async def _charge(self, visitor: Visitor, lanes: Sequence[LockoutKey]) -> Attempt:
        gates = [_key(None, self.limits.everybody, "everybody")]
        if visitor.address is not None:
            gates.append(_key(None, self.limits.address, "address", visitor.address.encode()))
        stages = tuple(tuple(key for key in keys if key.limits) for keys in (gates, lanes))
        if not any(stages):
            return OPEN
        charge, now = Charge(token_bytes(_CHARGE_LENGTH), stages), self._clock.now()
        return _attempt(charge, await self._store.charge(charge, now=now), now)


def _attempt(charge: Charge, decision: Decision, now: float) -> Attempt:
    if decision.stages == 0:
        raise TooManyRequests(retry_after=(decision.closed_until or now) - now)
    return Attempt(charge.charge_id, is_open=decision.stages == len(charge.stages))


def _key(owner: bytes | None, limits: Sequence[Limit], purpose: str, *parts: bytes) -> LockoutKey:
    digest = _digest(purpose, *parts)
    return LockoutKey(digest, digest if owner is None else owner, tuple(limits))


def _digest(purpose: str, *parts: bytes) -> bytes:
    # Each length in front, so that no two lists of parts are one text.
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in (purpose.encode(), *parts))).digest()
