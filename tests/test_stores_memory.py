"""The stores in memory keep the contract of every store, within one event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from asgi_auth.accounts import AccountStore
from asgi_auth.api_keys import APIKeyStore
from asgi_auth.lockout import LockoutStore
from asgi_auth.one_time import OneTimeStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationStore
from asgi_auth.sessions import SessionStore
from asgi_auth.stores import MemoryStores
from asgi_auth.testing.contract.accounts import AccountStoreContract
from asgi_auth.testing.contract.api_keys import APIKeyStoreContract
from asgi_auth.testing.contract.lockout import LockoutStoreContract
from asgi_auth.testing.contract.one_time import OneTimeStoreContract
from asgi_auth.testing.contract.races import Opened
from asgi_auth.testing.contract.refresh_tokens import RefreshTokenStoreContract
from asgi_auth.testing.contract.revocations import RevocationStoreContract
from asgi_auth.testing.contract.sessions import SessionStoreContract


@asynccontextmanager
async def memory_accounts(stores: MemoryStores) -> AsyncIterator[AccountStore]:
    yield stores.accounts


@asynccontextmanager
async def memory_refresh_tokens(stores: MemoryStores) -> AsyncIterator[RefreshTokenStore]:
    yield stores.refresh_tokens


@asynccontextmanager
async def memory_sessions(stores: MemoryStores) -> AsyncIterator[SessionStore]:
    yield stores.sessions


@asynccontextmanager
async def memory_api_keys(stores: MemoryStores) -> AsyncIterator[APIKeyStore]:
    yield stores.api_keys


@asynccontextmanager
async def memory_one_time(stores: MemoryStores) -> AsyncIterator[OneTimeStore]:
    yield stores.one_time


@asynccontextmanager
async def memory_lockout(stores: MemoryStores) -> AsyncIterator[LockoutStore]:
    yield stores.lockout


@asynccontextmanager
async def memory_revocations(stores: MemoryStores) -> AsyncIterator[RevocationStore]:
    yield stores.revocations


class TestAccounts(AccountStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[AccountStore]:
        return partial(memory_accounts, MemoryStores())


class TestRefreshTokens(RefreshTokenStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[RefreshTokenStore]:
        return partial(memory_refresh_tokens, MemoryStores())


class TestSessions(SessionStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[SessionStore]:
        return partial(memory_sessions, MemoryStores())


class TestAPIKeys(APIKeyStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[APIKeyStore]:
        return partial(memory_api_keys, MemoryStores())


class TestOneTime(OneTimeStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[OneTimeStore]:
        return partial(memory_one_time, MemoryStores())


class TestLockout(LockoutStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[LockoutStore]:
        return partial(memory_lockout, MemoryStores())


class TestRevocations(RevocationStoreContract):
    @pytest.fixture
    def opened(self) -> Opened[RevocationStore]:
        return partial(memory_revocations, MemoryStores())


async def test_opening_and_closing_change_nothing() -> None:
    """What is stored stays until the object is gone."""
    stores = MemoryStores()
    await stores.open()
    assert await stores.accounts.raise_epoch("nobody", 3) == 3
    await stores.close()
    assert (await stores.revocations.changes_since(None)).restart


async def test_two_namespaces_share_nothing() -> None:
    """A feed has an id of its own, so a cursor of one is not followed by another."""
    one, two = MemoryStores(), MemoryStores()
    cursor = (await one.revocations.changes_since(None)).cursor
    assert (await two.revocations.changes_since(cursor)).restart
