"""Sessions: begun, and found by their cookies until they end by themselves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_tools import ANNA, IDLE, LIFETIME, World, opened, value, world_in

from asgi_auth.authorization import Roles
from asgi_auth.errors import ConfigurationError, Stale, StoreUnavailable
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.session_data import Changes
from asgi_auth.session_store import Found, Lost
from asgi_auth.sessions import Sessions, cookie_of, csrf_token, secret_of
from asgi_auth.stores import MemoryStores
from asgi_auth.tokens import digest, encode, mint_id, mint_secret


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(request.param, tmp_path) as opened_world:
        yield opened_world


def setting(**values: Any) -> Changes:
    return Changes(values, frozenset())


async def roles(world: World, *names: str) -> None:
    await world.auth.accounts.set_roles(ANNA, names)


@pytest.mark.requirement("R-38", "holds")
@pytest.mark.requirement("R-40", "holds")
async def test_who_signs_in_is_found_by_the_cookie(world: World) -> None:
    signed = await world.sign_in()

    found = await world.find(signed)

    assert isinstance(found, Found)
    assert found.principal == signed.principal
    principal = found.principal
    assert principal is not None
    assert (principal.subject, principal.scheme, principal.client_id) == (ANNA, "session", None)
    assert principal.roles == {"user"}
    assert principal.scopes == {"read:articles", "write:articles"}
    assert principal.credential_id == signed.session.session_id
    assert principal.authenticated_at == world.clock.now()
    assert principal.expires_at == world.clock.now() + LIFETIME
    assert found.session.device == "a browser"


@pytest.mark.requirement("R-38", "holds")
async def test_a_cookie_is_unguessable_and_the_store_cannot_make_one(world: World) -> None:
    signed = [await world.sign_in() for _ in range(100)]

    assert len({one.secret for one in signed}) == len({one.session.session_id for one in signed}) == 100
    for one in signed:
        session = await world.found(one)
        assert session.secret_digest == digest(one.secret)
        assert one.secret not in repr(one)
        assert one.secret not in repr(session)


@pytest.mark.requirement("R-38", "refuses")
async def test_an_id_that_the_server_did_not_make_is_never_adopted(world: World) -> None:
    """CVE-2018-1000519, CVE-2026-79312: an attacker's own id became the victim's session."""
    planted = encode("s", mint_id(), mint_secret()).encode()

    assert await world.sessions.find(planted) is Lost.OVER
    assert await world.sessions.list(ANNA) == ()
    signed = await world.sign_in()
    assert signed.session.session_id.encode() not in planted


@pytest.mark.requirement("R-38", "refuses")
async def test_a_true_id_with_another_secret_is_not_the_session_and_is_left_alone(world: World) -> None:
    signed = await world.sign_in()
    guess = cookie_of(signed.session, mint_secret()).encode()

    assert await world.sessions.find(guess) is Lost.SUPERSEDED
    assert isinstance(await world.find(signed), Found)


JUNK = [b"", b"s_", b"\xff" * 74, b"s_" + b"\\" * 72, b"rt_x", b"x" * 16_000]


@pytest.mark.requirement("R-38", "refuses")
@given(cookie=st.binary(max_size=120) | st.sampled_from(JUNK))
async def test_whatever_the_bytes_junk_is_over_without_a_question_to_the_store(cookie: bytes) -> None:
    class Unasked:
        def __getattr__(self, verb: str) -> Any:
            raise AssertionError(f"{verb} was asked for")

    accounts = PresentAccounts(MemoryStores().accounts, None)
    store: Any = Unasked()
    sessions = Sessions(store, accounts, None, issuer="https://api.example", roles=Roles({}))

    assert await sessions.find(cookie) is Lost.OVER
    assert secret_of(cookie) is None


@pytest.mark.requirement("R-38", "refuses")
async def test_a_cookie_with_any_character_changed_is_not_good(world: World) -> None:
    good = value(await world.sign_in())

    for place in range(len(good)):
        other = b"0" if good[place : place + 1] != b"0" else b"1"
        assert await world.sessions.find(good[:place] + other + good[place + 1 :]) is Lost.OVER


@pytest.mark.requirement("R-40", "refuses")
async def test_it_ends_when_it_is_not_used(world: World) -> None:
    signed = await world.sign_in()

    world.clock.advance(IDLE - 1)
    assert isinstance(await world.find(signed), Found)
    world.clock.advance(1)

    assert await world.find(signed) is Lost.OVER


@pytest.mark.requirement("R-40", "refuses")
async def test_it_ends_whatever_its_use(world: World) -> None:
    """CVE-2018-1000814: a session that is used lived for ever."""
    signed = await world.sign_in()
    used = 0
    while isinstance(found := await world.find(signed), Found):
        await world.sessions.touch(found.session)
        used += 1
        world.clock.advance(IDLE - 1)

    assert used == 25
    assert world.clock.now() - signed.session.created_at >= LIFETIME
    world.clock.advance(-(world.clock.now() - signed.session.expires_at) - 1)
    assert isinstance(await world.find(signed), Found)
    world.clock.advance(1)
    assert await world.find(signed) is Lost.OVER


@pytest.mark.requirement("R-40", "refuses")
async def test_it_ends_whatever_its_use_also_for_whoever_was_here_a_moment_ago(world: World) -> None:
    signed = await world.sign_in()
    while world.clock.now() < signed.session.expires_at - 1:
        world.clock.advance(min(IDLE - 1, signed.session.expires_at - 1 - world.clock.now()))
        await world.sessions.touch(await world.found(signed))
    await world.found(signed)

    world.clock.advance(1)

    assert await world.find(signed) is Lost.OVER


@pytest.mark.requirement("R-40", "holds")
async def test_a_use_puts_its_end_off_and_is_written_20_times_an_idle_timeout_at_most(world: World) -> None:
    signed = await world.sign_in()
    for _ in range(1000):
        found = await world.find(signed)
        assert isinstance(found, Found)
        if found.is_due:
            await world.sessions.touch(found.session)
        world.clock.advance(IDLE / 200)

    assert world.journal.entries.count("touch") == 99
    session = await world.found(signed)
    assert session.idle_expires_at == session.last_seen_at + IDLE
    assert session.version == 0


async def test_a_session_whose_account_is_gone_is_over(world: World) -> None:
    signed = await world.sign_in()
    row = replace(signed.session, session_id=mint_id(), subject="nobody")
    await world.stores.sessions.create(row)

    assert await world.sessions.find(cookie_of(row, signed.secret).encode()) is Lost.OVER


@pytest.mark.requirement("R-91", "refuses")
async def test_a_store_that_fails_is_no_anonymous_caller(world: World) -> None:
    signed = await world.sign_in()

    async def down() -> None:
        raise StoreUnavailable

    world.before("get", down)
    with pytest.raises(StoreUnavailable):
        await world.find(signed)


@pytest.mark.requirement("R-91", "refuses")
async def test_while_the_feed_cannot_be_read_nobody_is_signed_in(world: World) -> None:
    signed = await world.sign_in()
    await world.found(signed)

    async def down() -> None:
        raise StoreUnavailable

    await world.auth.revocations.close()
    world.before("changes", down)
    with pytest.raises(Stale):
        await world.find(signed)


async def test_an_id_that_is_taken_is_not_overwritten(world: World) -> None:
    signed = await world.sign_in()
    taken = replace(signed.session, data='{"stolen": true}')

    assert not await world.stores.sessions.create(taken)
    assert (await world.found(signed)).data == "{}"


async def test_a_sign_in_tries_another_id_and_a_session_of_nobody_is_503() -> None:
    async with opened(MemoryStores()) as world:
        world.journal.is_taken = True
        assert isinstance(await world.find(await world.sign_in()), Found)
        world.journal.is_taken = True
        with pytest.raises(StoreUnavailable):
            await world.sessions.begin(mint_secret(), device="d", data="{}")


@pytest.mark.requirement("R-44", "holds")
@pytest.mark.requirement("R-44", "refuses")
def test_the_csrf_token_belongs_to_one_secret_and_says_nothing_of_it() -> None:
    """CVE-2017-12159, CVE-2026-48060."""
    secrets = [mint_secret() for _ in range(50)]
    tokens = [csrf_token(secret) for secret in secrets]

    assert tokens == [csrf_token(secret) for secret in secrets]
    assert len({*tokens, *secrets}) == 100
    assert all(token.isascii() and token.isalnum() and len(token) == 43 for token in tokens), "nothing to escape"


@pytest.mark.parametrize(
    "lifetimes",
    [
        {"session_idle_timeout": 0},
        {"session_idle_timeout": -1},
        {"session_idle_timeout": float("inf")},
        {"session_lifetime": 0},
        {"session_lifetime": float("nan")},
        {"session_lifetime": float("inf")},
    ],
)
async def test_impossible_lifetimes_are_a_configuration_error(lifetimes: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        async with opened(MemoryStores(), **lifetimes):
            pass


async def test_the_memory_of_found_sessions_is_bounded_and_never_decides() -> None:
    async with opened(MemoryStores()) as world:
        signed = [await world.sign_in() for _ in range(1100)]
        for one in signed * 2:
            assert isinstance(await world.find(one), Found)
        await world.sessions.end_others(ANNA, None)
        assert {await world.find(one) for one in signed} == {Lost.OVER}
