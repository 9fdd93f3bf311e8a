"""The contract every store keeps, as tests to run against your own. Needs pytest; nothing else imports this.

For each store (``accounts``, ``refresh_tokens``, ``sessions``, ``api_keys``, ``one_time``, ``lockout``,
``revocations``) there is a module or a package of that name with three parts: what it does, what it refuses, and what
it promises to callers that race. Each class needs the fixture ``opened``: a callable without arguments whose answer is
an async context manager of one opened store, always on the same backend within a test::

    from asgi_auth.testing.contract.accounts import AccountStoreContract, SharedAccountStoreContract
    from asgi_auth.testing.contract.races import Opened

    @asynccontextmanager
    async def my_accounts(url: str) -> AsyncIterator[MyAccounts]:
        async with MyPool(url) as pool:
            yield MyAccounts(pool)

    class TestMyAccounts(AccountStoreContract, SharedAccountStoreContract):
        @pytest.fixture
        def opened(self, empty_database_url: str) -> Opened[MyAccounts]:
            return functools.partial(my_accounts, empty_database_url)

``Shared…Contract`` is what a backend outside the process promises besides: restarts, several processes (``opened`` is
pickled, so make it of module-level parts) and two callers of which the first has written and not committed (it needs
the fixture ``held_open``: a callable whose answer is an async context manager of a ``HeldOpen``, which holds
whatever the store writes: inserts, updates and deletions).

The tests are plain coroutines: run them with anyio's pytest plugin and ``anyio_mode = auto``, or pytest-asyncio's
``asyncio_mode = auto``. They take the time as an argument, wait for no clock and may run in any order.
"""

import pkgutil

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
