"""A connection that counts how often it was ended, and the credential that it hangs on."""

import asyncio
from collections.abc import Awaitable, Callable

from test_revocations import UNTIL, until

from asgi_auth import live
from asgi_auth.live import LiveCredential
from asgi_auth.revocations import Revocable, RevocationKind

TOKEN, SESSION, KEY = RevocationKind.TOKEN, RevocationKind.SESSION, RevocationKind.API_KEY
CLIENT, SUBJECT, CHANGED = RevocationKind.CLIENT, RevocationKind.SUBJECT, RevocationKind.CHANGED
IDS = ((TOKEN, "jti"), (SESSION, "sid"), (CLIENT, "app"))


class Connection:
    """An open connection that counts how often it was ended."""

    def __init__(self) -> None:
        self.ends = 0

    def end(self) -> None:
        self.ends += 1


def credential(
    ends_at: float = UNTIL,
    *,
    epoch: int | None = 3,
    renewed: Callable[[], Awaitable[float | None]] | None = None,
    changed_by: tuple[tuple[RevocationKind, str], ...] = (),
) -> LiveCredential:
    return LiveCredential(Revocable(IDS, "anna", epoch), ends_at, renewed, changed_by)


async def looked(times: int = 2) -> None:
    """Let the watcher look at the clock and at the feed."""
    for _ in range(times):
        await asyncio.sleep(live._TICK)
        await asyncio.sleep(0)


async def nobody_runs(before: set["asyncio.Task[object]"]) -> None:
    await until(lambda: asyncio.all_tasks() <= before)
