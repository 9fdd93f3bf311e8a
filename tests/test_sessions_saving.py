"""Data of sessions: of concurrent writers nothing is lost, and nothing comes back; it is never code."""

import asyncio
import json
import pickle
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from session_tools import ANNA, IDLE, World, value, world_in

from asgi_auth.errors import StoreUnavailable
from asgi_auth.session_data import Changes
from asgi_auth.session_store import Lost, Renewal, SignedIn
from asgi_auth.sessions import csrf_token
from asgi_auth.tokens import mint_secret


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(request.param, tmp_path) as opened_world:
        yield opened_world


def setting(**values: Any) -> Changes:
    return Changes(values, frozenset())


async def roles(world: World, *names: str) -> None:
    await world.auth.accounts.set_roles(ANNA, names)


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
