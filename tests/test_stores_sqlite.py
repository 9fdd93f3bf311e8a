"""The stores in SQLite keep the contract of every store, also between processes and across restarts."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from sqlite_tools import Held, held_open, opened_accounts, opened_refresh_tokens, opened_revocations

from asgi_auth.accounts import AccountStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationStore
from asgi_auth.testing.contract.accounts import AccountStoreContract, SharedAccountStoreContract
from asgi_auth.testing.contract.races import Opened
from asgi_auth.testing.contract.refresh_tokens import RefreshTokenStoreContract, SharedRefreshTokenStoreContract
from asgi_auth.testing.contract.revocations import RevocationStoreContract, SharedRevocationStoreContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


class TestAccounts(AccountStoreContract, SharedAccountStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[AccountStore]:
        return partial(opened_accounts, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[AccountStore]]]:
        return partial(held_open, path, "asgi_auth_accounts", "accounts")


class TestRefreshTokens(RefreshTokenStoreContract, SharedRefreshTokenStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[RefreshTokenStore]:
        return partial(opened_refresh_tokens, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[RefreshTokenStore]]]:
        return partial(held_open, path, "asgi_auth_refresh_families", "refresh_tokens")


class TestRevocations(RevocationStoreContract, SharedRevocationStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[RevocationStore]:
        return partial(opened_revocations, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[RevocationStore]]]:
        return partial(held_open, path, "asgi_auth_revocations", "revocations")
