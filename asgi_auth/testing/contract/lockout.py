"""What a ``LockoutStore`` promises."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager

import pytest

from asgi_auth.lockout_store import Charge, Decision, Limit, LockoutKey, LockoutStore
from asgi_auth.testing.contract.races import HeldOpen, Opened, cancel_at_random, in_processes, proves, together

__all__ = ["LockoutStoreContract", "SharedLockoutStoreContract"]

NOW = 1_800_000_000.25
K = 5
ACCOUNT, ADDRESS, EVERYBODY = b"account", b"address", b"everybody"
STRICT = (Limit(K, 60),)
LADDER = (Limit(2, 60), Limit(4, 900), Limit(6, 3600))


def a_key(name: bytes = ACCOUNT, *limits: Limit, owner: bytes = b"") -> LockoutKey:
    """A key that owns itself and admits five failures a minute, unless it is said otherwise."""
    return LockoutKey(name, owner or name, limits or STRICT)


async def charge(store: LockoutStore, charge_id: bytes, *stages: Iterable[LockoutKey], now: float = NOW) -> Decision:
    """Charge one attempt; to the account's key, unless it is said to which."""
    return await store.charge(Charge(charge_id, tuple(map(tuple, stages)) or ((a_key(),),)), now=now)


async def fail(store: LockoutStore, times: int, *stages: Iterable[LockoutKey], now: float = NOW) -> list[int]:
    """Charge so many attempts that are never refunded; how many stages of each were charged."""
    return [(await charge(store, b"failure %d %f" % (number, now), *stages, now=now)).stages for number in range(times)]


class _WithStore:
    @pytest.fixture
    async def store(self, opened: Opened[LockoutStore]) -> AsyncIterator[LockoutStore]:
        """One opened instance, closed after the test."""
        async with opened() as store:
            yield store


class LockoutStoreDoes(_WithStore):
    """What the verbs do for one caller."""

    @proves("R-55", "holds")
    async def test_as_many_attempts_are_charged_as_the_limit_says_and_later_as_many_again(
        self, store: LockoutStore
    ) -> None:
        """A closed key opens a window after the last failure; that very moment is open."""
        assert await fail(store, K + 1) == [1] * K + [0]
        assert await charge(store, b"early", now=NOW + 59.75) == Decision(0, NOW + 60)
        assert await fail(store, K + 1, now=NOW + 60) == [1] * K + [0]

    async def test_a_ladder_closes_for_longer_each_time(self, store: LockoutStore) -> None:
        """Each rung closes for its own window after the failure that reached it; then it begins anew."""
        now, waits = NOW, []
        for number in range(4):
            ladder = (a_key(ADDRESS, *LADDER),)
            assert await fail(store, 2, ladder, now=now) == [1, 1]
            refused = await charge(store, b"refused %d" % number, ladder, now=now)
            assert refused.closed_until is not None
            waits.append(refused.closed_until - now)
            now = refused.closed_until
        assert waits == [60, 900, 3600, 60]

    @proves("R-59", "holds")
    async def test_a_refund_takes_one_charge_back_from_every_key(self, store: LockoutStore) -> None:
        """It counts no more, anywhere; what else was charged does. Twice is once."""
        stages = ((a_key(EVERYBODY), a_key(ADDRESS)), (a_key(),))
        assert await fail(store, K - 1, *stages) == [2] * (K - 1)
        for name in (b"one", b"two"):
            assert (await charge(store, name, *stages)).stages == 2
            assert (await charge(store, b"more", *stages)).stages == 0
            await store.refund(name)
            await store.refund(name)
        assert await fail(store, 2, *stages, now=NOW + 1) == [2, 0]
        for key in (a_key(EVERYBODY), a_key(ADDRESS), a_key()):
            assert (await charge(store, b"last", (key,), now=NOW + 1)).stages == 0

    async def test_a_refund_opens_what_its_charge_had_closed(self, store: LockoutStore) -> None:
        """As if it had never been: the failures before it go on counting."""
        await fail(store, K - 1)
        await charge(store, b"mine", now=NOW + 30)
        await store.refund(b"mine")
        assert await fail(store, 2, now=NOW + 59) == [1, 0]

    @proves("R-56", "holds")
    async def test_what_is_cleared_is_open_with_all_its_keys(self, store: LockoutStore) -> None:
        """The keys of one owner; those of others stay closed. Unknown ones and refunds of what is gone are nothing."""
        keys = [a_key(name, owner=ACCOUNT) for name in (b"lane", b"pair")] + [a_key(ADDRESS)]
        assert await fail(store, K, keys) == [1] * K
        assert [await store.clear(owner) for owner in (b"lane", b"nobody", ACCOUNT, ACCOUNT)] == [0, 0, 2 * K, 0]
        assert [(await charge(store, b"after", (key,))).stages for key in keys] == [1, 1, 0]
        await store.refund(b"failure 0 %f" % NOW)
        assert (await charge(store, b"again", (keys[2],))).stages == 1

    @proves("R-56", "holds")
    async def test_devices_are_known_until_their_end(self, store: LockoutStore) -> None:
        """To their account alone; an end that is now has passed. Used again, the later end counts."""
        await store.remember(ACCOUNT, b"phone", keep=10, expires_at=NOW + 100, now=NOW)
        assert await store.is_known(ACCOUNT, b"phone", now=NOW + 99.75)
        for account, device, now in ((ACCOUNT, b"phone", NOW + 100), (ACCOUNT, b"pho", NOW), (b"other", b"phone", NOW)):
            assert not await store.is_known(account, device, now=now)
        await store.remember(ACCOUNT, b"phone", keep=10, expires_at=NOW + 200, now=NOW + 1)
        await store.remember(ACCOUNT, b"phone", keep=10, expires_at=NOW + 50, now=NOW)
        assert await store.is_known(ACCOUNT, b"phone", now=NOW + 199.75)

    @proves("R-93", "holds")
    async def test_what_matters_no_longer_is_purged_in_batches(self, store: LockoutStore) -> None:
        """Failures after twice the longest window, devices after their end; what counts stays."""
        await fail(store, 3, (a_key(),))
        await fail(store, K, (a_key(ADDRESS),), now=NOW + 60)
        for number in range(2):
            await store.remember(ACCOUNT, b"device %d" % number, keep=10, expires_at=NOW + 120, now=NOW)
        await store.remember(ACCOUNT, b"phone", keep=10, expires_at=NOW + 121, now=NOW)
        assert await store.purge(now=NOW + 119.75, limit=9) == 0
        assert [await store.purge(now=NOW + 120, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert (await charge(store, b"late", (a_key(ADDRESS),), now=NOW + 119.75)).stages == 0
        assert await store.is_known(ACCOUNT, b"phone", now=NOW + 120)
        assert await store.purge(now=NOW + 9_000, limit=99) == K + 1


class LockoutStoreRefuses(_WithStore):
    """What the verbs refuse."""

    @proves("R-55", "refuses")
    async def test_no_stretch_of_a_window_has_more_failures_wherever_it_begins(self, store: LockoutStore) -> None:
        """Failures on both sides of a window's end count together: one attempt each 7 seconds, for ten minutes."""
        failed = [at for at in range(0, 600, 7) if (await fail(store, 1, now=NOW + at)) == [1]]
        assert len(failed) > K
        assert all(sum(begin <= at < begin + 60 for at in failed) <= K for begin in range(600))

    async def test_the_strictest_of_several_limits_counts(self, store: LockoutStore) -> None:
        """Whatever their order; the later opening is the one that is told."""
        for number, limits in enumerate(((Limit(3, 60), Limit(2, 900)), (Limit(2, 900), Limit(3, 60)))):
            key = a_key(b"key %d" % number, *limits)
            assert await fail(store, 3, (key,)) == [1, 1, 0]
            assert (await charge(store, b"more", (key,))).closed_until == NOW + 900

    @proves("R-56", "refuses")
    async def test_a_stage_with_a_closed_key_is_not_charged_nor_what_is_behind_it(self, store: LockoutStore) -> None:
        """The stages before it are. An attempt that is refused costs nobody else anything."""
        await fail(store, K, (a_key(b"pair"),))
        gates, lanes, behind = (a_key(ADDRESS),), (a_key(b"lane"), a_key(b"pair")), (a_key(b"behind"),)
        assert [(await charge(store, b"%d" % n, gates, lanes, behind)).stages for n in range(K + 1)] == [1] * K + [0]
        assert await fail(store, K + 1, (a_key(b"lane"),)) == [1] * K + [0]
        assert await fail(store, K + 1, (a_key(b"behind"),)) == [1] * K + [0]

    async def test_the_latest_opening_of_a_stage_is_told(self, store: LockoutStore) -> None:
        """Not that of its first closed key."""
        await fail(store, K, (a_key(ADDRESS),))
        await fail(store, K, (a_key(b"pair"),), now=NOW + 30)
        stage = (a_key(ADDRESS), a_key(b"pair"))
        assert await charge(store, b"more", stage, now=NOW + 31) == Decision(0, NOW + 90)

    async def test_failures_under_one_key_close_no_other(self, store: LockoutStore) -> None:
        """No prefix, no longer key, no other case is the same key."""
        await fail(store, K)
        for name in (b"", b"accoun", b"accounts", b"ACCOUNT", b"account\x00"):
            assert (await charge(store, b"another", (a_key(name, owner=b"owner"),))).stages == 1

    @proves("R-55", "refuses")
    @pytest.mark.parametrize("step", [-1.0, -59.0, -3_600.0])
    async def test_a_clock_that_steps_back_opens_nothing_sooner(self, store: LockoutStore, step: float) -> None:
        """Neither a key that is closed, nor one whose failures lie on both sides of the step."""
        assert await fail(store, K) == [1] * K
        assert await charge(store, b"back", now=NOW + step) == Decision(0, NOW + 60)
        other = (a_key(b"other"),)
        assert await fail(store, K - 1, other) == [1] * (K - 1)
        assert await fail(store, 2, other, now=NOW + step) == [1, 0]
        assert await charge(store, b"late", other, now=NOW + 59.75) == Decision(0, NOW + 60)

    async def test_of_an_accounts_devices_the_last_used_are_kept(self, store: LockoutStore) -> None:
        """The one that was used least lately is forgotten for a new one, which is kept whatever the clock says."""
        for number, device in enumerate((b"one", b"two", b"three")):
            await store.remember(ACCOUNT, device, keep=3, expires_at=NOW + 900, now=NOW + number)
        await store.remember(b"other", b"four", keep=3, expires_at=NOW + 900, now=NOW)
        await store.remember(ACCOUNT, b"one", keep=3, expires_at=NOW + 900, now=NOW + 3)
        await store.remember(ACCOUNT, b"new", keep=3, expires_at=NOW + 900, now=NOW - 60)
        known = [await store.is_known(ACCOUNT, name, now=NOW) for name in (b"one", b"two", b"three", b"new")]
        assert known == [True, False, True, True]
        assert await store.is_known(b"other", b"four", now=NOW)


class LockoutStoreRaces(_WithStore):
    """What the verbs promise to callers of one process that come at once."""

    @proves("R-55", "refuses")
    async def test_of_many_attempts_at_once_no_more_get_through_than_one_after_the_other(
        self, store: LockoutStore
    ) -> None:
        """100 tasks, 5 charges, 95 refusals; 100 more are refused all."""
        for admitted in (K, 0):
            decisions = await together(charge(store, b"%d %d" % (admitted, number)) for number in range(100))
            assert [decision.stages for decision in decisions].count(1) == admitted

    @proves("R-59", "refuses")
    async def test_refunds_and_charges_at_once_lose_none_and_give_none_away(self, store: LockoutStore) -> None:
        """32 attempts of which 4 fail and the others are refunded at once: one more is admitted, then none."""

        async def attempt(number: int) -> None:
            await charge(store, b"%d" % number, (a_key(ACCOUNT, Limit(32, 60)),))
            if number >= K - 1:
                await store.refund(b"%d" % number)

        await together(map(attempt, range(32)))
        assert await fail(store, 2) == [1, 0]

    async def test_of_many_new_devices_at_once_as_many_are_kept_as_may_be(self, store: LockoutStore) -> None:
        """32 tasks, 10 devices."""
        devices = [b"device %d" % number for number in range(32)]
        await together(store.remember(ACCOUNT, name, keep=10, expires_at=NOW + 9, now=NOW) for name in devices)
        assert sum([await store.is_known(ACCOUNT, name, now=NOW) for name in devices]) == 10

    @proves("R-92", "holds")
    async def test_a_cancelled_call_leaves_its_answer_to_nobody(self, store: LockoutStore) -> None:
        """500 calls cancelled at random awaits; the next caller gets the decision on its own keys."""

        async def close_one_and_ask(number: int) -> None:
            name = b"%d %d" % (number, id(asyncio.current_task()))
            key = (a_key(name, Limit(1, 60 + number)),)
            assert (await charge(store, name, key)).stages == 1
            assert await charge(store, name + b" again", key) == Decision(0, NOW + 60 + number)

        await cancel_at_random(close_one_and_ask, 500)


class LockoutStoreContract(LockoutStoreDoes, LockoutStoreRefuses, LockoutStoreRaces):
    """Everything every ``LockoutStore`` promises."""


class SharedLockoutStoreContract:
    """What a ``LockoutStore`` promises besides where its backend outlives the process or is shared."""

    @proves("R-55", "refuses")
    async def test_a_restart_opens_nothing(self, opened: Opened[LockoutStore]) -> None:
        """Failures before and after it count together, what is closed stays closed, and a device stays known."""
        async with opened() as store:
            await fail(store, K - 1)
            await fail(store, K, (a_key(ADDRESS),))
            await store.remember(ACCOUNT, b"phone", keep=10, expires_at=NOW + 100, now=NOW)
        async with opened() as store:
            assert await fail(store, 2, now=NOW + 30) == [1, 0]
            assert (await charge(store, b"more", (a_key(ADDRESS),), now=NOW + 59.75)).stages == 0
            assert await store.is_known(ACCOUNT, b"phone", now=NOW)

    @proves("R-55", "refuses")
    async def test_of_attempts_in_several_processes_no_more_get_through(self, opened: Opened[LockoutStore]) -> None:
        """3 processes with 16 tasks each, 5 keys: 5 charges of each."""
        charged = await in_processes(opened, charge_all, [(b"one",), (b"two",), (b"three",)])
        assert [sum(column) for column in zip(*charged, strict=True)] == [K] * 5

    @proves("R-55", "refuses")
    async def test_an_attempt_waits_for_one_that_has_not_committed(
        self, held_open: Callable[[], AbstractAsyncContextManager[HeldOpen[LockoutStore]]]
    ) -> None:
        """The second decides afterwards, and is refused."""
        async with held_open() as held:
            assert await fail(held.second, K - 1) == [1] * (K - 1)
            first = await held.begin(charge(held.first, b"first"))
            second = asyncio.create_task(charge(held.second, b"second"))
            assert not (await asyncio.wait({second}, timeout=0.05))[0]
            held.commit()
            assert [(await task).stages for task in (first, second)] == [1, 0]


async def charge_all(store: LockoutStore, process: bytes) -> list[int]:
    """Charge five keys, sixteen times each at once; how many were charged of each."""
    return [
        sum(
            decision.stages
            for decision in await together(
                charge(store, b"%s %d" % (process, task), (a_key(b"key %d" % number),)) for task in range(16)
            )
        )
        for number in range(5)
    ]
