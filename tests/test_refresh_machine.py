"""Lives of refresh families, drawn at random: stores in memory and in SQLite answer as a simple model does."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sites import services

from asgi_auth.accounts import Account
from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.refresh_tokens import Tokens
from asgi_auth.services import AuthServices, Stores
from asgi_auth.stores import MemoryStores, SQLiteStores
from asgi_auth.testing.clock import FakeClock

ACCESS, IDLE, FAMILY, CAP, LEEWAY = 900, 3000, 10_000, 3, 10
ANNA = Account(subject="anna", email="a@example.com", password_hash=None, roles=frozenset({"user"}), created_at=0.0)


@dataclass(eq=False)
class Family:
    """What the model knows of one family. Tokens are numbers, counted up."""

    epoch: int
    created_at: float
    rotated_at: float
    idle_expires_at: float
    current: int = 0
    is_ended: bool = False
    is_access_ended: bool = False
    is_purged: bool = False

    def is_live(self, now: float) -> bool:
        return not self.is_ended and now < min(self.idle_expires_at, self.created_at + FAMILY)


@dataclass(frozen=True)
class Held:
    """A pair that somebody holds: the model's number of it, and its texts in every world."""

    family: Family
    number: int
    expires_at: float
    texts: tuple[Tokens, ...]


class Model:
    """What refresh tokens promise, over one list of families."""

    def __init__(self, leeway: float) -> None:
        self.leeway = leeway
        self.epoch = 0
        self.families: list[Family] = []

    def issue(self, now: float) -> Family:
        live = [family for family in self.families if family.is_live(now)]
        for oldest in live[: max(0, len(live) + 1 - CAP)]:
            oldest.is_ended = oldest.is_access_ended = True
        self.families.append(Family(self.epoch, now, now, now + IDLE))
        return self.families[-1]

    def rotate(self, family: Family, number: int, now: float) -> Reason | None:
        """Why it is refused, or None: the holder gets the family's current token."""
        if family.is_purged:
            return Reason.REFRESH_UNKNOWN
        if number == family.current:
            if not family.is_live(now):
                return Reason.REFRESH_EXPIRED
            family.current += 1
            family.rotated_at, family.idle_expires_at = now, now + IDLE
        elif number != family.current - 1 or not family.is_live(now) or now >= family.rotated_at + self.leeway:
            family.is_ended = True
            self.end(family.epoch + 1)
            return Reason.REFRESH_REUSED
        return None

    def revoke(self, family: Family) -> bool:
        if family.is_purged:
            return False
        family.is_ended = family.is_access_ended = True
        return True

    def end(self, at_least: int) -> None:
        self.epoch = max(self.epoch, at_least)
        for family in self.families:
            family.is_ended |= family.epoch < self.epoch

    def is_access_good(self, held: Held, now: float) -> bool:
        return now < held.expires_at and not held.family.is_access_ended and held.family.epoch >= self.epoch


class Families(RuleBasedStateMachine):
    """Every step is taken in memory, in SQLite, and in the model."""

    held: Bundle[Held] = Bundle("held")

    @initialize(leeway=st.sampled_from([0, LEEWAY]))
    def begin(self, leeway: int) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model = Model(leeway)
        self.pairs: list[Held] = []
        self.worlds = [self.world(MemoryStores()), self.world(self.on_disk())]
        self.everywhere(lambda auth: auth._stores.open())
        self.everywhere(lambda auth: auth._stores.accounts.create(ANNA))

    def teardown(self) -> None:
        self.everywhere(lambda auth: auth._stores.close())
        self.runner.close()
        self.folder.cleanup()

    def on_disk(self) -> SQLiteStores:
        return SQLiteStores(Path(self.folder.name) / "auth.db")

    def world(self, stores: Stores) -> AuthServices:
        return services(
            self.clock,
            stores=stores,
            access_token_lifetime=ACCESS,
            refresh_token_lifetime=IDLE,
            refresh_family_lifetime=FAMILY,
            families_per_subject=CAP,
            reuse_leeway=self.model.leeway,
        )

    def everywhere(self, act: Callable[[AuthServices], Awaitable[object]]) -> list[object]:
        """What each world answers."""

        async def outcomes() -> list[object]:
            return [await outcome(act(auth)) for auth in self.worlds]

        async def outcome(answer: Awaitable[object]) -> object:
            try:
                return await answer
            except InvalidToken as refusal:
                return refusal.reason

        return self.runner.run(outcomes())

    def given(self, family: Family, texts: list[object]) -> Held:
        pairs = tuple(text for text in texts if isinstance(text, Tokens))
        assert len(pairs) == len(self.worlds), texts
        self.pairs.append(Held(family, family.current, self.clock.now() + ACCESS, pairs))
        return self.pairs[-1]

    @rule(target=held)
    def sign_in(self) -> Held:
        self.clock.advance(1)  # the oldest is known by its time
        account = replace(ANNA, epoch=self.model.epoch)
        answers = self.everywhere(lambda auth: auth.refresh_tokens.issue(account, client_id=auth.client_id))
        return self.given(self.model.issue(self.clock.now()), answers)

    @rule(target=held, pair=held)
    def refresh(self, pair: Held) -> Held | MultipleResults[Held]:
        """With any token that anybody ever held."""
        texts = iter(pair.texts)
        answers = self.everywhere(
            lambda auth: auth.refresh_tokens.rotate(next(texts).refresh_token, client_id=auth.client_id)
        )
        reason = self.model.rotate(pair.family, pair.number, self.clock.now())
        if reason is not None:
            assert answers == [reason] * len(self.worlds)
            return multiple()
        child = self.given(pair.family, answers)
        twins = [one for one in self.pairs if one.family is child.family and one.number == child.number]
        assert len({one.texts[world].refresh_token for one in twins for world in range(2)}) == 2, "one text a world"
        return child

    @rule(pair=held)
    def refresh_as_another_client(self, pair: Held) -> None:
        texts = iter(pair.texts)
        answers = self.everywhere(lambda auth: auth.refresh_tokens.rotate(next(texts).refresh_token, client_id="other"))
        assert answers == [Reason.REFRESH_UNKNOWN] * len(self.worlds)

    @rule(pair=held)
    def log_out(self, pair: Held) -> None:
        texts = iter(pair.texts)
        answers = self.everywhere(lambda auth: auth.refresh_tokens.revoke(next(texts).refresh_token))
        assert answers == [self.model.revoke(pair.family)] * len(self.worlds)

    @rule()
    def change_the_password(self) -> None:
        self.model.end(self.model.epoch + 1)
        assert self.everywhere(lambda auth: auth.accounts.end_credentials("anna")) == [self.model.epoch] * 2

    @rule(seconds=st.sampled_from([1, LEEWAY - 1, LEEWAY, ACCESS, IDLE - 1, IDLE]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def purge(self) -> None:
        for family in self.model.families:
            family.is_purged |= family.created_at + FAMILY <= self.clock.now()
        first, second = self.everywhere(lambda auth: auth.purge())
        assert first == second

    @rule()
    def the_process_restarts(self) -> None:
        """What is on the disk is all that SQLite remembers."""
        self.runner.run(self.worlds[1]._stores.close())
        self.worlds[1] = self.world(self.on_disk())
        self.runner.run(self.worlds[1]._stores.open())

    @invariant()
    def access_tokens_are_good_exactly_as_long_as_they_should_be(self) -> None:
        for pair in self.pairs[-6:]:
            assert self.verified(pair) == [self.model.is_access_good(pair, self.clock.now())] * len(self.worlds)

    def verified(self, pair: Held) -> list[bool]:
        texts = iter(pair.texts)
        answers = self.everywhere(lambda auth: auth.access_tokens.verify(next(texts).access_token))
        return [not isinstance(answer, Reason) for answer in answers]


# One example is thirty steps in two worlds, one of them on a disk.
FEWER = settings(
    max_examples=settings().max_examples,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.requirement("R-27", "holds")
@pytest.mark.requirement("R-28", "refuses")
@pytest.mark.requirement("R-29", "refuses")
@pytest.mark.requirement("R-30", "refuses")
@pytest.mark.requirement("R-32", "refuses")
def test_whatever_is_tried_with_whatever_token_every_store_answers_as_the_model_does() -> None:
    """Restarts of the process and purges in between make nothing good that was spent or ended."""
    run_state_machine_as_test(Families, settings=FEWER)
