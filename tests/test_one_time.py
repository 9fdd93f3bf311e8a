"""One-time tokens are good for one use, and what must not be seen twice is not."""

import asyncio
import math
import sqlite3
import string
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_tools import opened_stores

from asgi_auth.clock import SKEW_BUDGET
from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.one_time import LONGEST_LIFETIME, OneTimeStore, OneTimeTokens
from asgi_auth.stores import MemoryStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import SECRET_LENGTH, is_secret, mint_secret

T = TypeVar("T")

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ANY_BYTES = st.binary(max_size=60).map(lambda found: found.decode("latin-1"))
NEARLY_TOKENS = st.text(string.ascii_letters + string.digits, min_size=SECRET_LENGTH, max_size=SECRET_LENGTH)


class NoStore:
    """A store that must not be asked, and finds every key taken where it is."""

    def __init__(self) -> None:
        self.asked = 0

    async def put(self, key: bytes, value: str, *, expires_at: float, now: float) -> bool:
        self.asked += 1
        return False

    async def take(self, key: bytes, *, now: float) -> str | None:
        self.asked += 1
        return None

    async def purge(self, *, now: float, limit: int) -> int:
        self.asked += 1
        return 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[OneTimeStore]:
    if request.param == "memory":
        yield MemoryStores().one_time
    else:
        async with opened_stores(path) as stores:
            yield stores.one_time


@pytest.fixture
def tokens(store: OneTimeStore, clock: FakeClock) -> OneTimeTokens:
    return OneTimeTokens(store, clock=clock)


def run(call: Awaitable[T]) -> T:
    async def main() -> T:
        return await call

    return asyncio.run(main())


@pytest.mark.requirement("R-90", "holds")
async def test_a_token_gives_its_value_once(tokens: OneTimeTokens) -> None:
    token = await tokens.issue("reset", "subject-1", lifetime=600)
    other = await tokens.issue("reset", "subject-1", lifetime=600)
    assert is_secret(token)
    assert token != other
    assert [await tokens.take("reset", token) for _ in range(2)] == ["subject-1", None]
    assert await tokens.take("reset", other) == "subject-1"


@pytest.mark.requirement("R-90", "holds")
async def test_of_many_who_take_one_token_at_once_one_gets_the_value(tokens: OneTimeTokens) -> None:
    token = await tokens.issue("reset", "subject-1", lifetime=600)
    taken = await asyncio.gather(*(tokens.take("reset", token) for _ in range(32)))
    assert sorted(taken, key=str) == [None] * 31 + ["subject-1"]


@pytest.mark.requirement("R-90", "refuses")
async def test_a_token_that_has_expired_is_nothing(tokens: OneTimeTokens, clock: FakeClock) -> None:
    """An end that is now has passed."""
    late, in_time = [await tokens.issue("reset", "value", lifetime=LONGEST_LIFETIME) for _ in range(2)]
    clock.advance(LONGEST_LIFETIME - 0.25)
    assert await tokens.take("reset", in_time) == "value"
    clock.advance(0.25)
    assert await tokens.take("reset", late) is None


@pytest.mark.parametrize("lifetime", [0, -1, 3600.001, math.inf, math.nan])
async def test_a_lifetime_of_more_than_an_hour_or_none_is_a_configuration_error(lifetime: float) -> None:
    store = NoStore()
    with pytest.raises(ConfigurationError):
        await OneTimeTokens(store).issue("reset", "value", lifetime=lifetime)
    assert store.asked == 0


async def test_a_token_that_could_not_be_stored_is_not_handed_out() -> None:
    with pytest.raises(StoreUnavailable):
        await OneTimeTokens(NoStore()).issue("reset", "value", lifetime=1)


@pytest.mark.requirement("R-93", "refuses")
@pytest.mark.parametrize("other", ["verify", "", "rese", "reset ", "RESET", "token reset"])
async def test_a_token_of_one_purpose_is_nothing_to_another(tokens: OneTimeTokens, other: str) -> None:
    """And asking for it there does not use it up."""
    token = await tokens.issue("reset", "value", lifetime=600)
    assert await tokens.take(other, token) is None
    assert await tokens.take("reset", token) == "value"


@pytest.mark.requirement("R-93", "holds")
async def test_the_file_holds_no_token(path: Path, clock: FakeClock) -> None:
    """Digests alone: whoever reads the database can use nothing of it."""
    async with opened_stores(path) as stores:
        token = await OneTimeTokens(stores.one_time, clock=clock).issue("reset", "value", lifetime=600)
    with closing(sqlite3.connect(path)) as connection:
        ((key, value),) = connection.execute("SELECT key, value FROM asgi_auth_one_time").fetchall()
    assert (len(key), value) == (32, "value")
    assert all(token.encode() not in file.read_bytes() for file in path.parent.iterdir())


@given(ANY_TEXT | ANY_BYTES)
def test_whatever_the_text_it_is_no_token_and_is_refused_without_asking(text: str) -> None:
    store = NoStore()
    assert run(OneTimeTokens(store).take("reset", text)) is None
    assert store.asked == is_secret(text)


@given(ANY_TEXT, ANY_TEXT | ANY_BYTES | NEARLY_TOKENS)
def test_whatever_the_purpose_and_the_text_nothing_is_taken_that_was_not_issued(purpose: str, text: str) -> None:
    clock = FakeClock()
    tokens = OneTimeTokens(MemoryStores().one_time, clock=clock)

    async def issue_and_ask() -> list[str | None]:
        token = await tokens.issue(purpose, "value", lifetime=600)
        assert await tokens.first_use(purpose, text, until=clock.now() + 1)
        return [await tokens.take(purpose, found) for found in (text, token, token)]

    assert run(issue_and_ask()) == [None, "value", None]


@pytest.mark.requirement("R-90", "refuses")
async def test_an_identifier_is_first_used_once(tokens: OneTimeTokens, clock: FakeClock) -> None:
    """For each purpose; neither its value nor a token of that purpose makes it new again."""
    identifier, until = mint_secret(), clock.now() + 60
    assert await tokens.first_use("assertion", identifier, until=until)
    assert await tokens.take("assertion", identifier) is None
    assert not await tokens.first_use("assertion", identifier, until=until + 9000)
    assert await tokens.first_use("assertion", identifier.swapcase(), until=until)
    assert await tokens.first_use("proof", identifier, until=until)


@pytest.mark.requirement("R-90", "holds")
async def test_of_many_uses_of_one_identifier_at_once_one_is_the_first(tokens: OneTimeTokens, clock: FakeClock) -> None:
    used = await asyncio.gather(*(tokens.first_use("assertion", "jti", until=clock.now() + 60) for _ in range(32)))
    assert sum(used) == 1


@pytest.mark.requirement("R-90", "refuses")
async def test_an_identifier_is_remembered_until_every_clock_refuses_its_bearer(
    store: OneTimeStore, tokens: OneTimeTokens, clock: FakeClock
) -> None:
    """Also by a process whose clock is behind by the skew budget, after this one purged."""
    until = clock.now() + 60
    behind = FakeClock(clock.now() - SKEW_BUDGET)
    assert await tokens.first_use("assertion", "jti", until=until)
    for passing in (clock, behind):
        passing.advance(SKEW_BUDGET + 59.75)
    assert await store.purge(now=clock.now(), limit=10) == 0
    assert not await OneTimeTokens(store, clock=behind).first_use("assertion", "jti", until=until)
    clock.advance(0.25)
    assert await store.purge(now=clock.now(), limit=10) == 1


@pytest.mark.parametrize("late", [0.0, -0.25, -math.inf, math.nan])
async def test_what_is_refused_for_its_age_is_never_a_first_use(late: float, clock: FakeClock) -> None:
    """Nothing would remember it."""
    store = NoStore()
    assert not await OneTimeTokens(store, clock=clock).first_use("assertion", "jti", until=clock.now() + late)
    assert store.asked == 0


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), unique=True, max_size=8))
def test_no_two_identifiers_or_purposes_meet(used: list[tuple[str, str]]) -> None:
    """Wherever one is cut from the other."""
    clock = FakeClock()
    tokens = OneTimeTokens(MemoryStores().one_time, clock=clock)
    moved = [(purpose + identifier[:1], identifier[1:]) for purpose, identifier in used]
    pairs = {*used, *moved}

    async def use_all() -> list[bool]:
        return [await tokens.first_use(*pair, until=clock.now() + 1) for pair in (*pairs, *pairs)]

    assert run(use_all()) == [True] * len(pairs) + [False] * len(pairs)
