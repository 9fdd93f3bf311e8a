"""Accounts over stores in memory, which write down the order of what happens and let a test step in between."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from asgi_auth.accounts import Account, Accounts
from asgi_auth.authorization import Roles
from asgi_auth.hashing_pool import HashingPool
from asgi_auth.passwords import TESTING, PasswordHasher, PasswordPolicy
from asgi_auth.refresh_tokens import RefreshFamily
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores.memory import MemoryAccounts, MemoryRefreshTokens, MemoryRevocations
from asgi_auth.testing.clock import FakeClock

EMAIL = "anna@example.com"
PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "an altogether different sentence"
LIFETIME = 1_000.0
ROLES = Roles({"user": {"read:articles"}, "editor": {"write:articles"}})

Step = Callable[[], Awaitable[object]]


@dataclass
class Journal:
    """What the stores did, in order; and what happens, once, just before a verb."""

    entries: list[str] = field(default_factory=list)
    before: dict[str, list[Step]] = field(default_factory=dict)

    async def enter(self, verb: str) -> None:
        steps = self.before.get(verb)
        if steps:
            await steps.pop(0)()
        self.entries.append(verb)


class JournalAccounts(MemoryAccounts):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def create(self, account: Account) -> bool:
        await self.journal.enter("create")
        return await super().create(account)

    async def get_by_email(self, email: str) -> Account | None:
        account = await super().get_by_email(email)
        await self.journal.enter("read")
        return account

    async def update(self, expected: Account, changed: Account) -> bool:
        await self.journal.enter("update")
        return await super().update(expected, changed)

    async def raise_epoch(self, subject: str, at_least: int) -> int:
        await self.journal.enter("raise epoch")
        return await super().raise_epoch(subject, at_least)


class JournalRevocations(MemoryRevocations):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        await self.journal.enter(f"revoke {kind}")
        await super().revoke(kind, id, epoch=epoch, until=until)


class JournalFamilies(MemoryRefreshTokens):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def revoke_subject(self, subject: str, *, below_epoch: int, now: float) -> int:
        await self.journal.enter("delete")
        return await super().revoke_subject(subject, below_epoch=below_epoch, now=now)


class Told:
    """Revocations without a local copy: whatever is revoked goes to the feed."""

    def __init__(self, feed: MemoryRevocations) -> None:
        self.revoke = feed.revoke


class World:
    """One application's accounts, and what is behind them."""

    def __init__(self, **options: Any) -> None:
        self.journal = Journal()
        self.clock = FakeClock()
        self.store = JournalAccounts(self.journal)
        self.feed = JournalRevocations(self.journal)
        self.families = JournalFamilies(self.journal)
        self.hashing = HashingPool(limit=options.pop("limit", 300))
        settings: dict[str, Any] = {
            "passwords": PasswordHasher(TESTING),
            "password_policy": PasswordPolicy(words=["gazette"]),
            "revocations": Told(self.feed),
            "credentials": (self.families,),
            "roles": ROLES,
            "default_roles": ("user",),
            "credential_lifetime": LIFETIME,
            "hashing": self.hashing,
            "clock": self.clock,
        }
        self.accounts = Accounts(self.store, **(settings | options))

    async def anna(self, *, hash: str | None = "", disabled: bool = False) -> Account:
        """An account with this stored hash, or registered with PASSWORD; nothing of it is in the journal."""
        account = await self.accounts.register(EMAIL, PASSWORD)
        kept = account.password_hash if hash == "" else hash
        wanted = Account(
            subject=account.subject,
            email=EMAIL,
            password_hash=kept,
            roles=account.roles,
            disabled_at=self.clock.now() if disabled else None,
            created_at=account.created_at,
        )
        assert await self.store.update(account, wanted)
        self.journal.entries.clear()
        return wanted

    async def family(self, account: Account, family_id: str = "family") -> None:
        """A sign-in of this account, at the epoch that it has here."""
        await self.families.create(
            RefreshFamily(
                family_id=family_id,
                subject=account.subject,
                client_id="first-party",
                scopes=None,
                epoch=account.epoch,
                authenticated_at=self.clock.now(),
                member_digest=b"member",
                current_digest=b"current",
                created_at=self.clock.now(),
                rotated_at=self.clock.now(),
                idle_expires_at=self.clock.now() + LIFETIME,
                expires_at=self.clock.now() + LIFETIME,
            ),
            families_per_subject=10,
            now=self.clock.now(),
        )

    async def was_live(self, family_id: str = "family") -> bool:
        """Whether that sign-in has not been ended. (Asking ends it.)"""
        family = await self.families.revoke(family_id, member_digest=None, now=self.clock.now() + 1)
        assert family is not None
        return family.revoked_at != self.clock.now()
