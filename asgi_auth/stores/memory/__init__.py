"""Stores in this process's memory: for tests, and for toys of one process that may forget everything.

Within one event loop they promise what the other backends promise: no verb awaits in its middle, so each is
atomic. Nothing outlives the process and nothing is shared between processes. One file a store.
"""

from asgi_auth.stores.memory.accounts import MemoryAccounts
from asgi_auth.stores.memory.api_keys import MemoryAPIKeys
from asgi_auth.stores.memory.lockout import MemoryLockout
from asgi_auth.stores.memory.one_time import MemoryOneTime
from asgi_auth.stores.memory.refresh_tokens import MemoryRefreshTokens
from asgi_auth.stores.memory.revocations import MemoryRevocations
from asgi_auth.stores.memory.sessions import MemorySessions

__all__ = [
    "MemoryAPIKeys",
    "MemoryAccounts",
    "MemoryLockout",
    "MemoryOneTime",
    "MemoryRefreshTokens",
    "MemoryRevocations",
    "MemorySessions",
    "MemoryStores",
]


class MemoryStores:
    """Every store: ``.accounts .refresh_tokens .sessions .api_keys .one_time .lockout .revocations``."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts()
        self.refresh_tokens = MemoryRefreshTokens()
        self.sessions = MemorySessions()
        self.api_keys = MemoryAPIKeys()
        self.one_time = MemoryOneTime()
        self.lockout = MemoryLockout()
        self.revocations = MemoryRevocations()

    async def open(self) -> None:
        """Nothing to open: the stores answer from the start."""

    async def close(self) -> None:
        """Nothing to close: what is stored stays until the object is gone."""
