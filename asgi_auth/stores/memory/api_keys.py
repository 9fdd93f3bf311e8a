"""API keys in memory."""

from dataclasses import replace

from asgi_auth.api_keys import APIKey

__all__ = ["MemoryAPIKeys"]


class MemoryAPIKeys:
    """An ``APIKeyStore`` for one event loop. Each verb keeps what ``APIKeyStore`` says of it."""

    def __init__(self) -> None:
        self._keys: dict[str, APIKey] = {}

    async def create(self, key: APIKey, *, keys_per_subject: int, now: float) -> bool:
        """Store a new key; False, and nothing stored, where the id is taken or the subject has its fill."""
        live = sum(other.subject == key.subject and other.is_live(now) for other in self._keys.values())
        if key.key_id in self._keys or live >= keys_per_subject:
            return False
        self._keys[key.key_id] = key
        return True

    async def get(self, key_id: str) -> APIKey | None:
        """The key with this id, live or not, or None."""
        return self._keys.get(key_id)

    async def list(self, subject: str) -> tuple[APIKey, ...]:
        """The subject's keys, live or not, the newest first."""
        keys = [key for key in self._keys.values() if key.subject == subject]
        return tuple(sorted(keys, key=lambda key: (key.created_at, key.key_id), reverse=True))

    async def revoke(self, key_id: str, *, subject: str | None, now: float) -> APIKey | None:
        """End one key and return it, also when it had ended before."""
        key = self._keys.get(key_id)
        if key is None or (subject is not None and key.subject != subject):
            return None
        if key.revoked_at is None:
            key = replace(key, revoked_at=now)
            self._keys[key_id] = key
        return key

    async def rotate(self, key_id: str, *, subject: str, successor: APIKey, ends_at: float, now: float) -> bool:
        """Store ``successor`` and let the old key end at ``ends_at``, or earlier where it would have."""
        old = self._keys.get(key_id)
        if old is None or old.subject != subject or old.successor_id is not None or not old.is_live(now):
            return False
        if successor.key_id in self._keys:
            return False
        last = ends_at if old.expires_at is None else min(old.expires_at, ends_at)
        self._keys[key_id] = replace(old, successor_id=successor.key_id, expires_at=last)
        self._keys[successor.key_id] = successor
        return True

    async def record_use(self, key_id: str, *, at: float) -> None:
        """Note that the key was used; the greater of ``at`` and what is known is kept."""
        key = self._keys.get(key_id)
        if key is not None:
            self._keys[key_id] = replace(key, last_used_at=max(at, key.last_used_at or at))

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` keys that expired, or were revoked, at ``now`` or before; how many."""
        over = [key.key_id for key in self._keys.values() if _is_over(key, now)][:limit]
        for key_id in over:
            del self._keys[key_id]
        return len(over)


def _is_over(key: APIKey, now: float) -> bool:
    return any(end is not None and end <= now for end in (key.expires_at, key.revoked_at))
