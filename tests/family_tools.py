"""Refresh tokens over stores in memory: one account, one clock, stores that count, and fail where a test says so."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sites import services

from asgi_auth.access_tokens import AccessTokens
from asgi_auth.accounts import Account
from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.refresh_tokens import Advancement, RefreshFamily, Tokens
from asgi_auth.revocations import RevocationKind
from asgi_auth.services import Stores
from asgi_auth.stores.memory import (
    MemoryAccounts,
    MemoryAPIKeys,
    MemoryLockout,
    MemoryOneTime,
    MemoryRefreshTokens,
    MemoryRevocations,
    MemorySessions,
)
from asgi_auth.testing.clock import FakeClock

CLIENT = "first-party"

Step = Callable[[], Awaitable[object]]


class Entries:
    """Verbs that were entered; and what happens, once, before or after one of them."""

    def __init__(self) -> None:
        self.verbs: list[str] = []
        self.before: dict[str, Step] = {}
        self.after: dict[str, Step] = {}

    async def enter(self, verb: str) -> None:
        self.verbs.append(verb)
        await self._step(self.before, verb)

    async def leave(self, verb: str) -> None:
        await self._step(self.after, verb)

    async def _step(self, steps: dict[str, Step], verb: str) -> None:
        step = steps.pop(verb, None)
        if step is not None:
            await step()


class CountedAccounts(MemoryAccounts):
    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self.entries = entries

    async def get(self, subject: str) -> Account | None:
        await self.entries.enter("get")
        return await super().get(subject)

    async def raise_epoch(self, subject: str, at_least: int) -> int:
        await self.entries.enter("raise_epoch")
        return await super().raise_epoch(subject, at_least)

    def delete(self, subject: str) -> None:
        del self._accounts[subject]


class CountedRevocations(MemoryRevocations):
    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self.entries = entries

    async def revoke(self, kind: RevocationKind, id: str, *, epoch: int | None, until: float) -> None:
        await self.entries.enter("tell")
        await super().revoke(kind, id, epoch=epoch, until=until)


class CountedFamilies(MemoryRefreshTokens):
    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self.entries = entries

    async def create(self, family: RefreshFamily, *, families_per_subject: int, now: float) -> tuple[str, ...]:
        await self.entries.enter("create")
        return await super().create(family, families_per_subject=families_per_subject, now=now)

    async def advance(self, family_id: str, **how: Any) -> Advancement | None:
        await self.entries.enter("advance")
        outcome = await super().advance(family_id, **how)
        await self.entries.leave("advance")
        return outcome

    async def revoke(self, family_id: str, *, member_digest: bytes | None, now: float) -> RefreshFamily | None:
        await self.entries.enter("revoke")
        return await super().revoke(family_id, member_digest=member_digest, now=now)


class CountedStores:
    """Stores in memory that write down their verbs."""

    def __init__(self) -> None:
        self.entries = Entries()
        self.accounts = CountedAccounts(self.entries)
        self.refresh_tokens = CountedFamilies(self.entries)
        self.sessions = MemorySessions()
        self.api_keys = MemoryAPIKeys()
        self.one_time = MemoryOneTime()
        self.lockout = MemoryLockout()
        self.revocations = CountedRevocations(self.entries)

    async def open(self) -> None:
        """Open already."""

    async def close(self) -> None:
        """Nothing to close."""


class Families:
    """Anna, her sign-ins, and whoever steals her tokens."""

    def __init__(self, **options: Any) -> None:
        self.clock: FakeClock = options.pop("clock", FakeClock())
        self.stores = CountedStores()
        stores: Stores = self.stores
        self.auth = services(self.clock, stores=stores, **options)
        self.entries = self.stores.entries
        self.access: AccessTokens = self.auth.access_tokens

    async def anna(self, roles: frozenset[str] = frozenset({"user"})) -> Account:
        """Her account: as it is now, or new."""
        known = await self.stores.accounts.get("anna")
        if known is not None:
            return known
        account = Account(
            subject="anna", email="anna@example.com", password_hash=None, roles=roles, created_at=self.clock.now()
        )
        assert await self.stores.accounts.create(account)
        return account

    async def sign_in(self, client_id: str = CLIENT, **how: Any) -> Tokens:
        return await self.auth.refresh_tokens.issue(await self.anna(), client_id=client_id, **how)

    async def rotate(self, tokens: Tokens, client_id: str = CLIENT) -> Tokens:
        return await self.auth.refresh_tokens.rotate(tokens.refresh_token, client_id=client_id)

    async def refused(self, tokens: Tokens | str, client_id: str = CLIENT) -> Reason:
        """Why this refresh token is refused."""
        text = tokens if isinstance(tokens, str) else tokens.refresh_token
        with pytest.raises(InvalidToken) as caught:
            await self.auth.refresh_tokens.rotate(text, client_id=client_id)
        assert caught.value.__context__ is None
        return caught.value.reason

    async def access_is_good(self, tokens: Tokens) -> bool:
        try:
            await self.access.verify(tokens.access_token)
        except InvalidToken:
            return False
        return True

    async def is_alive(self, tokens: Tokens) -> bool:
        """Whether the access token is good and the refresh token live. (Asking ends it.)"""
        if not await self.access_is_good(tokens):
            return False
        family_id = tokens.refresh_token.split("_")[1]
        family = self.stores.refresh_tokens._families[family_id]
        return family.revoked_at is None
