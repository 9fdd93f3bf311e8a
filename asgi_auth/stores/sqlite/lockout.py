"""Attempts and known devices in SQLite. A charge is one transaction, so that no two callers count the same gap."""

from collections.abc import Sequence
from itertools import chain

from asgi_auth.lockout_store import Charge, Decision
from asgi_auth.stores.sqlite.codec import INTEGER, REAL, checked
from asgi_auth.stores.sqlite.database import Database
from asgi_auth.stores.sqlite.statements import Execute, Value

__all__ = ["SQLiteLockout"]

# For one limit of one key of a stage: the time of its last charge, if the last so many lie within the window.
CLOSED_BY = """
SELECT ?, last.at, ? FROM
    (SELECT at FROM asgi_auth_lockout_charges WHERE key = ? ORDER BY at DESC LIMIT 1) AS last,
    (SELECT at FROM asgi_auth_lockout_charges WHERE key = ? ORDER BY at DESC LIMIT 1 OFFSET ?) AS first
WHERE last.at - first.at < ?
"""
# For one key: never before its last charge.
NOTED = """
SELECT ?, ?, ?, noted.at, noted.at + ? FROM
    (SELECT MAX(?, COALESCE(MAX(at), ?)) AS at FROM asgi_auth_lockout_charges WHERE key = ?) AS noted
"""
NOTE = f"INSERT INTO asgi_auth_lockout_charges (key, charge_id, owner, at, expires_at) {NOTED}"
UNION = " UNION ALL "
REFUND = "DELETE FROM asgi_auth_lockout_charges WHERE charge_id = ? RETURNING 1"
CLEAR = "DELETE FROM asgi_auth_lockout_charges WHERE owner = ? RETURNING 1"
REMEMBER = """
INSERT INTO asgi_auth_lockout_devices (account, device, used_at, expires_at)
VALUES (:account, :device, :now, :expires_at)
ON CONFLICT (account, device) DO UPDATE SET
    used_at = MAX(used_at, excluded.used_at), expires_at = MAX(expires_at, excluded.expires_at)
"""
FORGET = """
DELETE FROM asgi_auth_lockout_devices WHERE account = :account AND device IN (
    SELECT device FROM asgi_auth_lockout_devices WHERE account = :account
    ORDER BY device = :device DESC, used_at DESC, expires_at DESC LIMIT -1 OFFSET :keep
)
"""
IS_KNOWN = "SELECT expires_at FROM asgi_auth_lockout_devices WHERE account = ? AND device = ?"
PURGE_CHARGES = """
DELETE FROM asgi_auth_lockout_charges WHERE (key, at, charge_id) IN (
    SELECT key, at, charge_id FROM asgi_auth_lockout_charges WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
RETURNING 1
"""
PURGE_DEVICES = """
DELETE FROM asgi_auth_lockout_devices WHERE (account, device) IN (
    SELECT account, device FROM asgi_auth_lockout_devices WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
RETURNING 1
"""


class SQLiteLockout:
    """A ``LockoutStore`` in one SQLite file. Each verb keeps what ``LockoutStore`` says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charge(self, charge: Charge, *, now: float) -> Decision:
        """Charge the attempt to every key of its stages, in order, up to the first stage that has a closed key."""

        async def charge_all(execute: Execute) -> Decision:
            decision = _decision(charge, await _ends(execute, charge), now)
            await _note(execute, charge, decision.stages, now)
            return decision

        return await self._database.transact(charge_all)

    async def refund(self, charge_id: bytes) -> None:
        """Take this one charge back, wherever it was charged."""
        await self._database.write(REFUND, (charge_id,))

    async def clear(self, owner: bytes) -> int:
        """Forget every charge to the keys of ``owner``; how many."""
        return len(await self._database.write(CLEAR, (owner,)))

    async def remember(self, account: bytes, device: bytes, *, keep: int, expires_at: float, now: float) -> None:
        """Know ``device`` until ``expires_at``; of the account's devices the ``keep`` used last are kept."""
        which: dict[str, Value] = {"account": account, "device": device}

        async def remember_and_forget(execute: Execute) -> None:
            await execute(REMEMBER, which | {"now": now, "expires_at": expires_at})
            await execute(FORGET, which | {"keep": keep})

        await self._database.transact(remember_and_forget)

    async def is_known(self, account: bytes, device: bytes, *, now: float) -> bool:
        """Whether ``device`` is one of the account's at ``now``."""
        rows = await self._database.read(IS_KNOWN, (account, device))
        return bool(rows) and now < checked(rows[0], (REAL,))[0]

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` charges and devices that matter no longer at ``now``; how many."""
        charges = len(await self._database.write(PURGE_CHARGES, (now, limit)))
        return charges + len(await self._database.write(PURGE_DEVICES, (now, limit - charges)))


async def _ends(execute: Execute, charge: Charge) -> Sequence[tuple[int, float]]:
    """Which stage is closed, or was, and until when; in one statement."""
    limits: list[tuple[Value, ...]] = [
        (number, limit.window, key.digest, key.digest, limit.failures - 1, limit.window)
        for number, stage in enumerate(charge.stages)
        for key in stage
        for limit in key.limits
    ]
    rows = await execute(UNION.join([CLOSED_BY] * len(limits)), [*chain.from_iterable(limits)])
    return [(stage, at + window) for stage, at, window in (checked(row, (INTEGER, REAL, REAL)) for row in rows)]


def _decision(charge: Charge, ends: Sequence[tuple[int, float]], now: float) -> Decision:
    closed = [(stage, end) for stage, end in ends if now < end]
    if not closed:
        return Decision(len(charge.stages))
    first = min(stage for stage, _ in closed)
    return Decision(first, max(end for stage, end in closed if stage == first))


async def _note(execute: Execute, charge: Charge, stages: int, now: float) -> None:
    keys = [key for stage in charge.stages[:stages] for key in stage]
    if keys:
        rows: list[tuple[Value, ...]] = [
            (key.digest, charge.charge_id, key.owner, key.memory, now, now, key.digest) for key in keys
        ]
        await execute(UNION.join([NOTE, *[NOTED] * (len(keys) - 1)]), [*chain.from_iterable(rows)])
