"""The stores in SQLite keep the contract of every store, also between processes and across restarts."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from sqlite_tools import (
    Held,
    held_open,
    opened_accounts,
    opened_api_keys,
    opened_lockout,
    opened_one_time,
    opened_refresh_tokens,
    opened_revocations,
    opened_sessions,
)

from asgi_auth.accounts import AccountStore
from asgi_auth.api_keys import APIKeyStore
from asgi_auth.lockout import LockoutStore
from asgi_auth.one_time import OneTimeStore
from asgi_auth.refresh_tokens import RefreshTokenStore
from asgi_auth.revocations import RevocationStore
from asgi_auth.sessions import SessionStore
from asgi_auth.testing.contract.accounts import AccountStoreContract, SharedAccountStoreContract
from asgi_auth.testing.contract.api_keys import APIKeyStoreContract, SharedAPIKeyStoreContract
from asgi_auth.testing.contract.lockout import LockoutStoreContract, SharedLockoutStoreContract
from asgi_auth.testing.contract.one_time import OneTimeStoreContract, SharedOneTimeStoreContract
from asgi_auth.testing.contract.races import Opened
from asgi_auth.testing.contract.refresh_tokens import RefreshTokenStoreContract, SharedRefreshTokenStoreContract
from asgi_auth.testing.contract.revocations import RevocationStoreContract, SharedRevocationStoreContract
from asgi_auth.testing.contract.sessions import SessionStoreContract, SharedSessionStoreContract


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


class TestSessions(SessionStoreContract, SharedSessionStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[SessionStore]:
        return partial(opened_sessions, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[SessionStore]]]:
        return partial(held_open, path, "asgi_auth_sessions", "sessions")


class TestAPIKeys(APIKeyStoreContract, SharedAPIKeyStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[APIKeyStore]:
        return partial(opened_api_keys, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[APIKeyStore]]]:
        return partial(held_open, path, "asgi_auth_api_keys", "api_keys")


class TestOneTime(OneTimeStoreContract, SharedOneTimeStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[OneTimeStore]:
        return partial(opened_one_time, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[OneTimeStore]]]:
        return partial(held_open, path, "asgi_auth_one_time", "one_time")


class TestLockout(LockoutStoreContract, SharedLockoutStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[LockoutStore]:
        return partial(opened_lockout, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[LockoutStore]]]:
        return partial(held_open, path, "asgi_auth_lockout_charges", "lockout")


class TestRevocations(RevocationStoreContract, SharedRevocationStoreContract):
    @pytest.fixture
    def opened(self, path: Path) -> Opened[RevocationStore]:
        return partial(opened_revocations, path)

    @pytest.fixture
    def held_open(self, path: Path) -> Callable[[], AbstractAsyncContextManager[Held[RevocationStore]]]:
        return partial(held_open, path, "asgi_auth_revocations", "revocations")
