"""Sessions over stores that write down what happens and let a test step in between."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sites import services

from asgi_auth.accounts import Account, AccountStore
from asgi_auth.api_keys import APIKeyStore
from asgi_auth.lockout import LockoutStore
from asgi_auth.one_time import OneTimeStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import Changes as FeedChanges
from asgi_auth.revocations import Cursor, RevocationKind, RevocationStore
from asgi_auth.services import AuthServices, Stores
from asgi_auth.session_data import NO_CHANGES, Changes
from asgi_auth.session_store import Found, Lost, Session, SessionStore, SignedIn
from asgi_auth.sessions import Sessions, cookie_of
from asgi_auth.stores import MemoryStores, SQLiteStores
from asgi_auth.testing.clock import FakeClock

IDLE, LIFETIME = 1800.0, 43_200.0
ANNA, BOB = "anna", "bob"
USER = frozenset({"user"})

Step = Callable[[], Awaitable[object]]


@dataclass
class Journal:
    """What the stores did, in order; and what happens, once, just before a verb."""

    entries: list[str] = field(default_factory=list)
    before: dict[str, list[Step]] = field(default_factory=dict)
    is_taken: bool = False
    """Whether the next id that a session would have is another's."""

    async def enter(self, verb: str) -> None:
        await self.happen(verb)
        self.entries.append(verb)

    async def happen(self, verb: str) -> None:
        steps = self.before.get(verb)
        if steps:
            await steps.pop(0)()


class JournalSessions:
    """A ``SessionStore`` that enters its verbs in a journal."""

    def __init__(self, store: SessionStore, journal: Journal) -> None:
        self.store = store
        self.journal = journal

    async def create(self, session: Session) -> bool:
        await self.journal.enter("create")
        is_taken, self.journal.is_taken = self.journal.is_taken, False
        return not is_taken and await self.store.create(session)

    async def get(self, session_id: str) -> Session | None:
        await self.journal.enter("get")
        return await self.store.get(session_id)

    async def save(self, session_id: str, *, version: int, data: str, now: float) -> bool:
        await self.journal.enter("save")
        return await self.store.save(session_id, version=version, data=data, now=now)

    async def touch(self, session_id: str, *, last_seen_at: float, idle_expires_at: float, now: float) -> None:
        await self.journal.enter("touch")
        await self.store.touch(session_id, last_seen_at=last_seen_at, idle_expires_at=idle_expires_at, now=now)

    async def replace(self, session_id: str, *, secret_digest: bytes, version: int, new: Session, now: float) -> bool:
        await self.journal.enter("replace")
        return await self.store.replace(session_id, secret_digest=secret_digest, version=version, new=new, now=now)

    async def list(self, subject: str, *, now: float) -> tuple[Session, ...]:
        return await self.store.list(subject, now=now)

    async def delete(self, session_id: str, *, subject: str | None) -> bool:
        await self.journal.enter("delete")
        return await self.store.delete(session_id, subject=subject)

    async def delete_all(self, subject: str, *, keep: str | None) -> tuple[str, ...]:
        await self.journal.enter("delete all")
        return await self.store.delete_all(subject, keep=keep)

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        return await self.store.revoke_subject(subject, below_epoch=below_epoch, now=now)

    async def purge(self, *, now: float, limit: int) -> int:
        return await self.store.purge(now=now, limit=limit)


class JournalRevocations:
    """A ``RevocationStore`` that enters its revocations in a journal."""

    def __init__(self, store: RevocationStore, journal: Journal) -> None:
        self.store = store
        self.journal = journal
        self.poll_interval = store.poll_interval

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        await self.journal.enter(f"revoke {kind}")
        await self.store.revoke(kind, id, epoch=epoch, until=until)

    async def changes_since(self, cursor: Cursor | None) -> FeedChanges:
        await self.journal.happen("changes")
        return await self.store.changes_since(cursor)

    async def purge(self, *, now: float, limit: int) -> int:
        return await self.store.purge(now=now, limit=limit)


class JournalStores:
    """All stores, two of them with a journal."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.journal = Journal()
        self.accounts: AccountStore = stores.accounts
        self.refresh_tokens: RefreshTokenStore = stores.refresh_tokens
        self.sessions: SessionStore = JournalSessions(stores.sessions, self.journal)
        self.api_keys: APIKeyStore = stores.api_keys
        self.one_time: OneTimeStore = stores.one_time
        self.lockout: LockoutStore = stores.lockout
        self.revocations: RevocationStore = JournalRevocations(stores.revocations, self.journal)

    async def open(self) -> None:
        await self.stores.open()

    async def close(self) -> None:
        await self.stores.close()


def account(subject: str, **more: Any) -> Account:
    settings = {"email": f"{subject}@example.com", "password_hash": None, "roles": USER, "created_at": 0.0}
    return Account(subject=subject, **(settings | more))


@dataclass
class World:
    """Sessions of two people, and what is behind them."""

    stores: JournalStores
    clock: FakeClock
    auth: AuthServices

    @property
    def sessions(self) -> Sessions:
        return self.auth.sessions

    @property
    def journal(self) -> Journal:
        return self.stores.journal

    def before(self, verb: str, *steps: Step) -> None:
        """Let ``steps`` happen just before the next calls of a store's verb, one before each."""
        self.journal.before[verb] = list(steps)

    async def sign_in(
        self,
        subject: str = ANNA,
        *,
        before: Session | None = None,
        changes: Changes = NO_CHANGES,
        epoch: int | None = None,
    ) -> SignedIn:
        return await self.sessions.sign_in(subject, epoch=epoch, device="a browser", before=before, changes=changes)

    async def find(self, signed: SignedIn) -> Found | Lost:
        return await self.sessions.find(value(signed))

    async def found(self, signed: SignedIn) -> Session:
        found = await self.find(signed)
        assert isinstance(found, Found)
        return found.session


def value(signed: SignedIn) -> bytes:
    return cookie_of(signed.session, signed.secret).encode()


@asynccontextmanager
async def opened(stores: Stores, **options: Any) -> AsyncIterator[World]:
    clock = FakeClock()
    journaled = JournalStores(stores)
    auth = services(clock, stores=journaled, **options)
    async with auth:
        for subject in (ANNA, BOB):
            await stores.accounts.create(account(subject))
        yield World(journaled, clock, auth)


@asynccontextmanager
async def world_in(backend: str, folder: Path, **options: Any) -> AsyncIterator[World]:
    stores: Stores = MemoryStores() if backend == "memory" else SQLiteStores(folder / "auth.db")
    async with opened(stores, **options) as world:
        yield world
