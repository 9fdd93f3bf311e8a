from typing import Any

import pytest
from harness import ADMIN, USER
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.authorization import (
    Roles,
    all_of,
    any_of,
    authenticated,
    decide,
    fresh,
    grants,
    has_role,
    has_scope,
    narrow,
    public,
)
from asgi_auth.errors import (
    ConfigurationError,
    Denied,
    Forbidden,
    InsufficientScope,
    NotAuthenticated,
    Reason,
    StoreUnavailable,
)
from asgi_auth.principal import Anonymous, Auth, Principal
from asgi_auth.testing.clock import FakeClock

NOBODY = Anonymous()
TOKENS = st.text(alphabet="ab:*", max_size=8)


@pytest.mark.requirement("R-83", "holds")
@pytest.mark.parametrize(
    ("granted", "wanted"),
    [
        ("read:articles", "read:articles"),
        ("*", "read:articles"),
        ("read:*", "read:articles"),
        ("read:*", "read:articles:drafts"),
        ("read:articles:*", "read:articles:drafts"),
        ("read:*", "read:*"),
        ("*", "read:*"),
        ("read:*", "read:articles:*"),
    ],
)
def test_a_scope_is_granted_by_itself_and_by_a_wildcard_above_it(granted: str, wanted: str) -> None:
    assert grants(frozenset({granted}), wanted)


@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize(
    ("granted", "wanted"),
    [
        ("read:articles", "read:article"),
        ("read:articles", "read:articles2"),
        ("read:articles", "Read:articles"),
        ("read:articles", "ead:articles"),
        ("read:*", "read"),
        ("read:*", "read:"),
        ("read:*", "reader:x"),
        ("read:*", "*"),
        ("read*", "read:articles"),
        ("*:articles", "read:articles"),
        ("re*d:articles", "read:articles"),
        (":*", "read"),
        ("*", ""),
        ("", ""),
        ("read:articles write:articles", "write:articles"),
    ],
)
def test_no_part_of_a_scope_and_no_misplaced_star_grants_another(granted: str, wanted: str) -> None:
    assert not grants(frozenset({granted}), wanted)


@given(st.frozensets(TOKENS, max_size=4), TOKENS)
def test_what_is_granted_is_found_by_a_search_of_every_prefix(granted: frozenset[str], wanted: str) -> None:
    above = {wanted[:end] + "*" for end in range(1, len(wanted)) if wanted[end - 1] == ":"}

    assert grants(granted, wanted) == (wanted != "" and bool(granted & {wanted, "*", *above}))


@given(st.frozensets(TOKENS, max_size=4), st.frozensets(TOKENS, max_size=4), TOKENS)
def test_narrowed_scopes_never_grant_more_than_before(
    granted: frozenset[str], wanted: frozenset[str], probe: str
) -> None:
    narrowed = narrow(granted, wanted)

    assert narrowed in (None, wanted)
    if narrowed is not None and grants(narrowed, probe):
        assert grants(granted, probe)


def test_narrowing_refuses_the_whole_if_one_scope_is_not_granted() -> None:
    assert narrow(frozenset({"read:*"}), ["read:a", "read:b"]) == frozenset({"read:a", "read:b"})
    assert narrow(frozenset({"read:*"}), ["read:a", "write:a"]) is None


def test_roles_give_their_scopes_as_granted() -> None:
    roles = Roles({"user": {"read:a"}, "admin": ["*"], "none": ()})

    assert roles.scopes(["user", "admin"]) == {"read:a", "*"}
    assert roles.scopes(["none"]) == frozenset()
    assert roles.is_known("admin")


@pytest.mark.requirement("R-83", "refuses")
def test_an_unknown_role_has_no_scopes() -> None:
    roles = Roles({"user": {"read:a"}})

    assert roles.scopes(["root", "USER"]) == frozenset()
    assert not roles.is_known("root")


@pytest.mark.parametrize(
    "roles",
    [
        {"": {"a"}},
        {1: {"a"}},
        {"admin": "*"},
        {"a": {""}},
        {"a": {"two words"}},
        {"a": {'qu"ote'}},
        {"a": {"ümlaut"}},
        {"a": {1}},
        {"a": {"read*"}},
        {"a": {"*:*"}},
        {"a": {"**"}},
    ],
)
def test_roles_that_mean_nothing_are_refused(roles: Any) -> None:
    with pytest.raises(ConfigurationError):
        Roles(roles)


@pytest.mark.parametrize("auth", [NOBODY, USER])
def test_public_lets_everybody_through(auth: Auth) -> None:
    assert public(auth) is None


@pytest.mark.parametrize(
    "requirement", [authenticated, has_role("user"), has_scope("read:articles"), fresh(60, clock=FakeClock())]
)
def test_every_other_requirement_asks_an_anonymous_caller_to_authenticate(requirement: Any) -> None:
    assert isinstance(requirement(NOBODY), NotAuthenticated)


def test_a_role_is_had_or_not() -> None:
    assert has_role("user")(USER) is None
    denied = has_role("admin")(USER)
    assert isinstance(denied, Forbidden)
    assert denied.reason is Reason.ROLE_MISSING


def test_a_narrowed_credential_of_an_administrator_is_not_an_administrator() -> None:
    narrowed = Principal(subject="a", scheme="bearer", scopes=frozenset({"read:articles"}))

    assert isinstance(has_role("admin")(narrowed), Forbidden)


def test_a_missing_scope_is_named_in_the_denial() -> None:
    assert has_scope("read:articles")(USER) is None
    assert has_scope("write:articles")(ADMIN) is None
    denied = has_scope("write:articles")(USER)
    assert isinstance(denied, InsufficientScope)
    assert denied.scopes == {"write:articles"}


@pytest.mark.parametrize("scope", ["", "a b", "*", "read:*", "ü", None])
def test_a_scope_to_require_is_one_exact_token(scope: Any) -> None:
    with pytest.raises(ConfigurationError):
        has_scope(scope)


def test_an_empty_role_cannot_be_required() -> None:
    with pytest.raises(ConfigurationError):
        has_role("")


def test_a_proof_is_fresh_until_its_age_passes_the_limit(clock: FakeClock) -> None:
    requirement = fresh(60, clock=clock)
    caller = Principal(subject="u", scheme="bearer", authenticated_at=clock.now())

    clock.advance(60)
    assert requirement(caller) is None
    clock.advance(0.001)
    denied = requirement(caller)
    assert denied is not None
    assert denied.reason is Reason.AUTHENTICATION_TOO_OLD


def test_a_credential_that_does_not_say_when_is_not_fresh(clock: FakeClock) -> None:
    assert isinstance(fresh(60, clock=clock)(USER), Forbidden)


@pytest.mark.parametrize("age", [0, -1, float("inf"), float("nan")])
def test_a_limit_of_age_is_a_positive_number(age: float) -> None:
    with pytest.raises(ConfigurationError):
        fresh(age)


def test_any_of_needs_one_and_gives_the_first_denial() -> None:
    either = any_of(has_role("admin"), has_scope("read:articles"))

    assert either(USER) is None
    assert isinstance(any_of(has_role("admin"), has_scope("write:articles"))(USER), Forbidden)


def test_all_of_needs_each_and_gives_the_first_denial() -> None:
    both = all_of(has_scope("read:articles"), has_role("admin"))

    assert both(ADMIN) is None
    assert isinstance(both(USER), Forbidden)


@pytest.mark.parametrize("combine", [any_of, all_of])
def test_a_combination_of_nothing_is_refused(combine: Any) -> None:
    with pytest.raises(ConfigurationError):
        combine()


@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize("answer", [True, False, 0, "", "admin", NOBODY, object()])
def test_an_error_object_or_a_bool_never_lets_anybody_through(answer: Any) -> None:
    """CVE-2026-73421: a configuration error made a truthy object that counted as authentication."""
    for requirement in (lambda auth: answer, any_of(lambda auth: answer, public), all_of(lambda auth: answer)):
        with pytest.raises(ConfigurationError):
            decide(requirement, ADMIN)


def test_a_denial_that_a_requirement_raises_counts_as_returned() -> None:
    def raising(auth: Auth) -> Denied | None:
        raise Forbidden(Reason.ROLE_MISSING)

    assert isinstance(decide(raising, ADMIN), Forbidden)


@pytest.mark.requirement("R-83", "refuses")
def test_a_store_error_in_a_requirement_stays_an_error() -> None:
    def raising(auth: Auth) -> Denied | None:
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        decide(raising, ADMIN)
