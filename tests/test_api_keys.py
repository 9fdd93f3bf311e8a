"""API keys: what they look like, what they may do, how long they live, and what is known of them without I/O."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from key_tools import Keys

from asgi_auth.api_keys import APIKey, APIKeys
from asgi_auth.errors import (
    ConfigurationError,
    Conflict,
    FieldError,
    Invalid,
    InvalidToken,
    Reason,
    Stale,
    StoreUnavailable,
)
from asgi_auth.present_accounts import PresentAccounts
from asgi_auth.principal import Principal
from asgi_auth.tokens import digest, encode, mint_id, mint_secret

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY = re.compile(r"ak_([0-9A-Za-z]{22})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


@pytest.fixture
def world() -> Keys:
    return Keys()


async def refusal(world: Keys, value: bytes | str) -> Reason:
    with pytest.raises(InvalidToken) as caught:
        await world.keys.verify(value)
    return caught.value.reason


async def invalid(creating: Awaitable[object]) -> tuple[FieldError, ...]:
    with pytest.raises(Invalid) as caught:
        await creating
    return caught.value.errors


# What a key is.


@pytest.mark.requirement("R-34", "holds")
async def test_a_key_is_prefix_id_secret_and_checksum_and_only_a_digest_of_it_is_stored(world: Keys) -> None:
    value, key = await world.made()

    match = KEY.fullmatch(value.decode())
    assert match is not None
    assert match[1] == key.key_id
    assert await world.store.get(key.key_id) == key
    assert key.secret_digest == digest(match[2])
    assert 62 ** len(match[2]) > 2**160


async def test_a_new_key_says_whose_it_is_and_when_it_was_made(world: Keys) -> None:
    _, key = await world.made(scopes=["read:articles"], lifetime=3600)

    now = world.clock.now()
    assert (key.subject, key.name, key.scopes) == ("anna", "a name", frozenset({"read:articles"}))
    assert (key.created_at, key.expires_at, key.last_used_at) == (now, now + 3600, None)


@pytest.mark.requirement("R-34", "holds")
async def test_a_key_is_verified_as_bytes_and_as_text(world: Keys) -> None:
    value, key = await world.made(lifetime=60)

    expected = Principal(
        subject="anna",
        scheme="api_key",
        scopes=frozenset({"read:articles", "write:articles"}),
        roles=frozenset({"user"}),
        credential_id=key.key_id,
        expires_at=key.expires_at,
    )
    assert await world.keys.verify(value) == expected
    assert await world.keys.verify(value.decode()) == expected


@pytest.mark.parametrize("prefix", ["acme_live", "AK2"])
async def test_the_prefix_is_an_argument_and_another_one_is_refused(prefix: str) -> None:
    world = Keys(prefix=prefix)
    value, _ = await world.made()

    assert value.decode().startswith(f"{prefix}_")
    assert (await world.keys.verify(value)).subject == "anna"
    assert await refusal(world, b"ak_" + value[len(prefix) + 1 :]) is Reason.KEY_MALFORMED


@pytest.mark.parametrize(
    "options",
    [{"prefix": prefix} for prefix in ("", "a", "rt", "1a", "a-b", "ü2", "a b", "a" * 33)]
    + [{"keys_per_subject": 0}, {"cache_size": 0}],
)
def test_what_makes_no_usable_key_is_a_configuration_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Keys(**options)


# Junk.


@pytest.mark.requirement("R-34", "refuses")
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
@example(b"")
@example("ak_")
@example("ak_" + "ü" * 72)
@example(b"ak_" + b"\xff" * 72)
@example("ak_" + "0" * 22 + "_" + "0" * 49)
@example("\ud800" * 75)
async def test_whatever_is_no_key_is_refused_without_any_io(junk: bytes | str) -> None:
    world = Keys()

    assert await refusal(world, junk) is Reason.KEY_MALFORMED
    assert world.keys.cached(junk if isinstance(junk, bytes) else junk.encode("utf-8", "surrogatepass")) is None
    assert world.journal.entries == []


@pytest.mark.requirement("R-34", "refuses")
@given(st.integers(0, 74), st.sampled_from(BASE62 + "_-. é\x00"))
async def test_a_key_with_one_other_character_is_refused_without_any_io(at: int, character: str) -> None:
    """Also the prefix, the separators and the checksum."""
    world = Keys()
    value = encode("ak", mint_id(), mint_secret())
    mistyped = value[:at] + character + value[at + 1 :]

    expected = Reason.KEY_UNKNOWN if mistyped == value else Reason.KEY_MALFORMED
    assert await refusal(world, mistyped) is expected
    assert world.journal.entries == (["get key"] if mistyped == value else [])


@pytest.mark.requirement("R-34", "refuses")
async def test_a_longer_or_a_shorter_key_is_refused_without_any_io(world: Keys) -> None:
    value, _ = await world.warm()

    for junk in (value[:-1], value + b"0", value * 2, b" " + value, value + b"\n", value.upper(), value.lower()):
        assert world.keys.cached(junk) is None
        assert await refusal(world, junk) is Reason.KEY_MALFORMED
    assert world.journal.entries == []


def calls_of(running: Coroutine[Any, Any, object]) -> list[str]:
    """Every function that is called until it refuses, in order; builtin ones too. It must not wait for anything."""
    called: list[str] = []

    def note(frame: Any, event: str, function: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)
        elif event == "c_call":
            called.append(function.__qualname__)

    sys.setprofile(note)
    try:
        running.send(None)
    except InvalidToken:
        pass
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.requirement("R-37", "holds")
@pytest.mark.requirement("R-37", "refuses")
async def test_an_unknown_id_costs_what_a_wrong_secret_costs(world: Keys) -> None:
    """One read, one digest, one comparison in constant time, and call by call the same."""
    _, key = await world.made()
    wrong_secret = encode("ak", key.key_id, mint_secret())
    unknown_id = encode("ak", mint_id(), mint_secret())

    wrong, unknown = calls_of(world.keys.verify(wrong_secret)), calls_of(world.keys.verify(unknown_id))

    assert wrong == unknown
    assert [wrong.count(call) for call in ("JournalKeys.get", "digest", "compare_digest")] == [1, 1, 1]
    assert await refusal(world, wrong_secret) is await refusal(world, unknown_id) is Reason.KEY_UNKNOWN
    assert world.journal.entries == ["get key"] * 4


# What a key may do.


@pytest.mark.requirement("R-35", "holds")
@pytest.mark.parametrize(
    ("roles", "scopes", "granted", "held"),
    [
        (["user"], None, {"read:articles", "write:articles"}, {"user"}),
        (["admin"], None, {"*"}, {"admin"}),
        (["user"], ["read:articles"], {"read:articles"}, set()),
        (["admin"], ["read:articles", "delete:*"], {"read:articles", "delete:*"}, set()),
        (["admin"], ["*"], {"*"}, set()),
        (["user"], [], set(), set()),
    ],
)
async def test_a_key_may_do_what_was_asked_for_and_is_no_administrator_where_it_was_narrowed(
    world: Keys, roles: list[str], scopes: list[str] | None, granted: set[str], held: set[str]
) -> None:
    await world.owner("anna", *roles)
    value, _ = await world.made(scopes=scopes)

    principal = await world.keys.verify(value)

    assert principal.scopes == granted
    assert principal.roles == held


@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize("scopes", [["admin"], ["read:articles", "*"], ["read:*"], [""], ["read:articles admin"]])
async def test_a_key_is_never_made_wider_than_its_owner(world: Keys, scopes: list[str]) -> None:
    await world.owner()

    assert await invalid(world.keys.create("anna", "k", scopes=scopes)) == (FieldError("scopes", "not_granted"),)
    assert "create" not in world.journal.entries


@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize("scopes", [["*"], ["read:articles", "write:articles", "delete:articles"]])
async def test_a_key_shrinks_with_its_owner_at_once_although_it_is_warm(world: Keys, scopes: list[str]) -> None:
    await world.owner("anna", "admin")
    value, _ = await world.warm(scopes=scopes)

    await world.accounts.set_roles("anna", ["reader"])

    assert world.keys.cached(value) is None
    assert (await world.keys.verify(value)).scopes <= {"read:articles"}


@pytest.mark.requirement("R-86", "holds")
@pytest.mark.requirement("R-35", "refuses")
async def test_a_whole_key_loses_and_gains_the_roles_of_its_owner_at_once(world: Keys) -> None:
    value, _ = await world.warm()

    for role in ("reader", "admin"):
        await world.accounts.set_roles("anna", [role])
        assert (await world.use(value)).roles == {role}


# How long a key lives.


@pytest.mark.requirement("R-35", "holds")
async def test_a_key_ends_to_the_second_cold_and_warm(world: Keys) -> None:
    value, _ = await world.warm(lifetime=50)
    world.clock.advance(49.999)
    await world.revocations.ensure_fresh()
    assert world.keys.cached(value) is not None

    world.clock.step(0.001)

    assert world.keys.cached(value) is None
    assert await refusal(world, value) is Reason.KEY_EXPIRED


ENDINGS: dict[str, tuple[Callable[[Keys, APIKey], Awaitable[object]], set[Reason]]] = {
    "revoke": (lambda world, key: world.keys.revoke(key.key_id, subject="anna"), {Reason.KEY_REVOKED}),
    "revoke as administrator": (lambda world, key: world.keys.revoke(key.key_id, subject=None), {Reason.KEY_REVOKED}),
    "rotate without overlap": (
        lambda world, key: world.keys.rotate(key.key_id, subject="anna", overlap=0),
        {Reason.KEY_EXPIRED},
    ),
    "disable": (lambda world, key: world.accounts.disable("anna"), {Reason.ACCOUNT_DISABLED}),
}


@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.requirement("R-15", "refuses")
@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_key_that_has_ended_is_refused_at_once_although_it_is_warm(world: Keys, how: str) -> None:
    """CVE-2026-84321, CVE-2024-22513."""
    value, key = await world.warm()
    end, reasons = ENDINGS[how]

    await end(world, key)

    assert world.keys.cached(value) is None
    assert {await refusal(world, value)} == reasons


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize("read", ["get key", "get account"])
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_key_that_ends_while_it_is_verified_is_not_kept(world: Keys, how: str, read: str) -> None:
    """The ending comes between the read and its answer."""
    value, key = await world.made()
    end, _ = ENDINGS[how]
    world.journal.before[read] = [lambda: end(world, key)]

    await asyncio.gather(world.keys.verify(value), return_exceptions=True)

    assert world.keys.cached(value) is None
    await refusal(world, value)


@pytest.mark.requirement("R-15", "holds")
async def test_a_disabled_owner_takes_every_key_along_and_gets_them_back_when_enabled(world: Keys) -> None:
    values = [(await world.made(name))[0] for name in ("anna", "anna", "berta")]
    for value in values:
        await world.use(value)

    await world.accounts.disable("anna")
    assert [await refusal(world, value) for value in values[:2]] == [Reason.ACCOUNT_DISABLED] * 2
    assert (await world.use(values[2])).subject == "berta"

    await world.accounts.enable("anna")
    assert [(await world.use(value)).subject for value in values] == ["anna", "anna", "berta"]


@pytest.mark.requirement("R-31", "refuses")
async def test_a_disabling_that_failed_in_its_middle_reaches_warm_keys_when_it_is_completed(world: Keys) -> None:
    async def down() -> None:
        raise StoreUnavailable

    value, _ = await world.warm()
    world.journal.before["revoke changed"] = [down]
    with pytest.raises(StoreUnavailable):
        await world.accounts.disable("anna")

    await world.accounts.end_credentials("anna")

    assert world.keys.cached(value) is None
    assert await refusal(world, value) is Reason.ACCOUNT_DISABLED


@pytest.mark.requirement("R-35", "holds")
async def test_a_raised_epoch_as_a_new_password_brings_leaves_keys_alive(world: Keys) -> None:
    value, _ = await world.warm()

    await world.accounts.end_credentials("anna")

    assert (await world.use(value)).subject == "anna"


@pytest.mark.requirement("R-83", "refuses")
async def test_a_key_without_an_owner_opens_nothing(world: Keys) -> None:
    value, _ = await world.made()
    world.owners._accounts.clear()

    assert await refusal(world, value) is Reason.ACCOUNT_UNKNOWN


# What is known without I/O.


@pytest.mark.requirement("R-34", "holds")
async def test_a_warm_key_does_no_io(world: Keys) -> None:
    value, _ = await world.warm()

    principals = {id(world.keys.cached(value)) for _ in range(1000)}

    assert len(principals) == 1
    assert world.journal.entries == []


@pytest.mark.requirement("R-33", "refuses")
async def test_what_the_feed_may_have_said_meanwhile_is_asked_before_a_key_is_answered(world: Keys) -> None:
    value, _ = await world.warm()

    world.clock.advance(1.01)
    assert world.keys.cached(value) is None
    await world.keys.verify(value)
    assert world.keys.cached(value) is not None


@pytest.mark.requirement("R-91", "refuses")
async def test_while_the_feed_cannot_be_read_no_key_is_accepted(world: Keys) -> None:
    value, _ = await world.warm()
    world.feed.is_down = True
    world.clock.advance(2)

    assert world.keys.cached(value) is None
    with pytest.raises(Stale):
        await world.keys.verify(value)


@pytest.mark.requirement("R-91", "refuses")
async def test_a_feed_that_fails_while_the_owner_is_known_is_noticed() -> None:
    """The owner comes from accounts that follow another feed, or none."""
    world = Keys()
    value, _ = await world.made()
    apart = PresentAccounts(world.owners, None, clock=world.clock)
    keys = APIKeys(
        world.store, apart, world.revocations, roles=world.keys._roles, realm=world.keys.realm, clock=world.clock
    )
    world.feed.is_down = True
    world.clock.advance(2)

    with pytest.raises(Stale):
        await keys.verify(value)


async def test_without_revocations_every_request_reads_the_key_and_its_owner() -> None:
    world = Keys(following=False)
    value, key = await world.made()

    for _ in range(3):
        await world.use(value)
    await world.keys.close()

    assert world.journal.entries.count("get key") == world.journal.entries.count("get account") == 3
    await world.keys.revoke(key.key_id, subject="anna")
    assert await refusal(world, value) is Reason.KEY_REVOKED
    value, _ = await world.made()
    await world.accounts.disable("anna")
    assert await refusal(world, value) is Reason.ACCOUNT_DISABLED


# How keys come to be.


@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\nb", "a\x1b[31m", "a\u202eb", "a" * 101, "\ud800"])
async def test_a_name_that_would_garble_a_list_is_refused(world: Keys, name: str) -> None:
    await world.owner()

    assert await invalid(world.keys.create("anna", name)) == (FieldError("name", "invalid"),)


@pytest.mark.parametrize("lifetime", [0, -1, 0.5, 1e12, float("inf"), float("nan")])
async def test_a_lifetime_that_is_none_is_refused(world: Keys, lifetime: float) -> None:
    await world.owner()

    assert await invalid(world.keys.create("anna", "k", lifetime=lifetime)) == (FieldError("lifetime", "out_of_range"),)


async def test_scopes_that_would_fill_the_memory_are_refused_and_all_errors_are_listed(world: Keys) -> None:
    await world.owner("anna", "admin")
    scopes = [f"read:{number:05}" for number in range(410)]

    errors = await invalid(world.keys.create("anna", "", scopes=scopes, lifetime=0))

    assert errors == (
        FieldError("name", "invalid"),
        FieldError("lifetime", "out_of_range"),
        FieldError("scopes", "too_long"),
    )
    assert len((await world.made(scopes=scopes[:409]))[1].scopes or ()) == 409


@pytest.mark.requirement("R-36", "refuses")
async def test_a_key_needs_an_owner_who_is_there(world: Keys) -> None:
    assert await invalid(world.keys.create("nobody", "k")) == (FieldError("subject", "unknown"),)
    await world.owner()
    await world.accounts.disable("anna")
    assert await invalid(world.keys.create("anna", "k")) == (FieldError("subject", "disabled"),)


@pytest.mark.requirement("R-36", "holds")
async def test_of_thirty_keys_made_at_once_as_many_come_to_be_as_one_subject_may_have() -> None:
    world = Keys(keys_per_subject=10)
    await world.owner()
    await world.owner("berta")

    made = await asyncio.gather(*(world.keys.create("anna", "k") for _ in range(30)), return_exceptions=True)

    refused = [error for error in made if isinstance(error, Conflict)]
    assert (len(refused), len(await world.keys.list("anna"))) == (20, 10)
    assert {error.reason for error in refused} == {Reason.KEY_LIMIT_REACHED}
    assert (await world.keys.create("berta", "k")).key.subject == "berta"


@pytest.mark.requirement("R-36", "holds")
async def test_a_key_that_has_ended_makes_room_for_another() -> None:
    world = Keys(keys_per_subject=2)
    _, key = await world.made()
    await world.made(lifetime=10)
    await world.keys.revoke(key.key_id, subject="anna")
    await world.made()
    world.clock.advance(10)

    assert (await world.keys.create("anna", "k")).key.name == "k"


async def test_the_list_has_the_subject_s_keys_and_nobody_else_s_the_newest_first(world: Keys) -> None:
    made = []
    for subject in ("anna", "berta", "anna"):
        made.append((await world.made(subject))[1])
        world.clock.advance(1)

    assert await world.keys.list("anna") == (made[2], made[0])
    assert await world.keys.list("nobody") == ()
