"""One-time values in memory."""

__all__ = ["MemoryOneTime"]


class MemoryOneTime:
    """A ``OneTimeStore`` for one event loop. Each verb keeps what ``OneTimeStore`` says of it."""

    def __init__(self) -> None:
        self._values: dict[bytes, tuple[str, float]] = {}

    async def put(self, key: bytes, value: str, *, expires_at: float, now: float) -> bool:
        """Store ``value`` under ``key`` unless one is there that has not expired."""
        known = self._values.get(key)
        if known is not None and now < known[1]:
            return False
        self._values[key] = (value, expires_at)
        return True

    async def take(self, key: bytes, *, now: float) -> str | None:
        """The value under ``key``, which is gone by that; None where there is none or it has expired."""
        known = self._values.pop(key, None)
        return known[0] if known is not None and now < known[1] else None

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` values whose ``expires_at`` has passed; how many."""
        over = [key for key, (_, expires_at) in self._values.items() if expires_at <= now][:limit]
        for key in over:
            del self._values[key]
        return len(over)
