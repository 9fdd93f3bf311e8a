"""API keys over stores in memory, which write down what is asked of them and let a test step in between."""

from typing import Any

from account_tools import Journal, JournalRevocations

from asgi_auth.accounts import Account, Accounts
from asgi_auth.api_keys import APIKey, APIKeys
from asgi_auth.authorization import Roles
from asgi_auth.errors import StoreUnavailable
from asgi_auth.passwords import TESTING, PasswordHasher, PasswordPolicy
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.principal import Principal
from asgi_auth.revocations import Changes, Cursor, Revocations
from asgi_auth.stores.memory import MemoryAccounts, MemoryAPIKeys
from asgi_auth.testing.clock import FakeClock

REALM = "https://api.example"
ROLES = Roles({"user": {"read:articles", "write:articles"}, "reader": {"read:articles"}, "admin": {"*"}})


class JournalKeys(MemoryAPIKeys):
    """Reads first and lets the test step in then: what it answers may be old by the time it answers."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def create(self, key: APIKey, *, keys_per_subject: int, now: float) -> bool:
        await self.journal.enter("create")
        return await super().create(key, keys_per_subject=keys_per_subject, now=now)

    async def get(self, key_id: str) -> APIKey | None:
        key = await super().get(key_id)
        await self.journal.enter("get key")
        return key

    async def list(self, subject: str) -> tuple[APIKey, ...]:
        keys = await super().list(subject)
        await self.journal.enter("list")
        return keys

    async def revoke(self, key_id: str, *, subject: str | None, now: float) -> APIKey | None:
        await self.journal.enter("revoke")
        return await super().revoke(key_id, subject=subject, now=now)

    async def rotate(self, key_id: str, *, subject: str, successor: APIKey, ends_at: float, now: float) -> bool:
        await self.journal.enter("rotate")
        return await super().rotate(key_id, subject=subject, successor=successor, ends_at=ends_at, now=now)

    async def record_use(self, key_id: str, *, at: float) -> None:
        await self.journal.enter("record use")
        await super().record_use(key_id, at=at)


class JournalOwners(MemoryAccounts):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def get(self, subject: str) -> Account | None:
        account = await super().get(subject)
        await self.journal.enter("get account")
        return account


class Feed(JournalRevocations):
    """A feed that can be down."""

    is_down = False

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        if self.is_down:
            raise StoreUnavailable
        return await super().changes_since(cursor)


class Keys:
    """The API keys of one application, their owners, and what is behind both."""

    def __init__(self, *, following: bool = True, **options: Any) -> None:
        self.journal = Journal()
        self.clock = FakeClock()
        self.store = JournalKeys(self.journal)
        self.owners = JournalOwners(self.journal)
        self.feed = Feed(self.journal)
        self.revocations = Revocations(self.feed, clock=self.clock)
        known = self.revocations if following else None
        self.accounts = Accounts(
            self.owners,
            passwords=PasswordHasher(TESTING),
            password_policy=PasswordPolicy(),
            revocations=known,
            roles=ROLES,
            credential_lifetime=1000,
            clock=self.clock,
        )
        self.keys, self.elsewhere = (
            APIKeys(
                self.store,
                PresentAccounts(self.owners, known, clock=self.clock),
                known,
                roles=ROLES,
                realm=REALM,
                clock=self.clock,
                **options,
            )
            for _ in range(2)
        )

    async def owner(self, subject: str = "anna", *roles: str) -> None:
        """An account with these roles, by default ``user``."""
        account = Account(
            subject=subject,
            email=f"{subject}@example.com",
            password_hash=None,
            roles=frozenset(roles or ("user",)),
            created_at=self.clock.now(),
        )
        assert await self.owners.create(account)

    async def made(self, subject: str = "anna", **options: Any) -> tuple[bytes, APIKey]:
        """A key of a subject, who is made too, and what its store holds of it; nothing of it is in cache or journal."""
        if await self.owners.get(subject) is None:
            await self.owner(subject)
        new = await self.elsewhere.create(subject, "a name", **options)
        self.journal.entries.clear()
        return new.value.encode(), new.key

    async def warm(self, subject: str = "anna", **options: Any) -> tuple[bytes, APIKey]:
        """A key in the cache; nothing is in the journal."""
        value, key = await self.made(subject, **options)
        await self.keys.verify(value)
        await self.keys.close()
        assert self.keys.cached(value) is not None
        self.journal.entries.clear()
        return value, key

    async def use(self, value: bytes) -> Principal:
        """What a request with the key does."""
        return self.keys.cached(value) or await self.keys.verify(value)
