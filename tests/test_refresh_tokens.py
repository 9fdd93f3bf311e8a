"""Refresh tokens: issued, rotated, narrowed, ended."""

import asyncio
import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from family_tools import CLIENT, Families
from hypothesis import example, given
from hypothesis import strategies as st
from sites import services
from sqlite_tools import opened_stores

from asgi_auth.accounts import Account
from asgi_auth.errors import ConfigurationError, InsufficientScope, InvalidCredentials, InvalidToken, Reason
from asgi_auth.refresh_tokens import RefreshTokens, Tokens
from asgi_auth.testing.clock import FakeClock

DAY = 86400.0


@pytest.fixture
def world() -> Families:
    return Families()


def parts(token: str) -> tuple[str, str, str]:
    """Family id, member secret, secret."""
    _, family_id, rest = token.split("_")
    return family_id, rest[:22], rest[22:65]


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": 0},
        {"lifetime": math.nan},
        {"lifetime": math.inf},
        {"family_lifetime": -1},
        {"family_lifetime": math.inf},
        {"families_per_subject": 0},
        {"reuse_leeway": -0.1},
        {"reuse_leeway": 60.1},
        {"reuse_leeway": math.nan},
    ],
)
@pytest.mark.requirement("R-29", "refuses")
def test_what_makes_no_bound_is_a_configuration_error(world: Families, options: dict[str, Any]) -> None:
    auth = world.auth
    with pytest.raises(ConfigurationError):
        RefreshTokens(world.stores.refresh_tokens, auth.accounts, auth.access_tokens, None, roles=auth.roles, **options)


async def test_a_sign_in_gives_the_members_of_a_token_response(world: Families) -> None:
    tokens = await world.sign_in()
    assert tokens.as_json() == {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": tokens.refresh_token,
        "scope": "read:articles write:articles",
    }
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)


@pytest.mark.requirement("R-26", "holds")
async def test_a_refresh_token_carries_256_bits_and_only_digests_of_it_are_stored(world: Families) -> None:
    tokens = await world.sign_in()
    family_id, member_secret, secret = parts(tokens.refresh_token)
    assert len(secret) * math.log2(62) >= 256
    family = world.stores.refresh_tokens._families[family_id]
    assert family.member_digest == hashlib.sha256(member_secret.encode()).digest()
    assert family.current_digest == hashlib.sha256(secret.encode()).digest()
    principal = await world.access.verify(tokens.access_token)
    assert principal.claims["sid"] == family_id


@pytest.mark.requirement("R-27", "holds")
async def test_a_rotation_gives_another_pair_of_the_same_family(world: Families) -> None:
    first = await world.sign_in(authenticated_at=1_700_000_000.0)
    second = await world.rotate(first)
    third = await world.rotate(second)
    assert len({token.access_token for token in (first, second, third)}) == 3
    assert len({parts(token.refresh_token)[:2] for token in (first, second, third)}) == 1
    assert len({parts(token.refresh_token)[2] for token in (first, second, third)}) == 3
    principal = await world.access.verify(third.access_token)
    assert (principal.subject, principal.authenticated_at) == ("anna", 1_700_000_000)


async def test_whoever_proves_himself_now_is_authenticated_now(world: Families) -> None:
    tokens = await world.sign_in()
    assert (await world.access.verify(tokens.access_token)).authenticated_at == world.clock.now()


@pytest.mark.requirement("R-30", "holds")
async def test_a_narrowed_pair_stays_narrow_and_has_no_roles(world: Families) -> None:
    await world.anna(roles=frozenset({"admin"}))
    tokens = await world.sign_in(scopes=["read:articles"])
    for _ in range(2):
        principal = await world.access.verify(tokens.access_token)
        assert (sorted(principal.scopes), sorted(principal.roles)) == (["read:articles"], [])
        assert tokens.scope == "read:articles"
        tokens = await world.rotate(tokens)


@pytest.mark.requirement("R-30", "refuses")
@pytest.mark.parametrize(
    "scopes",
    [["admin"], ["read:articles", "admin"], ["*"], [""], "read:articles", ["read:articles write:articles"]],
)
async def test_scopes_that_the_account_does_not_have_are_refused_and_nothing_is_stored(
    world: Families, scopes: list[str]
) -> None:
    with pytest.raises(InsufficientScope):
        await world.sign_in(scopes=scopes)
    assert "create" not in world.entries.verbs


@pytest.mark.requirement("R-30", "refuses")
async def test_a_scope_with_a_space_does_not_become_two_scopes() -> None:
    """``*`` grants any one scope; a text of two would be read as two by every verifier."""
    world = Families()
    await world.anna(roles=frozenset({"admin"}))
    with pytest.raises(InsufficientScope):
        await world.sign_in(scopes=["read:x admin"])


@pytest.mark.requirement("R-30", "refuses")
async def test_roles_taken_away_are_gone_with_the_next_rotation(world: Families) -> None:
    await world.anna(roles=frozenset({"user", "admin"}))
    tokens, narrowed = await world.sign_in(), await world.sign_in(scopes=["read:articles", "delete:articles"])
    await world.auth.accounts.set_roles("anna", ["user"])
    tokens, narrowed = await world.rotate(tokens), await world.rotate(narrowed)
    principal = await world.access.verify(tokens.access_token)
    assert (sorted(principal.scopes), sorted(principal.roles)) == (["read:articles", "write:articles"], ["user"])
    assert (await world.access.verify(narrowed.access_token)).scopes == {"read:articles"}
    await world.auth.accounts.set_roles("anna", ["user", "admin"])
    assert (await world.rotate(narrowed)).scope == "delete:articles read:articles"


@pytest.mark.requirement("R-30", "refuses")
async def test_a_token_that_nobody_exchanges_ends_and_using_it_keeps_it() -> None:
    world = Families(refresh_token_lifetime=10 * DAY)
    unused, tokens = await world.sign_in(), await world.sign_in()
    for _ in range(5):
        world.clock.advance(10 * DAY - 1)
        tokens = await world.rotate(tokens)
        assert world.clock.now() < 1_800_000_000 + 10 * DAY or await world.refused(unused) is Reason.REFRESH_EXPIRED
    world.clock.advance(10 * DAY)
    assert await world.refused(tokens) is Reason.REFRESH_EXPIRED


@pytest.mark.requirement("R-30", "refuses")
async def test_a_family_ends_after_its_time_however_often_it_is_used() -> None:
    world = Families(refresh_token_lifetime=10 * DAY, refresh_family_lifetime=15 * DAY)
    tokens = await world.sign_in()
    for _ in range(2):
        world.clock.advance(7 * DAY)
        tokens = await world.rotate(tokens)
    world.clock.advance(DAY)
    assert await world.refused(tokens) is Reason.REFRESH_EXPIRED


@pytest.mark.requirement("R-30", "holds")
async def test_one_sign_in_too_many_ends_the_oldest_and_its_access_tokens() -> None:
    world = Families(families_per_subject=2)
    signed_in = []
    for _ in range(4):
        signed_in.append(await world.sign_in())
        world.clock.advance(1)
    assert [await world.is_alive(tokens) for tokens in signed_in] == [False, False, True, True]
    assert await world.refused(signed_in[0]) is Reason.REFRESH_EXPIRED


async def test_a_sign_in_whose_client_leaves_still_ends_the_access_of_the_oldest() -> None:
    world = Families(families_per_subject=1)
    oldest = await world.sign_in()
    waits, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await go_on.wait()

    world.entries.before["tell"] = wait
    signing_in = asyncio.create_task(world.sign_in())
    await asyncio.wait_for(waits.wait(), 30)
    signing_in.cancel()
    await asyncio.gather(signing_in, return_exceptions=True)
    go_on.set()
    await world.auth.refresh_tokens.close()
    assert not await world.access_is_good(oldest)


@pytest.mark.requirement("R-31", "holds")
async def test_ending_one_family_ends_its_access_tokens_and_no_other(world: Families) -> None:
    mine, other = await world.sign_in(), await world.sign_in()
    second = await world.rotate(mine)
    assert await world.auth.refresh_tokens.revoke(mine.refresh_token), "a spent token is proof enough"
    assert [await world.is_alive(tokens) for tokens in (mine, second, other)] == [False, False, True]
    assert await world.auth.refresh_tokens.revoke(second.refresh_token)
    assert await world.refused(second) is Reason.REFRESH_EXPIRED
    assert await world.auth.refresh_tokens.revoke_family(parts(other.refresh_token)[0])
    assert not await world.is_alive(other)


@pytest.mark.requirement("R-31", "refuses")
async def test_what_is_none_of_ours_ends_nothing(world: Families) -> None:
    mine, other = await world.sign_in(), await world.sign_in()
    stranger = await Families().sign_in()
    for text in (stranger.refresh_token, "", mine.access_token, mine.refresh_token[:-1]):
        assert not await world.auth.refresh_tokens.revoke(text)
    assert not await world.auth.refresh_tokens.revoke_family("unknown")
    assert [await world.is_alive(tokens) for tokens in (mine, other)] == [True, True]


async def test_without_a_feed_a_family_ends_and_access_tokens_live_on(world: Families) -> None:
    auth = world.auth
    unfed = RefreshTokens(
        world.stores.refresh_tokens, auth.accounts, auth.access_tokens, None, roles=auth.roles, clock=world.clock
    )
    tokens = await unfed.issue(await world.anna(), client_id=CLIENT)
    assert await unfed.revoke(tokens.refresh_token)
    assert await world.refused(tokens) is Reason.REFRESH_EXPIRED
    assert await world.access_is_good(tokens)


@pytest.mark.requirement("R-15", "refuses")
async def test_a_disabled_account_gets_no_pair_and_loses_those_it_has(world: Families) -> None:
    tokens = await world.sign_in()
    await world.auth.accounts.disable("anna")
    with pytest.raises(InvalidCredentials):
        await world.sign_in()
    assert not await world.access_is_good(tokens)
    assert await world.refused(tokens) is Reason.REFRESH_EXPIRED


@pytest.mark.requirement("R-15", "holds")
async def test_an_account_that_is_enabled_again_signs_in_anew(world: Families) -> None:
    before = await world.sign_in()
    await world.auth.accounts.disable("anna")
    await world.auth.accounts.enable("anna")
    after = await world.sign_in()
    assert [await world.access_is_good(tokens) for tokens in (before, after)] == [False, True]
    assert await world.access_is_good(await world.rotate(after))


async def end_deleted(world: Families, account: Account) -> None:
    world.stores.accounts.delete(account.subject)


async def end_disabled(world: Families, account: Account) -> None:
    await world.stores.accounts.update(account, replace(account, disabled_at=world.clock.now()))


async def end_epoch(world: Families, account: Account) -> None:
    await world.stores.accounts.raise_epoch(account.subject, 1)


@pytest.mark.requirement("R-15", "refuses")
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (end_deleted, Reason.ACCOUNT_UNKNOWN),
        (end_disabled, Reason.ACCOUNT_DISABLED),
        (end_epoch, Reason.EPOCH_OLD),
    ],
)
async def test_the_row_of_the_account_decides_even_where_nobody_told_the_families(
    world: Families, end: Any, reason: Reason
) -> None:
    """Also where it changes between the rotation and the answer."""
    tokens = await world.sign_in()
    account = await world.anna()
    world.entries.after["advance"] = lambda: end(world, account)
    assert await world.refused(tokens) is reason
    assert not await world.access_is_good(tokens)
    assert await world.refused(tokens) is Reason.REFRESH_REUSED


@pytest.mark.requirement("R-31", "refuses")
async def test_a_sign_in_that_began_before_the_ending_is_refused(world: Families) -> None:
    """The account was read, then the password changed, then the family was to be made, however much later."""
    account = await world.anna()
    await world.auth.accounts.end_credentials("anna")
    with pytest.raises(InvalidCredentials) as refused:
        await world.auth.refresh_tokens.issue(account, client_id=CLIENT)
    assert refused.value.reason is Reason.EPOCH_OLD


@pytest.mark.requirement("R-31", "refuses")
async def test_a_sign_in_that_began_before_an_ending_elsewhere_is_void(world: Families) -> None:
    account = await world.anna()
    await world.stores.accounts.raise_epoch("anna", 1)  # another worker; the feed does not tell of it yet
    tokens = await world.auth.refresh_tokens.issue(account, client_id=CLIENT)
    await world.auth.accounts.end_credentials("anna", at_least=1)
    assert not await world.access_is_good(tokens)
    assert await world.refused(tokens) is Reason.REFRESH_EXPIRED


BAD = Families()
GOOD = asyncio.run(BAD.sign_in()).refresh_token


@example(GOOD + "\n")
@example(GOOD.lower())
@example("rt_" + "0" * 22 + "_" + "0" * 71)
@given(st.text(max_size=200) | st.integers(0, 92).map(lambda at: GOOD[:at] + "é" + GOOD[at + 1 :]))
def test_what_is_no_refresh_token_costs_no_read(text: str) -> None:
    before = len(BAD.entries.verbs)
    with pytest.raises(InvalidToken) as caught:
        asyncio.run(BAD.auth.refresh_tokens.rotate(text, client_id=CLIENT))
    assert caught.value.reason is Reason.REFRESH_MALFORMED
    assert asyncio.run(BAD.auth.refresh_tokens.revoke(text)) is False
    assert len(BAD.entries.verbs) == before


@pytest.mark.requirement("R-26", "refuses")
@pytest.mark.parametrize("leeway", [0, 10])
async def test_a_stolen_database_holds_no_secret_of_any_token(tmp_path: Path, leeway: float) -> None:
    """CVE-2020-15105, and nothing from which the live token could be derived: its parent's secret is not there."""
    async with opened_stores(tmp_path / "auth.db") as stores:
        auth = services(FakeClock(), stores=stores, reuse_leeway=leeway)
        account = Account(subject="anna", email="a@b.c", password_hash=None, roles=frozenset(), created_at=0.0)
        await stores.accounts.create(account)
        given = [await auth.refresh_tokens.issue(account, client_id=CLIENT)]
        for _ in range(2):
            given.append(await auth.refresh_tokens.rotate(given[-1].refresh_token, client_id=CLIENT))
        await auth.refresh_tokens.revoke(given[-1].refresh_token)
    dump = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert parts(given[0].refresh_token)[0].encode() in dump, "the id is there"
    assert not [secret for tokens in given for secret in secrets_of(tokens) if secret.encode() in dump]


def secrets_of(tokens: Tokens) -> list[str]:
    _, member_secret, secret = parts(tokens.refresh_token)
    return [member_secret, secret, tokens.refresh_token, tokens.access_token, tokens.access_token.split(".")[2]]


async def test_a_record_of_a_family_holds_digests_alone(world: Families) -> None:
    tokens = await world.rotate(await world.sign_in())
    rows = json.dumps([asdict(row) for row in world.stores.refresh_tokens._families.values()], default=repr)
    assert not [secret for secret in secrets_of(tokens) if secret in rows]
