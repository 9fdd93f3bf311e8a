"""A cache on the feed: bounded, never older than the feed, and never of before what the feed says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.feed_cache import FeedCache
from asgi_auth.revocations import Cursor, RevocationKind, Revocations
from asgi_auth.stores.memory import MemoryRevocations
from asgi_auth.testing.clock import FakeClock

KEY, SUBJECT = RevocationKind.API_KEY, RevocationKind.SUBJECT


class World:
    """A cache, its feed, and the time."""

    def __init__(self, *, size: int = 10, **options: Any) -> None:
        self.clock = FakeClock()
        self.feed = MemoryRevocations()
        self.revocations = Revocations(self.feed, clock=self.clock)
        self.cache: FeedCache[str, str] = FeedCache(self.revocations, size=size, clock=self.clock, **options)

    async def with_entry(self, key: str = "key", *ids: str) -> None:
        """A value under ``key``; the feed may end it by any of these ids."""
        await self.revocations.ensure_fresh()
        tags = tuple((KEY, id) for id in ids or (key,))
        self.cache.put(key, f"value of {key}", tags, since=self.cache.generation)
        assert self.cache.get(key) == f"value of {key}"

    async def revoke(self, kind: RevocationKind, id: str) -> None:
        await self.revocations.revoke(kind, id, until=self.clock.now() + 1000)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.requirement("R-33", "holds")
async def test_a_value_is_answered_until_the_feed_names_one_of_its_tags(world: World) -> None:
    await world.with_entry("a", "1", "2")
    await world.with_entry("b", "2", "3")
    await world.with_entry("c", "3")

    await world.revoke(KEY, "2")

    assert [world.cache.get(key) for key in "abc"] == [None, None, "value of c"]


async def test_another_kind_or_id_ends_nothing(world: World) -> None:
    await world.with_entry()

    await world.revoke(SUBJECT, "key")
    await world.revoke(KEY, "another")

    assert world.cache.get("key") == "value of key"


async def test_a_revocation_that_is_repeated_ends_again(world: World) -> None:
    for _ in range(2):
        await world.with_entry()
        await world.revoke(KEY, "key")
        assert world.cache.get("key") is None


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("named", ["key", "something else"])
async def test_what_was_read_before_the_feed_spoke_is_never_kept_after_it(world: World, named: str) -> None:
    """CVE-2026-84321: a cache that is filled behind the invalidation's back."""
    since = world.cache.generation
    await world.revoke(KEY, named)
    await world.revocations.ensure_fresh()

    world.cache.put("key", "old", ((KEY, "key"),), since=since)

    assert world.cache.get("key") is None


@pytest.mark.requirement("R-33", "refuses")
async def test_what_another_process_revokes_ends_the_value_with_the_next_query(world: World) -> None:
    await world.with_entry()
    await world.feed.revoke(KEY, "key", epoch=None, until=world.clock.now() + 1000)
    assert world.cache.get("key") == "value of key"

    world.clock.advance(1.01)
    assert world.cache.get("key") is None
    await world.revocations.ensure_fresh()
    assert world.cache.get("key") is None


@pytest.mark.requirement("R-91", "refuses")
async def test_while_the_feed_is_too_old_nothing_is_answered(world: World) -> None:
    await world.with_entry()

    world.clock.advance(1.0)
    assert world.cache.get("key") == "value of key"
    world.clock.advance(0.01)
    assert world.cache.get("key") is None
    await world.revocations.ensure_fresh()
    assert world.cache.get("key") == "value of key"


@pytest.mark.requirement("R-33", "refuses")
async def test_a_feed_that_starts_anew_empties_the_cache(world: World) -> None:
    await world.with_entry("a")
    since = world.cache.generation
    other = MemoryRevocations()
    world.revocations._store = other
    world.clock.advance(2)

    await world.revocations.ensure_fresh()

    assert (await other.changes_since(Cursor("another", 1))).restart
    assert world.cache.get("a") is None
    world.cache.put("a", "old", ((KEY, "a"),), since=since)
    assert world.cache.get("a") is None
    await world.with_entry("a")


@pytest.mark.requirement("R-33", "holds")
async def test_no_value_lives_longer_than_its_greatest_age() -> None:
    world = World(max_age=30)
    await world.with_entry("old")
    world.clock.advance(29.9)
    await world.with_entry("young")
    assert world.cache.get("old") == "value of old"

    world.clock.advance(0.1)

    assert [world.cache.get("old"), world.cache.get("young")] == [None, "value of young"]
    assert world.cache.get("old") is None


async def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    world = World(size=2)
    for key in ("a", "b", "a", "c"):
        await world.with_entry(key)

    assert [world.cache.get(key) for key in "abc"] == ["value of a", None, "value of c"]


async def test_a_value_that_is_put_again_has_its_new_tags_alone(world: World) -> None:
    await world.with_entry("key", "before")
    await world.with_entry("key", "after")

    await world.revoke(KEY, "before")
    assert world.cache.get("key") == "value of key"
    await world.revoke(KEY, "after")
    assert world.cache.get("key") is None


async def test_without_revocations_nothing_is_kept(clock: FakeClock) -> None:
    cache: FeedCache[str, str] = FeedCache(None, size=10, clock=clock)

    cache.put("key", "value", (), since=cache.generation)

    assert cache.get("key") is None
    assert cache.generation == 0


@pytest.mark.parametrize("options", [{"size": 0}, {"max_age": 0}, {"max_age": float("inf")}, {"max_age": float("nan")}])
def test_a_cache_without_room_or_without_end_is_a_configuration_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        World(**options)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcd"), st.frozensets(st.sampled_from("123"), max_size=3)),
        st.tuples(st.just("revoke"), st.sampled_from("123"), st.just(frozenset[str]())),
        st.tuples(st.just("wait"), st.sampled_from("5"), st.just(frozenset[str]())),
    ),
    max_size=30,
)


@pytest.mark.requirement("R-33", "holds")
@given(STEPS)
async def test_whatever_happens_it_answers_what_is_living_and_keeps_nothing_else(steps: list[Any]) -> None:
    """A plain dictionary with the same rules, and no tag left behind in memory."""
    world = World(size=3, max_age=10)
    model: dict[str, tuple[frozenset[str], float]] = {}
    for verb, key, tags in steps:
        await world.revocations.ensure_fresh()
        if verb == "put":
            world.cache.put(key, key, tuple((KEY, tag) for tag in tags), since=world.cache.generation)
            model.pop(key, None)
            model[key] = tags, world.clock.monotonic() + 10
            if len(model) > 3:
                del model[next(iter(model))]
        elif verb == "revoke":
            await world.feed.revoke(KEY, key, epoch=None, until=world.clock.now() + 1000)
            world.clock.advance(1.5)
            await world.revocations.ensure_fresh()
            model = {name: entry for name, entry in model.items() if key not in entry[0]}
        else:
            world.clock.advance(5)
            await world.revocations.ensure_fresh()
        living = {name for name, entry in model.items() if world.clock.monotonic() < entry[1]}
        assert {name for name in "abcd" if world.cache.get(name) is not None} == living
        model = {name: model[name] for name in model if name in living}
    assert {tag for _, tag in world.cache._keys} == frozenset().union(*(tags for tags, _ in model.values()))
