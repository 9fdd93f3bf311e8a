"""A sign-in and other rights renew the secret: whoever has the cookie of before has nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from session_tools import ANNA, BOB, LIFETIME, World, world_in

from asgi_auth.errors import InvalidCredentials, Reason
from asgi_auth.session_data import Changes
from asgi_auth.session_store import Found, Lost, Renewal, Session
from asgi_auth.sessions import cookie_of
from asgi_auth.tokens import digest, mint_secret


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(request.param, tmp_path) as opened_world:
        yield opened_world


def setting(**values: Any) -> Changes:
    return Changes(values, frozenset())


async def roles(world: World, *names: str) -> None:
    await world.auth.accounts.set_roles(ANNA, names)


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
    await world.find(signed)
    await roles(world, "admin")

    found = await world.find(signed)

    assert isinstance(found, Found)
    assert found.principal is not None
    assert found.principal.roles == {"admin"}
    assert found.principal.scopes == {"*"}
    assert found.other_roles == frozenset({"admin"})


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
