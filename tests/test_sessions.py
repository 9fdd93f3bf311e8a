"""Sessions: begun, found, renewed, saved and ended."""

import asyncio
import json
import pickle
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_tools import ANNA, BOB, IDLE, LIFETIME, World, opened, value, world_in

from asgi_auth.authorization import Roles
from asgi_auth.errors import ConfigurationError, InvalidCredentials, Reason, StoreUnavailable
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.session_data import Changes
from asgi_auth.session_store import Found, Lost, Renewal, Session, SignedIn
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


@pytest.mark.requirement("R-40", "holds")
async def test_a_use_puts_its_end_off_and_is_written_20_times_an_idle_timeout_at_most(world: World) -> None:
    signed = await world.sign_in()
    for _ in range(1000):
        session = await world.found(signed)
        if world.sessions.is_due(session):
            await world.sessions.touch(session)
        world.clock.advance(IDLE / 200)

    assert world.journal.entries.count("touch") == 99
    session = await world.found(signed)
    assert session.idle_expires_at == session.last_seen_at + IDLE
    assert session.version == 0


@pytest.mark.requirement("R-39", "holds")
@pytest.mark.requirement("R-39", "refuses")
async def test_a_sign_in_keeps_the_id_and_the_data_and_the_old_cookie_is_dead(world: World) -> None:
    """CVE-2022-25896, CVE-2024-7341: whoever planted the cookie of before was signed in, too."""
    anonymous = await world.sessions.begin(secret := mint_secret(), device="d", data='{"basket": [1]}')
    planted = cookie_of(anonymous, secret).encode()
    found = await world.sessions.find(planted)
    assert isinstance(found, Found)
    assert found.principal is None

    signed = await world.sign_in(before=found.session, changes=setting(seen=True))

    assert signed.session.session_id == anonymous.session_id
    assert await world.sessions.find(planted) is Lost.SUPERSEDED
    assert json.loads((await world.found(signed)).data) == {"basket": [1], "seen": True}


@pytest.mark.requirement("R-39", "refuses")
async def test_signing_in_again_kills_the_cookie_of_before_and_begins_the_lifetime_anew(world: World) -> None:
    first = await world.sign_in(changes=setting(a=1))
    world.clock.advance(1000)

    second = await world.sign_in(before=first.session)

    assert await world.find(first) is Lost.SUPERSEDED
    assert (second.session.session_id, second.session.expires_at) == (
        first.session.session_id,
        world.clock.now() + LIFETIME,
    )
    assert json.loads((await world.found(second)).data) == {"a": 1}


@pytest.mark.requirement("R-39", "refuses")
async def test_somebody_else_gets_neither_the_id_nor_the_data(world: World) -> None:
    annas = await world.sign_in(changes=setting(diary="private"))

    bobs = await world.sign_in(BOB, before=annas.session, changes=setting(also="private"))

    assert bobs.session.session_id != annas.session.session_id
    assert (await world.found(bobs)).data == "{}"
    assert await world.find(annas) is Lost.OVER
    assert [entry for entry in world.journal.entries if entry != "get"] == ["create", "revoke session", "replace"]


@pytest.mark.requirement("R-39", "refuses")
async def test_of_twenty_concurrent_sign_ins_with_one_cookie_one_keeps_the_id_and_the_cookie_is_dead(
    world: World,
) -> None:
    anonymous = await world.sessions.begin(secret := mint_secret(), device="d", data='{"a": 1}')

    signed = await asyncio.gather(*(world.sign_in(before=anonymous) for _ in range(20)))

    kept = [one for one in signed if one.session.session_id == anonymous.session_id]
    assert (len(kept), len({one.session.session_id for one in signed})) == (1, 20)
    assert await world.sessions.find(cookie_of(anonymous, secret).encode()) is Lost.SUPERSEDED
    assert [json.loads((await world.found(one)).data) for one in signed] == [{"a": 1}] * 20


async def test_a_sign_in_begins_a_new_session_where_the_old_one_has_ended_meanwhile(world: World) -> None:
    first = await world.sign_in(changes=setting(a=1))
    await world.sessions.log_out(first.session)

    second = await world.sign_in(before=first.session)

    assert second.session.session_id != first.session.session_id
    assert json.loads((await world.found(second)).data) == {"a": 1}


async def test_a_sign_in_loses_nothing_that_another_request_saved_meanwhile(world: World) -> None:
    anonymous = await world.sessions.begin(mint_secret(), device="d", data="{}")
    world.before("replace", lambda: world.sessions.save(anonymous, setting(other=1), renewal=None))

    signed = await world.sign_in(before=anonymous, changes=setting(own=2))

    assert json.loads((await world.found(signed)).data) == {"other": 1, "own": 2}
    assert signed.session.session_id == anonymous.session_id


@pytest.mark.requirement("R-39", "holds")
async def test_who_is_unknown_disabled_or_ended_since_the_proof_is_not_signed_in(world: World) -> None:
    await world.auth.accounts.disable(BOB)
    await world.auth.accounts.end_credentials(ANNA)

    for subject, epoch, reason in (
        ("nobody", None, Reason.ACCOUNT_UNKNOWN),
        (BOB, None, Reason.ACCOUNT_DISABLED),
        (ANNA, 0, Reason.EPOCH_OLD),
    ):
        with pytest.raises(InvalidCredentials) as refused:
            await world.sign_in(subject, epoch=epoch)
        assert refused.value.reason is reason
    assert isinstance(await world.find(await world.sign_in(epoch=1)), Found)


async def test_a_sign_in_whose_account_was_ended_while_it_began_is_refused_at_its_first_use(world: World) -> None:
    world.before("create", lambda: world.auth.accounts.end_credentials(ANNA))

    signed = await world.sign_in(epoch=0)

    assert await world.find(signed) is Lost.OVER


@pytest.mark.requirement("R-86", "holds")
async def test_the_rights_are_those_of_the_account_now(world: World) -> None:
    signed = await world.sign_in()
    await roles(world, "admin")

    found = await world.find(signed)

    assert isinstance(found, Found)
    assert found.principal is not None
    assert found.principal.roles == {"admin"}
    assert found.principal.scopes == {"*"}
    assert found.has_other_rights


@pytest.mark.requirement("R-39", "holds")
@pytest.mark.requirement("R-39", "refuses")
async def test_of_ten_concurrent_renewals_one_wins_and_the_old_cookie_is_dead(world: World) -> None:
    signed = await world.sign_in()
    await roles(world, "admin")
    renewals = [Renewal(mint_secret(), frozenset({"admin"})) for _ in range(10)]

    saved = await asyncio.gather(
        *(
            world.sessions.save(signed.session, setting(**{f"k{number}": number}), renewal=renewal)
            for number, renewal in enumerate(renewals)
        )
    )

    winner = await world.stores.sessions.get(signed.session.session_id)
    assert winner is not None
    assert sum(winner.secret_digest == digest(renewal.secret) for renewal in renewals) == 1
    assert all(isinstance(one, Session) and one.secret_digest == winner.secret_digest for one in saved)
    assert json.loads(winner.data) == {f"k{number}": number for number in range(10)}
    assert await world.find(signed) is Lost.SUPERSEDED
    assert winner.roles == {"admin"}


async def test_a_renewal_that_another_request_was_faster_with_is_not_made_again(world: World) -> None:
    signed = await world.sign_in()
    first, second = (Renewal(mint_secret(), frozenset({"admin"})) for _ in range(2))
    await world.sessions.save(signed.session, setting(), renewal=first)

    saved = await world.sessions.save(signed.session, setting(), renewal=second)

    assert isinstance(saved, Session)
    assert saved.secret_digest == digest(first.secret)
    assert world.journal.entries.count("replace") == 2


@pytest.mark.requirement("R-47", "holds")
async def test_of_two_writers_each_keeps_its_own_name_and_of_one_name_the_last_value_stays(world: World) -> None:
    signed = await world.sign_in(changes=setting(old=1, gone=2))

    await world.sessions.save(signed.session, setting(a=1, both="first"), renewal=None)
    await world.sessions.save(signed.session, Changes({"b": 2, "both": "last"}, frozenset({"gone"})), renewal=None)

    assert json.loads((await world.found(signed)).data) == {"old": 1, "a": 1, "b": 2, "both": "last"}


@pytest.mark.requirement("R-47", "holds")
async def test_of_eight_concurrent_writers_every_name_is_kept(world: World) -> None:
    signed = await world.sign_in()

    await asyncio.gather(
        *(world.sessions.save(signed.session, setting(**{f"k{n}": n}), renewal=None) for n in range(8))
    )

    session = await world.found(signed)
    assert json.loads(session.data) == {f"k{n}": n for n in range(8)}
    assert session.version == 8


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.requirement("R-46", "refuses")
async def test_what_was_ended_is_never_brought_back(world: World) -> None:
    signed = await world.sign_in()
    renewal = Renewal(mint_secret(), frozenset({"admin"}))
    world.before("save", lambda: world.sessions.log_out(signed.session))
    assert await world.sessions.save(signed.session, setting(a=1), renewal=None) is Lost.OVER
    assert await world.sessions.save(signed.session, setting(a=1), renewal=renewal) is Lost.OVER

    assert await world.find(signed) is Lost.OVER
    assert await world.stores.sessions.get(signed.session.session_id) is None


@pytest.mark.requirement("R-47", "refuses")
async def test_what_has_expired_meanwhile_is_not_saved(world: World) -> None:
    signed = await world.sign_in()
    world.clock.advance(IDLE)

    assert await world.sessions.save(signed.session, setting(a=1), renewal=None) is Lost.OVER


@pytest.mark.requirement("R-39", "refuses")
async def test_a_request_of_before_a_sign_in_writes_nothing_into_the_session_after_it(world: World) -> None:
    """Whoever planted the cookie may still have a request on its way."""
    anonymous = await world.sessions.begin(mint_secret(), device="d", data="{}")
    signed = await world.sign_in(before=anonymous)

    assert await world.sessions.save(anonymous, setting(a=1), renewal=None) is Lost.SUPERSEDED
    assert (await world.found(signed)).data == "{}"


async def test_a_save_gives_up_after_ten_lost_attempts(world: World) -> None:
    signed = await world.sign_in()
    session = signed.session

    async def other() -> None:
        store = world.stores.stores.sessions
        now = await store.get(session.session_id)
        assert now is not None
        await store.save(session.session_id, version=now.version, data="{}", now=world.clock.now())

    world.before("save", *[other] * 10)
    with pytest.raises(StoreUnavailable):
        await world.sessions.save(session, setting(a=1), renewal=None)
    world.before("replace", *[other] * 10)
    with pytest.raises(StoreUnavailable):
        await world.sign_in(before=await world.found(signed))


@pytest.mark.requirement("R-46", "holds")
@pytest.mark.requirement("R-33", "holds")
async def test_the_owner_sees_and_ends_its_sessions(world: World) -> None:
    first = await world.sign_in()
    world.clock.advance(1)
    second, third, bobs = await world.sign_in(), await world.sign_in(), await world.sign_in(BOB)
    listed = await world.sessions.list(ANNA)
    assert {session.session_id for session in listed} == {one.session.session_id for one in (first, second, third)}
    assert listed[-1].session_id == first.session.session_id

    assert await world.sessions.end(ANNA, first.session.session_id)
    assert not await world.sessions.end(ANNA, first.session.session_id)
    assert await world.sessions.end_others(ANNA, second.session.session_id) == 1

    assert [await world.find(one) for one in (first, third)] == [Lost.OVER, Lost.OVER]
    assert [type(await world.find(one)) for one in (second, bobs)] == [Found, Found]
    assert await world.sessions.end_others(ANNA, None) == 1
    assert await world.find(second) is Lost.OVER


@pytest.mark.requirement("R-46", "refuses")
@pytest.mark.parametrize("id", ["", "junk", "a" * 22, "\ud800" * 22, "é" * 22])
async def test_what_is_not_ones_own_is_not_ended(world: World, id: str) -> None:
    signed = await world.sign_in()

    assert not await world.sessions.end(ANNA, id)
    assert not await world.sessions.end(BOB, signed.session.session_id)

    assert isinstance(await world.find(signed), Found)
    assert "revoke session" not in world.journal.entries


async def test_what_has_expired_cannot_be_ended(world: World) -> None:
    signed = await world.sign_in()
    world.clock.advance(IDLE)

    assert not await world.sessions.end(ANNA, signed.session.session_id)


@pytest.mark.requirement("R-31", "holds")
async def test_every_ending_is_told_before_the_row_is_deleted(world: World) -> None:
    for end in (
        lambda session: world.sessions.log_out(session),
        lambda session: world.sessions.end(ANNA, session.session_id),
        lambda session: world.sessions.end_others(ANNA, None),
    ):
        signed = await world.sign_in()
        world.journal.entries.clear()
        await end(signed.session)
        steps = [entry for entry in world.journal.entries if entry != "get"]
        assert steps[0] == "revoke session"
        assert steps[1:] in (["delete"], ["delete all"])


async def test_a_session_that_began_while_the_others_were_ended_is_told_too(world: World) -> None:
    late: list[Any] = []

    async def begins() -> None:
        late.append(await world.sign_in())

    world.before("delete all", begins)

    assert await world.sessions.end_others(ANNA, None) == 1
    assert world.journal.entries.count("revoke session") == 1
    assert await world.find(late[0]) is Lost.OVER


@pytest.mark.requirement("R-31", "refuses")
async def test_a_session_whose_ending_was_told_is_over_though_its_row_is_still_there(world: World) -> None:
    signed = await world.sign_in()

    async def down() -> None:
        raise StoreUnavailable

    world.before("delete", down)
    with pytest.raises(StoreUnavailable):
        await world.sessions.log_out(signed.session)

    assert await world.find(signed) is Lost.OVER


async def test_an_ending_comes_to_its_end_although_its_caller_leaves(world: World) -> None:
    signed = await world.sign_in()
    told, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        told.set()
        await go_on.wait()

    world.before("delete", wait)
    leaving = asyncio.create_task(world.sessions.log_out(signed.session))
    await told.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go_on.set()
    await world.sessions.close()

    assert await world.stores.sessions.get(signed.session.session_id) is None


@pytest.mark.requirement("R-46", "holds")
async def test_a_session_of_nobody_ends_without_a_word_to_the_feed(world: World) -> None:
    session = await world.sessions.begin(secret := mint_secret(), device="d", data="{}")

    await world.sessions.log_out(session)

    assert await world.sessions.find(cookie_of(session, secret).encode()) is Lost.OVER
    assert "revoke session" not in world.journal.entries


@pytest.mark.requirement("R-52", "holds")
@pytest.mark.parametrize("ending", ["disable", "end_credentials"])
async def test_an_epoch_ends_every_session_of_its_subject(world: World, ending: str) -> None:
    signed, bobs = [await world.sign_in() for _ in range(3)], await world.sign_in(BOB)

    await getattr(world.auth.accounts, ending)(ANNA)

    assert [await world.find(one) for one in signed] == [Lost.OVER] * 3
    assert await world.sessions.list(ANNA) == ()
    assert isinstance(await world.find(bobs), Found)


@pytest.mark.requirement("R-52", "refuses")
async def test_a_session_of_a_lower_epoch_is_over_although_its_row_is_still_there(world: World) -> None:
    """The process that raised the epoch died before it told anybody: what is kept of accounts is read again by then."""
    signed = await world.sign_in()
    await world.stores.accounts.raise_epoch(ANNA, 1)
    world.clock.advance(60)

    assert await world.find(signed) is Lost.OVER
    assert await world.stores.sessions.get(signed.session.session_id) is not None


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


@pytest.mark.requirement("R-47", "refuses")
@pytest.mark.requirement("R-93", "refuses")
@pytest.mark.parametrize("kind", ["blob", "text"])
async def test_a_pickle_in_the_store_is_bad_data_and_never_code(tmp_path: Path, kind: str) -> None:
    """CVE-2021-33026."""
    async with world_in("sqlite", tmp_path) as world:
        signed = await world.sign_in()
        ran = tmp_path / "ran"
        pickled = pickle.dumps(Bomb(ran), protocol=0)
        data = pickled if kind == "blob" else pickled.decode()
        with sqlite3.connect(tmp_path / "auth.db") as connection:
            connection.execute("UPDATE asgi_auth_sessions SET data = ?", (data,))
        connection.close()

        with pytest.raises(StoreUnavailable):
            await read(world, signed)

        assert not ran.exists()
        pickle.loads(pickled)
        assert ran.exists(), "the pickle was a working one"


async def read(world: World, signed: SignedIn) -> str:
    return setting(a=1).applied_to((await world.found(signed)).data)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.requirement("R-38", "refuses")
async def test_a_stolen_database_holds_no_secret(tmp_path: Path) -> None:
    """CVE-2020-15105: what a login went through stayed in the session."""
    async with world_in("sqlite", tmp_path) as world:
        signed = await world.sign_in(changes=setting(a=1))
        await world.sessions.touch(signed.session)
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())

        assert signed.session.session_id.encode() in kept
        for secret in (signed.secret, value(signed).decode(), csrf_token(signed.secret)):
            assert secret.encode() not in kept
