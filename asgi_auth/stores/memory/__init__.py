"""Stores in this process's memory: for tests, and for toys of one process that may forget everything.

Within one event loop they promise what the other backends promise: no verb awaits in its middle, so each is
atomic. Nothing outlives the process and nothing is shared between processes. One file a store.
"""

from asgi_auth.stores.memory.accounts import MemoryAccounts
from asgi_auth.stores.memory.refresh_tokens import MemoryRefreshTokens
from asgi_auth.stores.memory.revocations import MemoryRevocations

__all__ = ["MemoryAccounts", "MemoryRefreshTokens", "MemoryRevocations", "MemoryStores"]


class MemoryStores:
    """Every store, in memory: ``.accounts``, ``.refresh_tokens``, ``.revocations``."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts()
        self.refresh_tokens = MemoryRefreshTokens()
        self.revocations = MemoryRevocations()

    async def open(self) -> None:
        """Nothing to open: the stores answer from the start."""

    async def close(self) -> None:
        """Nothing to close: what is stored stays until the object is gone."""
