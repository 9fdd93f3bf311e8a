"""Attempts and known devices in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from asgi_auth.lockout_store import Charge, Decision, Limit, LockoutKey

__all__ = ["MemoryLockout"]

_OPEN = float("-inf")


@dataclass(frozen=True, slots=True)
class _Noted:
    """One charge to one key."""

    at: float
    charge_id: bytes
    owner: bytes
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Device:
    used_at: float
    expires_at: float


class MemoryLockout:
    """A ``LockoutStore`` for one event loop. Each verb keeps what ``LockoutStore`` says of it."""

    def __init__(self) -> None:
        # The charges to a key are in the order of their times: none is noted before the one before it.
        self._noted: dict[bytes, list[_Noted]] = {}
        self._charged: dict[bytes, list[bytes]] = {}
        self._devices: dict[tuple[bytes, bytes], _Device] = {}

    async def charge(self, charge: Charge, *, now: float) -> Decision:
        """Charge the attempt to every key of its stages, in order, up to the first stage that has a closed key."""
        for number, stage in enumerate(charge.stages):
            closed_until = max((self._end(key, limit) for key in stage for limit in key.limits), default=_OPEN)
            if now < closed_until:
                return Decision(number, closed_until)
            for key in stage:
                self._note(key, charge.charge_id, now)
        return Decision(len(charge.stages))

    async def refund(self, charge_id: bytes) -> None:
        """Take this one charge back, wherever it was charged."""
        for key in self._charged.pop(charge_id, ()):
            self._keep(key, lambda noted: noted.charge_id != charge_id)

    async def clear(self, owner: bytes) -> int:
        """Forget every charge to the keys of ``owner``; how many."""
        return sum([self._keep(key, lambda noted: noted.owner != owner) for key in [*self._noted]])

    async def remember(self, account: bytes, device: bytes, *, keep: int, expires_at: float, now: float) -> None:
        """Know ``device`` until ``expires_at``; of the account's devices the ``keep`` used last are kept."""
        before = self._devices.pop((account, device), _Device(now, expires_at))
        others = [known for known in self._devices if known[0] == account]
        others.sort(key=lambda known: (self._devices[known].used_at, self._devices[known].expires_at), reverse=True)
        for forgotten in others[keep - 1 :]:
            del self._devices[forgotten]
        self._devices[account, device] = _Device(max(before.used_at, now), max(before.expires_at, expires_at))

    async def is_known(self, account: bytes, device: bytes, *, now: float) -> bool:
        """Whether ``device`` is one of the account's at ``now``."""
        known = self._devices.get((account, device))
        return known is not None and now < known.expires_at

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` charges and devices that matter no longer at ``now``; how many."""
        charges = [noted for kept in self._noted.values() for noted in kept if noted.expires_at <= now]
        over = {id(noted) for noted in charges[:limit]}
        for key in [*self._noted]:
            self._keep(key, lambda noted: id(noted) not in over)
        known = {noted.charge_id for kept in self._noted.values() for noted in kept}
        self._charged = {charge_id: keys for charge_id, keys in self._charged.items() if charge_id in known}
        devices = (pair for pair, device in self._devices.items() if device.expires_at <= now)
        forgotten = [*islice(devices, limit - len(over))]
        for pair in forgotten:
            del self._devices[pair]
        return len(over) + len(forgotten)

    def _end(self, key: LockoutKey, limit: Limit) -> float:
        noted = self._noted.get(key.digest, [])
        if len(noted) < limit.failures:
            return _OPEN
        last, first = noted[-1].at, noted[-limit.failures].at
        return last + limit.window if last - first < limit.window else _OPEN

    def _note(self, key: LockoutKey, charge_id: bytes, now: float) -> None:
        noted = self._noted.setdefault(key.digest, [])
        at = max(now, noted[-1].at) if noted else now
        noted.append(_Noted(at, charge_id, key.owner, at + key.memory))
        self._charged.setdefault(charge_id, []).append(key.digest)

    def _keep(self, key: bytes, is_kept: Callable[[_Noted], bool]) -> int:
        """Keep these of the charges to ``key``; how many are gone."""
        before = self._noted.pop(key, [])
        kept = [noted for noted in before if is_kept(noted)]
        if kept:
            self._noted[key] = kept
        return len(before) - len(kept)
