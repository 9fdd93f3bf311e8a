"""Damage: what cannot be read is unavailable, never absent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlite_tools import opened_stores, write_connection

from asgi_auth.errors import StoreUnavailable
from asgi_auth.lockout_store import Charge, Limit, LockoutKey
from asgi_auth.revocations import RevocationKind
from asgi_auth.stores import SQLiteStores
from asgi_auth.testing.contract.accounts import NOW, an_account
from asgi_auth.testing.contract.api_keys.programs import a_key
from asgi_auth.testing.contract.refresh_tokens.families import a_family
from asgi_auth.testing.contract.sessions.browsers import a_session

DAMAGE = {
    "pickle for JSON": "UPDATE asgi_auth_accounts SET roles = x'80049518'",
    "broken JSON": "UPDATE asgi_auth_accounts SET roles = '[\"user\"'",
    "JSON of another shape": "UPDATE asgi_auth_accounts SET roles = '{\"admin\": 1}'",
    "other things than names": "UPDATE asgi_auth_accounts SET roles = '[1]'",
    "nested beyond measure": f"UPDATE asgi_auth_accounts SET roles = '{'[' * 100_000}'",
    "text for a number": "UPDATE asgi_auth_accounts SET epoch = 'high'",
    "bytes for text": "UPDATE asgi_auth_accounts SET password_hash = x'00'",
    "text that is no text": "UPDATE asgi_auth_accounts SET password_hash = CAST(x'ff' AS TEXT)",
    "a table that is gone": "DROP TABLE asgi_auth_accounts",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@pytest.fixture
async def stores(path: Path) -> AsyncIterator[SQLiteStores]:
    async with opened_stores(path) as stores:
        yield stores


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_damaged_row_is_unavailable_and_never_absent(stores: SQLiteStores, statement: str) -> None:
    """The account is there: nobody may take its e-mail for free or its password for unset."""
    await stores.accounts.create(an_account())
    await write_connection(stores).execute_fetchall(statement)
    for call in (stores.accounts.get("subject-1"), stores.accounts.get_by_email("someone@example.com")):
        with pytest.raises(StoreUnavailable):
            await call


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE asgi_auth_revocations SET kind = 'unknown'",
        "UPDATE asgi_auth_revocations SET until = 'never'",
        "UPDATE asgi_auth_revocation_head SET number = 'x'",
        "DELETE FROM asgi_auth_revocation_head",
    ],
)
async def test_a_damaged_feed_is_unavailable_and_never_empty(stores: SQLiteStores, statement: str) -> None:
    await stores.revocations.revoke(RevocationKind.TOKEN, "a", epoch=None, until=NOW)
    await write_connection(stores).execute_fetchall(statement)
    with pytest.raises(StoreUnavailable):
        await stores.revocations.changes_since(None)


@pytest.mark.requirement("R-91", "refuses")
async def test_a_damaged_family_is_unavailable(stores: SQLiteStores) -> None:
    await stores.refresh_tokens.create(a_family(), families_per_subject=1, now=NOW)
    await write_connection(stores).execute_fetchall("UPDATE asgi_auth_refresh_families SET current_digest = 'text'")
    with pytest.raises(StoreUnavailable):
        await stores.refresh_tokens.revoke("family-1", member_digest=None, now=NOW)


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize(
    "change",
    [
        "roles = '[\"user\"'",
        "roles = '{}'",
        "version = 'x'",
        "secret_digest = 'text'",
        "data = x'80049518'",
        "epoch = ''",
    ],
)
async def test_a_damaged_session_is_unavailable_and_never_absent(stores: SQLiteStores, change: str) -> None:
    """Neither alone nor in the list, where the others are whole."""
    await stores.sessions.create(a_session())
    await stores.sessions.create(a_session("session-2"))
    await write_connection(stores).execute_fetchall(
        f"UPDATE asgi_auth_sessions SET {change} WHERE session_id = 'session-1'"
    )
    for call in (stores.sessions.get("session-1"), stores.sessions.list("subject-1", now=NOW)):
        with pytest.raises(StoreUnavailable):
            await call


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("change", ["scopes = '[1]'", "scopes = ''", "expires_at = 'never'", "revoked_at = x'00'"])
async def test_a_damaged_key_is_unavailable_and_never_wider(stores: SQLiteStores, change: str) -> None:
    await stores.api_keys.create(a_key(), keys_per_subject=1, now=NOW)
    await write_connection(stores).execute_fetchall(f"UPDATE asgi_auth_api_keys SET {change}")
    for call in (
        stores.api_keys.get("key-1"),
        stores.api_keys.list("subject-1"),
        stores.api_keys.revoke("key-1", subject=None, now=NOW),
    ):
        with pytest.raises(StoreUnavailable):
            await call


@pytest.mark.requirement("R-91", "refuses")
@pytest.mark.parametrize("change", ["value = x'00'", "expires_at = 'never'"])
async def test_a_damaged_value_is_unavailable_and_given_to_nobody(stores: SQLiteStores, change: str) -> None:
    await stores.one_time.put(b"key", "value", expires_at=NOW + 1, now=NOW)
    await write_connection(stores).execute_fetchall(f"UPDATE asgi_auth_one_time SET {change}")
    with pytest.raises(StoreUnavailable):
        await stores.one_time.take(b"key", now=NOW)
    assert await stores.one_time.take(b"key", now=NOW) is None


@pytest.mark.requirement("R-91", "refuses")
async def test_damaged_attempts_and_devices_are_unavailable_and_open_nothing(stores: SQLiteStores) -> None:
    key = LockoutKey(b"key", b"key", (Limit(1, 60),))
    await stores.lockout.charge(Charge(b"id", ((key,),)), now=NOW)
    await stores.lockout.remember(b"account", b"device", keep=1, expires_at=NOW + 1, now=NOW)
    writes = write_connection(stores)
    await writes.execute_fetchall("UPDATE asgi_auth_lockout_charges SET at = 'never'")
    await writes.execute_fetchall("UPDATE asgi_auth_lockout_devices SET expires_at = 'never'")
    with pytest.raises(StoreUnavailable):
        await stores.lockout.charge(Charge(b"next", ((key,),)), now=NOW)
    with pytest.raises(StoreUnavailable):
        await stores.lockout.is_known(b"account", b"device", now=NOW)


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb"])
async def test_text_that_is_no_unicode_is_refused_without_being_repeated(stores: SQLiteStores, text: str) -> None:
    with pytest.raises(StoreUnavailable) as refusal:
        await stores.accounts.get_by_email(text)
    assert refusal.value.__cause__ is None


@pytest.mark.requirement("R-91", "refuses")
async def test_a_file_that_is_no_database_is_unavailable(path: Path) -> None:
    """It is not taken for a new one, and not written over."""
    path.write_bytes(b"this was a database once " * 100)
    with pytest.raises(StoreUnavailable):
        await SQLiteStores(path).open()
    assert path.read_bytes().startswith(b"this was a database once")
