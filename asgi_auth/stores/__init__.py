"""Where accounts, refresh tokens and revocations are remembered: one namespace a backend, one file a store."""

from asgi_auth.stores.memory import MemoryStores
from asgi_auth.stores.sqlite import SQLiteStores

__all__ = ["MemoryStores", "SQLiteStores"]
