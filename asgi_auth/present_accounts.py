"""Accounts as they are now, for every request that comes with a session or an API key: one read, then none."""

from collections.abc import Callable

from .accounts import Account, AccountStore
from .clock import SYSTEM_CLOCK, Clock
from .feed_cache import FeedCache
from .revocations import RevocationKind, Revocations

__all__ = ["PresentAccounts"]


class PresentAccounts:
    """Reads accounts and keeps at most ``cache_size`` of them until the feed says that they changed.

    What any process has changed is seen here within the feed's bound; while the feed cannot be read nothing is
    answered (Stale, 503). Without ``revocations`` every question is a read.
    """

    def __init__(
        self,
        store: AccountStore,
        revocations: Revocations | None,
        *,
        cache_size: int = 10_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store = store
        self._revocations = revocations
        self._cache: FeedCache[str, Account] = FeedCache(revocations, size=cache_size, clock=clock)
        self.cached: Callable[[str], Account | None] = self._cache.get
        """The account of a subject, if it is known here and unchanged; no I/O."""

    async def get(self, subject: str) -> Account | None:
        """The account, or None. Raises StoreUnavailable and Stale."""
        known = self._cache.get(subject)
        if known is not None:
            return known
        if self._revocations is not None:
            await self._revocations.ensure_fresh()
        since = self._cache.generation
        account = await self._store.get(subject)
        if account is not None:
            tags = ((RevocationKind.SUBJECT, subject), (RevocationKind.CHANGED, subject))
            self._cache.put(subject, account, tags, since=since)
        return account
