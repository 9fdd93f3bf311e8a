"""How often a password may be guessed, by whom, and who is never shut out by that."""

import asyncio
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from account_tools import EMAIL, NEW_PASSWORD, PASSWORD, World
from argon2_ledger import counted_argon2
from sqlite_tools import opened_stores

from asgi_auth.errors import Busy, ConfigurationError, InvalidCredentials, Reason, Refusal, TooManyRequests
from asgi_auth.lockout import OPEN, UNKNOWN, Limit, Lockout, LockoutGuard, Visitor
from asgi_auth.lockout_store import LockoutStore
from asgi_auth.stores.memory import MemoryLockout
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import is_secret, mint_secret

K = 3
STRICT = Lockout(account=(Limit(K, 900),), pair=(), address=(), everybody=())
NOBODY = "nobody@example.com"


def guard(clock: FakeClock, limits: Lockout | None = None, store: LockoutStore | None = None) -> LockoutGuard:
    return LockoutGuard(MemoryLockout() if store is None else store, limits, clock=clock)


def world_with(limits: Lockout | None = None, **options: Any) -> tuple[World, LockoutGuard]:
    """Accounts whose guesses are counted, by their clock."""
    clock = FakeClock()
    counting = guard(clock, limits)
    world = World(lockout=counting, clock=clock, **options)
    world.clock = clock
    return world, counting


async def fail(world: World, times: int, visitor: Visitor = UNKNOWN, email: str = EMAIL) -> list[Reason]:
    """Why each of so many wrong passwords is refused."""
    return [await refused(world, "a wrong password", visitor, email) for _ in range(times)]


async def refused(world: World, password: str, visitor: Visitor = UNKNOWN, email: str = EMAIL) -> Reason:
    with pytest.raises(Refusal) as refusal:
        await world.accounts.authenticate(email, password, visitor=visitor)
    return refusal.value.reason


# ── what is set up wrongly ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "setting",
    [
        lambda: Limit(0, 60),
        lambda: Limit(5, 0),
        lambda: Limit(5, -1),
        lambda: Limit(5, math.inf),
        lambda: Limit(5, math.nan),
        lambda: Lockout(devices_per_account=-1),
        lambda: Lockout(devices_per_account=11),
        lambda: Lockout(device_lifetime=0),
        lambda: Lockout(device_lifetime=400 * 86_400 + 1),
    ],
)
def test_impossible_limits_are_refused(setting: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        setting()


def test_the_least_and_the_most_that_may_be_set() -> None:
    Limit(1, 0.25)
    Lockout(devices_per_account=0)
    Lockout(devices_per_account=10, device_lifetime=400 * 86_400)


def test_without_a_word_the_limits_stay_below_those_of_nist() -> None:
    """NIST SP 800-63B-4 §3.2.2: at most 100 failures."""
    assert guard(FakeClock()).limits == Lockout()
    assert {limit.failures for limit in Lockout().account} == {20, 100}


# ── the limits that say nothing of an account ────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("R-56", "holds")
async def test_an_address_waits_a_minute_then_a_quarter_of_an_hour_then_an_hour() -> None:
    world, _ = world_with(Lockout(account=(), pair=()))
    visitor = Visitor("192.0.2.1")
    waits = []

    for _ in range(4):
        assert await fail(world, 5, visitor, NOBODY) == [Reason.ACCOUNT_UNKNOWN] * 5
        with pytest.raises(TooManyRequests) as refusal:
            await world.accounts.authenticate(NOBODY, PASSWORD, visitor=visitor)
        assert refusal.value.headers == {"Retry-After": f"{refusal.value.retry_after:.0f}"}
        waits.append(refusal.value.retry_after)
        world.clock.advance(refusal.value.retry_after)

    assert waits == [60, 900, 3600, 60]


@pytest.mark.requirement("R-57", "refuses")
@pytest.mark.parametrize("limits", [Lockout(address=(Limit(K, 60),)), Lockout(everybody=(Limit(K, 60),))])
async def test_an_address_that_is_refused_hashes_nothing_and_learns_nothing(limits: Lockout) -> None:
    """For the right password and for an unknown account alike; and being refused costs nobody anything more."""
    world, _ = world_with(limits)
    await world.anna()
    visitor = Visitor("192.0.2.1")
    await fail(world, K, visitor, NOBODY)

    answers = set()
    with counted_argon2() as ledger:
        for email, password in [(EMAIL, PASSWORD), (EMAIL, "wrong"), (NOBODY, PASSWORD), ("no address", "")] * 5:
            with pytest.raises(TooManyRequests) as refusal:
                await world.accounts.authenticate(email, password, visitor=visitor)
            answers.add((refusal.value.detail, refusal.value.retry_after, refusal.value.reason))
    world.clock.advance(60)

    assert (ledger, len(answers)) == ([], 1)
    assert (await world.accounts.authenticate(EMAIL, PASSWORD, visitor=visitor)).email == EMAIL


@pytest.mark.requirement("R-56", "refuses")
async def test_one_address_shuts_no_other_out_and_an_unknown_one_has_no_limit_of_addresses() -> None:
    world, _ = world_with(Lockout(account=(), pair=()))
    await world.anna()

    await fail(world, 5, Visitor("192.0.2.1"))

    assert await refused(world, PASSWORD, Visitor("192.0.2.1")) is Reason.LIMIT_REACHED
    assert (await world.accounts.authenticate(EMAIL, PASSWORD, visitor=Visitor("192.0.2.2"))).email == EMAIL
    assert await fail(world, 6) == [Reason.PASSWORD_WRONG] * 6


async def test_guesses_at_a_closed_account_count_against_their_address() -> None:
    """Else a 429 would tell an open account from a closed one."""
    world, _ = world_with(Lockout(account=(Limit(1, 900),), pair=()))
    await world.anna()

    reasons = await fail(world, 6, Visitor("192.0.2.1"))

    assert reasons == [Reason.PASSWORD_WRONG, *[Reason.ACCOUNT_LOCKED] * 4, Reason.LIMIT_REACHED]


# ── an account's lanes ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("R-59", "refuses")
async def test_the_right_password_in_a_closed_lane_is_not_confirmed_and_not_renewed() -> None:
    """The answer and the work are those of a wrong one; a window later it opens the account."""
    world, _ = world_with(STRICT)
    await world.anna()
    answers, work = set(), set()

    for password in ["a wrong password"] * K + [PASSWORD, "a wrong password"]:
        with counted_argon2() as ledger, pytest.raises(InvalidCredentials) as refusal:
            await world.accounts.authenticate(EMAIL, password)
        answers.add((refusal.value.status_code, refusal.value.code, refusal.value.detail, refusal.value.headers))
        work.add(ledger.total)
    world.clock.advance(900)

    assert (len(answers), work) == (1, {8})
    assert (await world.accounts.authenticate(EMAIL, PASSWORD)).email == EMAIL


@pytest.mark.requirement("R-57", "holds")
@pytest.mark.requirement("R-58", "holds")
async def test_unknown_wrong_locked_disabled_and_passwordless_cost_one_hash_each_and_say_the_same() -> None:
    """Before a lane is closed and after; the log alone knows more."""
    reasons = []
    classes: list[tuple[str, dict[str, Any]]] = [
        (NOBODY, {}),
        (EMAIL, {}),
        (EMAIL, {"disabled": True}),
        (EMAIL, {"hash": None}),
    ]
    for email, options in classes:
        world, _ = world_with(STRICT)
        await world.anna(**options)
        for _ in range(K + 2):
            with counted_argon2() as ledger, pytest.raises(InvalidCredentials) as refusal:
                await world.accounts.authenticate(email, "a wrong password")
            assert (ledger, refusal.value.detail) == ([8], "The credentials are not valid.")
            assert refusal.value.headers is None
            reasons.append(refusal.value.reason)

    assert reasons[K :: K + 2] == [Reason.ACCOUNT_LOCKED] * 4
    assert reasons[:: K + 2] == [
        Reason.ACCOUNT_UNKNOWN,
        Reason.PASSWORD_WRONG,
        Reason.ACCOUNT_DISABLED,
        Reason.PASSWORD_NOT_SET,
    ]


@pytest.mark.requirement("R-59", "holds")
async def test_a_success_takes_its_own_charge_back_and_resets_nothing() -> None:
    """Twenty logins close nothing; the failures before them still count after them."""
    world, _ = world_with(STRICT)
    await world.anna()

    await fail(world, K - 1)
    for _ in range(20):
        await world.accounts.authenticate(EMAIL, PASSWORD)

    assert await fail(world, 2) == [Reason.PASSWORD_WRONG, Reason.ACCOUNT_LOCKED]


@pytest.mark.requirement("R-55", "holds")
async def test_of_40_guesses_at_once_3_are_verified_against_the_stored_hash() -> None:
    world, _ = world_with(STRICT)
    await world.anna()

    reasons = await asyncio.gather(*(refused(world, f"guess {number}") for number in range(40)))

    assert [reasons.count(reason) for reason in (Reason.PASSWORD_WRONG, Reason.ACCOUNT_LOCKED)] == [K, 40 - K]


@pytest.mark.requirement("R-56", "refuses")
async def test_strangers_cannot_shut_the_owner_out_of_a_known_device() -> None:
    """The device has a lane of its own, which its own failures close, and no other device's."""
    world, counting = world_with(STRICT)
    await world.anna()
    phone, laptop = [Visitor("192.0.2.7", await counting.remember(EMAIL, UNKNOWN)) for _ in range(2)]

    await fail(world, K + 1, Visitor("198.51.100.1"))

    assert await refused(world, PASSWORD) is Reason.ACCOUNT_LOCKED
    assert (await world.accounts.authenticate(EMAIL, PASSWORD, visitor=phone)).email == EMAIL
    assert (await fail(world, K + 1, phone))[K:] == [Reason.ACCOUNT_LOCKED]
    assert (await world.accounts.authenticate("ANNA@example.com", PASSWORD, visitor=laptop)).email == EMAIL


@pytest.mark.requirement("R-55", "refuses")
async def test_a_device_that_the_account_does_not_know_is_a_stranger() -> None:
    """An invented one, one of another account, one that is over, one that is no secret at all."""
    world, counting = world_with(STRICT)
    await world.anna()
    over = await counting.remember(EMAIL, UNKNOWN)
    world.clock.advance(180 * 86_400)
    others = await counting.remember(NOBODY, UNKNOWN)

    await fail(world, K)

    for device in (mint_secret(), over, others, "", "x" * 5000, "\xff"):
        assert await refused(world, PASSWORD, Visitor(None, device)) is Reason.ACCOUNT_LOCKED


async def test_one_address_alone_cannot_close_an_account_to_others() -> None:
    """Its pair with the account is closed first; what it tries then counts no more against the account."""
    world, _ = world_with(Lockout(account=(Limit(5, 900),), pair=(Limit(2, 900),), address=()))
    await world.anna()

    reasons = await fail(world, 20, Visitor("198.51.100.1"))

    assert reasons == [Reason.PASSWORD_WRONG] * 2 + [Reason.ACCOUNT_LOCKED] * 18
    assert (await world.accounts.authenticate(EMAIL, PASSWORD, visitor=Visitor("192.0.2.7"))).email == EMAIL
    assert await fail(world, 4, Visitor("198.51.100.2")) == [Reason.PASSWORD_WRONG] * 2 + [Reason.ACCOUNT_LOCKED] * 2


async def test_what_is_no_address_is_counted_and_closed_like_an_account() -> None:
    world, _ = world_with(STRICT)

    reasons = await fail(world, K + 1, email="no address") + await fail(world, 1, email="a@b@c")

    assert reasons == [Reason.ACCOUNT_UNKNOWN] * K + [Reason.ACCOUNT_LOCKED] * 2


@pytest.mark.requirement("R-56", "holds")
async def test_a_closed_account_opens_by_itself() -> None:
    """Whoever goes on guessing at it all the time does not keep it closed for longer."""
    world, _ = world_with(STRICT)
    await world.anna()

    await fail(world, K)
    for _ in range(89):
        world.clock.advance(10)
        assert await refused(world, PASSWORD) is Reason.ACCOUNT_LOCKED
    world.clock.advance(10)

    assert (await world.accounts.authenticate(EMAIL, PASSWORD)).email == EMAIL


@pytest.mark.requirement("R-56", "holds")
async def test_an_administrator_opens_what_is_closed() -> None:
    """An account with all its lanes, an address, or everybody; the rest stays closed."""
    limits = Lockout(account=(Limit(K, 900),), pair=(), address=(Limit(2 * K, 900),), everybody=(Limit(4 * K, 900),))
    world, counting = world_with(limits)
    await world.anna()
    visitor = Visitor("192.0.2.1", await counting.remember(EMAIL, UNKNOWN))
    await fail(world, K)
    await fail(world, 2 * K, visitor)
    await fail(world, K, email=NOBODY)

    assert await refused(world, PASSWORD) is Reason.LIMIT_REACHED
    assert await counting.clear() == 4 * K
    assert await refused(world, PASSWORD) is Reason.ACCOUNT_LOCKED
    assert await refused(world, PASSWORD, visitor) is Reason.LIMIT_REACHED
    assert await counting.clear(address="192.0.2.1") == 2 * K
    assert await refused(world, PASSWORD, visitor) is Reason.ACCOUNT_LOCKED
    assert await counting.clear(email="ANNA@example.com") == 2 * K
    for who in (UNKNOWN, visitor):
        assert (await world.accounts.authenticate(EMAIL, PASSWORD, visitor=who)).email == EMAIL
    assert await refused(world, PASSWORD, email=NOBODY) is Reason.ACCOUNT_LOCKED
    assert await counting.clear(email=NOBODY, address="192.0.2.1") == K + 1


# ── changing a password, and what else is counted ────────────────────────────────────────────────────────────────


@pytest.mark.requirement("R-55", "refuses")
async def test_the_current_password_cannot_be_guessed_by_who_is_signed_in() -> None:
    """In a lane of its own: strangers cannot close it, and it closes no sign-in."""
    world, _ = world_with(STRICT)
    anna = await world.anna()
    change = world.accounts.change_password

    await fail(world, K)
    for expected in [Reason.PASSWORD_WRONG] * K + [Reason.ACCOUNT_LOCKED]:
        with counted_argon2() as ledger, pytest.raises(InvalidCredentials) as refusal:
            await change(anna.subject, "a wrong password", NEW_PASSWORD)
        assert (refusal.value.reason, ledger) == (expected, [8])
    with pytest.raises(InvalidCredentials):
        await change(anna.subject, PASSWORD, NEW_PASSWORD)
    world.clock.advance(900)

    assert (await change(anna.subject, PASSWORD, NEW_PASSWORD)).epoch == 1


async def test_a_change_of_password_counts_against_its_address_too() -> None:
    world, _ = world_with(Lockout(account=()))
    anna = await world.anna()

    for expected in [InvalidCredentials] * 5 + [TooManyRequests]:
        with pytest.raises(expected):
            await world.accounts.change_password(anna.subject, "wrong", NEW_PASSWORD, visitor=Visitor("192.0.2.1"))
    with pytest.raises(InvalidCredentials):
        await world.accounts.change_password("nobody", "wrong", NEW_PASSWORD)


@pytest.mark.requirement("R-59", "holds")
async def test_what_was_not_verified_for_want_of_a_place_is_not_counted() -> None:
    """Four wrong passwords that find no place close nothing, where three would."""
    world, _ = world_with(STRICT, limit=1)
    await world.anna()
    is_free = threading.Event()
    occupied = asyncio.ensure_future(world.hashing.run(is_free.wait))
    await asyncio.sleep(0)

    for _ in range(K + 1):
        with pytest.raises(Busy):
            await world.accounts.authenticate(EMAIL, "a wrong password")
    is_free.set()
    await occupied

    assert (await world.accounts.authenticate(EMAIL, PASSWORD)).email == EMAIL


async def test_without_limits_nothing_is_counted_and_no_store_is_asked() -> None:
    store = MemoryLockout()
    counting = guard(FakeClock(), Lockout(account=(), pair=(), address=(), everybody=()), store)

    attempt = await counting.charge(EMAIL, Visitor("192.0.2.1"))
    await counting.refund(attempt)

    assert attempt is OPEN
    assert await counting.remember(EMAIL, UNKNOWN) is None
    assert await guard(FakeClock(), Lockout(devices_per_account=0)).remember(EMAIL, UNKNOWN) is None
    assert await store.purge(now=1e12, limit=99) == 0


async def test_a_device_keeps_its_name_and_has_one_for_all_accounts() -> None:
    clock = FakeClock()
    counting = guard(clock)

    names = [
        await counting.remember(email, Visitor(None, device)) for email in (EMAIL, NOBODY) for device in (None, "x")
    ]

    assert all(name is not None and is_secret(name) for name in names)
    assert len(set(names)) == 4
    assert await counting.remember(EMAIL, Visitor(None, names[2])) == names[2]


@pytest.mark.requirement("R-56", "refuses")
async def test_of_eleven_devices_the_one_used_least_lately_is_a_stranger_again() -> None:
    world, counting = world_with(STRICT)
    await world.anna()
    devices = []
    for _ in range(11):
        devices.append(await counting.remember(EMAIL, UNKNOWN))
        world.clock.advance(1)

    await fail(world, K)

    reasons = [await fail(world, 1, Visitor(None, device)) for device in devices]
    assert reasons == [[Reason.ACCOUNT_LOCKED]] + [[Reason.PASSWORD_WRONG]] * 10


# ── on SQLite ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("R-55", "refuses")
async def test_a_restart_in_the_middle_and_a_clock_that_steps_back_shorten_no_lock(tmp_path: Path) -> None:
    """Of 3 failures that are admitted 2 come before the restart, and 1 after it, an hour earlier by the clock."""
    clock, path = FakeClock(), tmp_path / "auth.db"
    async with opened_stores(path) as stores:
        before = guard(clock, STRICT, stores.lockout)
        assert [(await before.charge(EMAIL, UNKNOWN)).is_open for _ in range(2)] == [True, True]
    clock.step(-3_600)
    async with opened_stores(path) as stores:
        after = guard(clock, STRICT, stores.lockout)
        assert [(await after.charge(EMAIL, UNKNOWN)).is_open for _ in range(3)] == [True, False, False]
        for seconds, is_open in [(899, False), (3_600, False), (1, True)]:
            clock.advance(seconds)
            assert (await after.charge(EMAIL, UNKNOWN)).is_open is is_open


@pytest.mark.requirement("R-93", "holds")
async def test_the_file_holds_neither_addresses_nor_devices(tmp_path: Path) -> None:
    """Digests alone: whoever reads it can name no visitor that it does not guess."""
    async with opened_stores(tmp_path / "auth.db") as stores:
        counting = guard(FakeClock(), None, stores.lockout)
        device = await counting.remember(EMAIL, UNKNOWN)
        assert device is not None
        for visitor in (Visitor("203.0.113.77"), Visitor("203.0.113.77", device)):
            assert (await counting.charge(EMAIL, visitor)).is_open
        stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert [text.encode() in stored for text in (EMAIL, "203.0.113.77", device)] == [False] * 3
