"""The stores in memory keep the contract of every store, within one event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from asgi_auth.accounts import AccountStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationStore
from asgi_auth.stores import MemoryStores
from asgi_auth.testing.contract.accounts import AccountStoreContract
from asgi_auth.testing.contract.races import Opened
from asgi_auth.testing.contract.refresh_tokens import RefreshTokenStoreContract
from asgi_auth.testing.contract.revocations import RevocationStoreContract


@asynccontextmanager
async def memory_accounts(stores: MemoryStores) -> AsyncIterator[AccountStore]:
    yield stores.accounts


@asynccontextmanager
async def memory_refresh_tokens(stores: MemoryStores) -> AsyncIterator[RefreshTokenStore]:
    yield stores.refresh_tokens


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
