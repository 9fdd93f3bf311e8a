"""Refresh families in memory."""

from dataclasses import replace
from hmac import compare_digest

from asgi_auth.errors import StoreUnavailable
from asgi_auth.refresh_tokens import Advanced, Advancement, Expired, RefreshFamily, Repeated, Reused

__all__ = ["MemoryRefreshTokens"]


class MemoryRefreshTokens:
    """A ``RefreshTokenStore`` for one event loop. Each verb keeps what ``RefreshTokenStore`` says of it."""

    def __init__(self) -> None:
        self._families: dict[str, RefreshFamily] = {}

    async def create(self, family: RefreshFamily, *, families_per_subject: int, now: float) -> tuple[str, ...]:
        """Store a new family and end the subject's oldest live ones beyond the cap; the ids of those.

        An id that is taken is never overwritten: ``StoreUnavailable``.
        """
        if family.family_id in self._families:
            raise StoreUnavailable
        live = [other for other in self._families.values() if other.subject == family.subject and _is_live(other, now)]
        self._families[family.family_id] = family
        live.sort(key=lambda other: (other.created_at, other.family_id))
        ended = live[: max(0, len(live) + 1 - families_per_subject)]
        for other in ended:
            self._end(other, now)
        return tuple(other.family_id for other in ended)

    async def advance(
        self,
        family_id: str,
        *,
        client_id: str,
        member_digest: bytes,
        presented_digest: bytes,
        child_digest: bytes,
        salt: bytes,
        call_id: bytes,
        idle_expires_at: float,
        reuse_leeway: float,
        now: float,
    ) -> Advancement | None:
        """Exchange the presented token for its child, or find the reuse."""
        family = self._member(family_id, member_digest)
        if family is None or family.client_id != client_id:
            return None
        if compare_digest(family.current_digest, presented_digest):
            if not _is_live(family, now):
                return Expired(family)
            child = replace(
                family,
                parent_digest=presented_digest,
                current_digest=child_digest,
                salt=salt if reuse_leeway > 0 else None,
                rotated_at=max(family.rotated_at, now),
                idle_expires_at=min(idle_expires_at, family.expires_at),
            )
            self._families[family_id] = child
            return Advanced(child)
        if _is_repeatable(family, presented_digest, reuse_leeway, now):
            return Repeated(family)
        return self._reused(family, call_id, now)

    async def revoke(self, family_id: str, *, member_digest: bytes | None, now: float) -> RefreshFamily | None:
        """End one family and return it, also when it had ended before."""
        family = self._families.get(family_id) if member_digest is None else self._member(family_id, member_digest)
        return None if family is None else self._end(family, now)

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """End every live family of ``subject`` whose epoch is lower than ``below_epoch``; how many."""
        live = [
            family
            for family in self._families.values()
            if family.subject == subject and family.epoch < below_epoch and _is_live(family, now)
        ]
        for family in live:
            self._end(family, now)
        return len(live)

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` families whose ``expires_at`` has passed; how many."""
        over = [family_id for family_id, family in self._families.items() if family.expires_at <= now][:limit]
        for family_id in over:
            del self._families[family_id]
        return len(over)

    def _member(self, family_id: str, member_digest: bytes) -> RefreshFamily | None:
        family = self._families.get(family_id)
        return family if family is not None and compare_digest(family.member_digest, member_digest) else None

    def _reused(self, family: RefreshFamily, call_id: bytes, now: float) -> Reused:
        ended = self._end(family, now, by=call_id)
        return Reused(ended, first=ended.revoked_by == call_id)

    def _end(self, family: RefreshFamily, now: float, *, by: bytes | None = None) -> RefreshFamily:
        if family.revoked_at is None:
            family = replace(family, revoked_at=now, revoked_by=by)
            self._families[family.family_id] = family
        return family


def _is_live(family: RefreshFamily, now: float) -> bool:
    return family.revoked_at is None and now < family.expires_at and now < family.idle_expires_at


def _is_repeatable(family: RefreshFamily, presented_digest: bytes, reuse_leeway: float, now: float) -> bool:
    return (
        family.parent_digest is not None
        and compare_digest(family.parent_digest, presented_digest)
        and family.salt is not None
        and now < family.rotated_at + reuse_leeway
        and _is_live(family, now)
    )
