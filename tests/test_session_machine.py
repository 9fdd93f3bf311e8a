"""Lives of sessions, drawn at random: stores in memory and in SQLite answer as a simple model does."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from session_tools import ANNA, BOB, account
from sites import services

from asgi_auth.services import AuthServices, Stores
from asgi_auth.session_data import NO_CHANGES, Changes
from asgi_auth.session_store import Found, Lost, Renewal, Session
from asgi_auth.sessions import cookie_of
from asgi_auth.stores import MemoryStores, SQLiteStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import digest, mint_secret

IDLE, LIFETIME = 100.0, 450.0
SUBJECTS = st.sampled_from([ANNA, BOB])


@dataclass(eq=False)
class Life:
    """What the model knows of one session. Its secrets are numbers, counted up."""

    subject: str | None
    created_at: float
    seen_at: float
    epoch: int = 0
    roles: frozenset[str] = frozenset()
    secret: int = 0
    data: dict[str, int] = field(default_factory=dict)
    is_ended: bool = False

    def is_live(self, now: float) -> bool:
        return not self.is_ended and now < self.seen_at + IDLE and now < self.created_at + LIFETIME


@dataclass(frozen=True)
class Held:
    """A cookie that somebody holds: the model's number of it, and its text in every world."""

    life: Life
    secret: int
    texts: tuple[bytes, ...]


class Lives(RuleBasedStateMachine):
    """Every step is taken in memory, in SQLite, and in the model."""

    held: Bundle[Held] = Bundle("held")

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.lives: list[Life] = []
        self.cookies: list[Held] = []
        self.epochs = {ANNA: 0, BOB: 0}
        self.roles = {ANNA: frozenset({"user"}), BOB: frozenset({"user"})}
        self.worlds = [self.world(MemoryStores()), self.world(self.on_disk())]
        self.everywhere(lambda auth: auth._stores.accounts.create(account(ANNA)))
        self.everywhere(lambda auth: auth._stores.accounts.create(account(BOB)))

    def teardown(self) -> None:
        for auth in self.worlds:
            self.runner.run(auth.close())
        self.runner.close()
        self.folder.cleanup()

    def on_disk(self) -> SQLiteStores:
        return SQLiteStores(Path(self.folder.name) / "auth.db")

    def world(self, stores: Stores) -> AuthServices:
        auth = services(self.clock, stores=stores, session_idle_timeout=IDLE, session_lifetime=LIFETIME)
        self.runner.run(auth.open())
        return auth

    def everywhere(self, act: Callable[[AuthServices], Awaitable[object]]) -> list[object]:
        async def answers() -> list[object]:
            return [await act(auth) for auth in self.worlds]

        return self.runner.run(answers())

    def found(self, cookie: Held) -> list[Found] | None:
        """The session in every world, or None where the model has none; both agree."""
        texts = iter(cookie.texts)
        answers = self.everywhere(lambda auth: auth.sessions.find(next(texts)))
        if not cookie.life.is_live(self.clock.now()):
            assert answers == [Lost.OVER] * 2
            return None
        if cookie.secret != cookie.life.secret:
            assert answers == [Lost.SUPERSEDED] * 2
            return None
        found = [answer for answer in answers if isinstance(answer, Found)]
        assert len(found) == 2
        for one in found:
            self.agrees(one, cookie.life)
        return found

    def agrees(self, found: Found, life: Life) -> None:
        assert json.loads(found.session.data) == life.data
        assert found.session.subject == life.subject
        assert (found.principal is None) == (life.subject is None)
        if found.principal is not None and life.subject is not None:
            assert (found.principal.subject, found.principal.roles) == (life.subject, self.roles[life.subject])
            changed = life.roles != self.roles[life.subject]
            assert found.other_roles == (self.roles[life.subject] if changed else None)

    def hold(self, life: Life, sessions: list[tuple[Session, str]]) -> Held:
        self.cookies.append(
            Held(life, life.secret, tuple(cookie_of(session, secret).encode() for session, secret in sessions))
        )
        return self.cookies[-1]

    @rule(target=held)
    def come(self) -> Held:
        secret = mint_secret()
        answers = self.everywhere(lambda auth: auth.sessions.begin(secret, device="d", data='{"basket": 1}'))
        self.lives.append(Life(None, self.clock.now(), self.clock.now(), data={"basket": 1}))
        return self.hold(self.lives[-1], [(one, secret) for one in answers if isinstance(one, Session)])

    @rule(target=held, cookie=held | st.none(), subject=SUBJECTS)
    def sign_in(self, cookie: Held | None, subject: str) -> Held:
        """With any cookie that anybody ever held, or none."""
        found = None if cookie is None else self.found(cookie)
        before = iter([None, None] if found is None else [one.session for one in found])
        signed = [
            self.runner.run(
                auth.sessions.sign_in(subject, epoch=None, device="d", before=next(before), changes=NO_CHANGES)
            )
            for auth in self.worlds
        ]
        life = self.signed_in(None if cookie is None or found is None else cookie.life, subject)
        return self.hold(life, [(one.session, one.secret) for one in signed])

    def signed_in(self, before: Life | None, subject: str) -> Life:
        now = self.clock.now()
        fresh = Life(subject, now, now, self.epochs[subject], self.roles[subject])
        if before is not None and before.subject in (None, subject):
            before.__dict__.update(vars(replace(fresh, secret=before.secret + 1, data=before.data)))
            return before
        if before is not None:
            before.is_ended = True
        self.lives.append(fresh)
        return fresh

    @rule(cookie=held)
    def use(self, cookie: Held) -> None:
        found = self.found(cookie)
        if found is None:
            return
        is_due = self.clock.now() - cookie.life.seen_at >= IDLE / 20
        assert [one.is_due for one in found] == [is_due] * 2
        for auth, one in zip(self.worlds, found, strict=True):
            if is_due:
                self.runner.run(auth.sessions.touch(one.session))
        if is_due:
            cookie.life.seen_at = self.clock.now()

    @rule(target=held, cookie=held, name=st.sampled_from("ab"), value=st.integers(0, 9))
    def two_overlapping_requests_write(self, cookie: Held, name: str, value: int) -> Held:
        """Both have read before one of them saves; each owes the renewal, if there is one."""
        found = self.found(cookie)
        if found is None:
            return cookie
        secrets = [mint_secret(), mint_secret()]
        changes = [Changes({name: value, "first": 1}, frozenset({"basket"})), Changes({name: value + 1}, frozenset())]
        for auth, one in zip(self.worlds, found, strict=True):
            for change, secret in zip(changes, secrets, strict=True):
                self.save(auth, one, change, secret, is_owed=one.other_roles is not None, winner=secrets[0])
        life = cookie.life
        life.data = {key: data for key, data in life.data.items() if key != "basket"} | {name: value + 1, "first": 1}
        if life.subject is None or life.roles == self.roles[life.subject]:
            return cookie
        life.secret, life.roles = life.secret + 1, self.roles[life.subject]
        return self.hold(life, [(one.session, secrets[0]) for one in found])

    def save(
        self, auth: AuthServices, one: Found, changes: Changes, secret: str, *, is_owed: bool, winner: str
    ) -> None:
        renewal = None if one.other_roles is None else Renewal(secret, one.other_roles)
        saved = self.runner.run(auth.sessions.save(one.session, changes, renewal=renewal))
        assert isinstance(saved, Session)
        assert saved.secret_digest == (digest(winner) if is_owed else one.session.secret_digest)

    @rule(cookie=held)
    def log_out(self, cookie: Held) -> None:
        """The second client has the same cookie, and reads before the first has gone."""
        found = self.found(cookie)
        if found is None:
            return
        sessions, late = iter(found), iter(found)
        self.everywhere(lambda auth: auth.sessions.log_out(next(sessions).session))
        cookie.life.is_ended = True
        too_late = Changes({"back": 1}, frozenset())
        answers = self.everywhere(lambda auth: auth.sessions.save(next(late).session, too_late, renewal=None))
        assert answers == [Lost.OVER] * 2

    @rule(cookie=held, subject=SUBJECTS)
    def end_by_its_id(self, cookie: Held, subject: str) -> None:
        ids = [text.split(b"_")[1].decode() for text in cookie.texts]
        expected = cookie.life.is_live(self.clock.now()) and cookie.life.subject == subject
        texts = iter(ids)
        assert self.everywhere(lambda auth: auth.sessions.end(subject, next(texts))) == [expected] * 2
        cookie.life.is_ended |= expected

    @rule(subject=SUBJECTS)
    def end_all(self, subject: str) -> None:
        self.everywhere(lambda auth: auth.sessions.end_others(subject, None))
        for life in self.lives:
            life.is_ended |= life.subject == subject

    @rule(subject=SUBJECTS, roles=st.sampled_from([{"user"}, {"admin"}, {"user", "admin"}]))
    def get_other_rights(self, subject: str, roles: set[str]) -> None:
        self.roles[subject] = frozenset(roles)
        self.everywhere(lambda auth: auth.accounts.set_roles(subject, roles))

    @rule(subject=SUBJECTS)
    def change_the_password(self, subject: str) -> None:
        self.epochs[subject] += 1
        self.everywhere(lambda auth: auth.accounts.end_credentials(subject))
        for life in self.lives:
            life.is_ended |= life.subject == subject

    @rule(seconds=st.sampled_from([1, IDLE / 20 - 1, IDLE / 20, IDLE - 1, IDLE]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def purge(self) -> None:
        first, second = self.everywhere(lambda auth: auth.purge())
        assert first == second

    @rule()
    def the_process_restarts(self) -> None:
        """What is on the disk is all that SQLite remembers."""
        self.runner.run(self.worlds[1].close())
        self.worlds[1] = self.world(self.on_disk())

    @invariant()
    def the_last_cookies_are_good_exactly_as_long_as_they_should_be(self) -> None:
        for cookie in self.cookies[-4:]:
            self.found(cookie)


# One example is thirty steps in two worlds, one of them on a disk.
FEWER = settings(
    max_examples=settings().max_examples // 8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.requirement("R-38", "holds")
@pytest.mark.requirement("R-39", "refuses")
@pytest.mark.requirement("R-40", "refuses")
@pytest.mark.requirement("R-46", "refuses")
@pytest.mark.requirement("R-47", "holds")
def test_whatever_is_tried_with_whatever_cookie_every_store_answers_as_the_model_does() -> None:
    """Restarts of the process and purges in between bring nothing back."""
    run_state_machine_as_test(Lives, settings=FEWER)
