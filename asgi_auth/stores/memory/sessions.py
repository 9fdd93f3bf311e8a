"""Sessions in memory."""

from collections.abc import Sequence
from dataclasses import replace

from asgi_auth.sessions import Session
from asgi_auth.tokens import matches

__all__ = ["MemorySessions"]


class MemorySessions:
    """A ``SessionStore`` for one event loop. Each verb keeps what ``SessionStore`` says of it."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def create(self, session: Session) -> bool:
        """Store a new session; False, and nothing stored, where the id is taken."""
        if session.session_id in self._sessions:
            return False
        self._sessions[session.session_id] = session
        return True

    async def get(self, session_id: str) -> Session | None:
        """The session with this id, live or not, or None."""
        return self._sessions.get(session_id)

    async def save(self, session_id: str, *, version: int, data: str, now: float) -> bool:
        """Write ``data`` iff the session is live and still has ``version``."""
        session = self._live(session_id, now)
        if session is None or session.version != version:
            return False
        self._sessions[session_id] = replace(session, data=data, version=version + 1)
        return True

    async def touch(self, session_id: str, *, last_seen_at: float, idle_expires_at: float, now: float) -> None:
        """Note that a live session was used."""
        session = self._live(session_id, now)
        if session is not None:
            self._sessions[session_id] = replace(
                session,
                last_seen_at=max(session.last_seen_at, last_seen_at),
                idle_expires_at=max(session.idle_expires_at, min(idle_expires_at, session.expires_at)),
            )

    async def replace(self, session_id: str, *, secret_digest: bytes, version: int, new: Session, now: float) -> bool:
        """Put ``new`` in the place of a live session with this secret and this version."""
        old = self._live(session_id, now)
        if old is None or old.version != version or not matches(old.secret_digest, secret_digest):
            return False
        if new.session_id != session_id and new.session_id in self._sessions:
            return False
        del self._sessions[session_id]
        self._sessions[new.session_id] = new
        return True

    async def list(self, subject: str, *, now: float) -> tuple[Session, ...]:
        """The subject's live sessions, the newest first."""
        live = [session for session in self._sessions.values() if session.subject == subject and session.is_live(now)]
        return tuple(sorted(live, key=lambda session: (session.created_at, session.session_id), reverse=True))

    async def delete(self, session_id: str, *, subject: str | None) -> bool:
        """Delete the session iff it is ``subject``'s; whether there was one."""
        session = self._sessions.get(session_id)
        if session is None or session.subject != subject:
            return False
        del self._sessions[session_id]
        return True

    async def delete_all(self, subject: str, *, keep: str | None) -> tuple[str, ...]:
        """Delete all sessions of ``subject`` but the one whose id is ``keep``; the ids of those it deleted."""
        over = [session.session_id for session in self._sessions.values() if session.subject == subject]
        return self._delete([session_id for session_id in over if session_id != keep])

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        """Delete every session of ``subject`` whose ``epoch`` is lower than ``below_epoch``; how many were live."""
        over = [
            session for session in self._sessions.values() if session.subject == subject and session.epoch < below_epoch
        ]
        self._delete([session.session_id for session in over])
        return sum(session.is_live(now) for session in over)

    async def purge(self, *, now: float, limit: int) -> int:
        """Delete at most ``limit`` sessions that are not live; how many."""
        over = [session.session_id for session in self._sessions.values() if not session.is_live(now)]
        return len(self._delete(over[:limit]))

    def _live(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        return session if session is not None and session.is_live(now) else None

    def _delete(self, session_ids: Sequence[str]) -> tuple[str, ...]:
        for session_id in session_ids:
            del self._sessions[session_id]
        return tuple(session_ids)
