"""What is remembered of guesses: the limits, the charge, and what its store must keep.

An attempt is charged before it is made, and refunded where it succeeds: what stays are failures, and attempts that are
under way. Addresses, e-mail addresses and devices are known by digests alone.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from .errors import ConfigurationError

__all__ = ["Charge", "Decision", "Limit", "LockoutKey", "LockoutStore"]


@dataclass(frozen=True, slots=True)
class Limit:
    """So many ``failures`` within ``window`` seconds close a key, for ``window`` seconds after the last of them.

    So no stretch of ``window`` seconds, wherever it begins, has more failures. Fewer than 1 failure, and a window that
    is no number of seconds above 0, are a ConfigurationError.
    """

    failures: int
    window: float

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.window < math.inf:
            raise ConfigurationError("a limit is at least 1 failure within a number of seconds above 0")


@dataclass(frozen=True, slots=True)
class LockoutKey:
    """What failures are counted under, with all its limits. ``owner`` is what it is cleared with: perhaps itself."""

    digest: bytes
    owner: bytes
    limits: tuple[Limit, ...]

    @property
    def memory(self) -> float:
        """Seconds after which a failure has no part in any closing: it ends twice the longest window later at most."""
        return 2 * max(limit.window for limit in self.limits)


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt: what it is charged to, stage by stage. Each stage is charged whole or not at all."""

    charge_id: bytes
    stages: tuple[tuple[LockoutKey, ...], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a charge: how many stages were charged, and when the one opens that was not."""

    stages: int
    closed_until: float | None = None
    """Seconds since the epoch, if nothing else happens; None where every stage was charged."""


class LockoutStore(Protocol):
    """What must be remembered of attempts. Every verb is atomic alone and durable when it answers.

    All verbs raise ``StoreUnavailable`` where the backend does not answer in time.
    """

    async def charge(self, charge: Charge, *, now: float) -> Decision:
        """Charge the attempt to every key of its stages, in order, up to the first stage that has a closed key.

        That stage and those behind it are not charged. A key is closed by a limit where the last ``failures`` charges
        to it lie less than ``window`` apart, and ``now`` is less than ``window`` after the last. Checking and charging
        are one step: of any number of concurrent calls no more get through than a limit admits. A charge is noted at
        ``now``, or at the time of the key's last one where that is later: a clock that steps back opens nothing sooner.
        """
        ...

    async def refund(self, charge_id: bytes) -> None:
        """Take this one charge back, wherever it was charged; no other. Nothing for an unknown one."""
        ...

    async def clear(self, owner: bytes) -> int:
        """Forget every charge to the keys of ``owner``; how many."""
        ...

    async def remember(self, account: bytes, device: bytes, *, keep: int, expires_at: float, now: float) -> None:
        """Know ``device`` as one of the account's until ``expires_at``; of its devices the ``keep`` used last are kept.

        One that is known is used again, and keeps the later end.
        """
        ...

    async def is_known(self, account: bytes, device: bytes, *, now: float) -> bool:
        """Whether ``device`` is one of the account's at ``now``."""
        ...

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` charges and devices that matter no longer at ``now``; how many."""
        ...
