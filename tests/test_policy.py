from typing import Any

import pytest
from harness import ADMIN, USER
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.authorization import Policy, all_of, authenticated, decide, has_role, has_scope, public
from asgi_auth.errors import ConfigurationError, Denied, Forbidden, InsufficientScope, NotAuthenticated, Reason
from asgi_auth.principal import Anonymous, Auth

NOBODY = Anonymous()
ARTICLES = Policy(
    {
        "/healthz": public,
        "GET /articles/": has_scope("read:articles"),
        "POST /articles/": has_scope("write:articles"),
        "POST /articles/{id}": has_scope("write:articles"),
        "/admin/": has_role("admin"),
        "GET /head": authenticated,
        "HEAD /head": public,
        "WS /live": authenticated,
        "/mixed": has_role("admin"),
        "GET /mixed": public,
    }
)


def denial(auth: Auth, method: str | None, path: str, policy: Policy = ARTICLES) -> Denied | None:
    return decide(policy.requirement(method, path), auth)


@pytest.mark.requirement("R-83", "holds")
@pytest.mark.parametrize(
    ("auth", "method", "path"),
    [
        (NOBODY, "GET", "/healthz"),
        (NOBODY, "POST", "/healthz/"),
        (NOBODY, None, "/healthz"),
        (USER, "GET", "/articles"),
        (USER, "HEAD", "/articles/7/comments"),
        (ADMIN, "DELETE", "/admin/report"),
        (ADMIN, None, "/admin/live"),
        (NOBODY, "HEAD", "/head"),
        (USER, None, "/live"),
        (NOBODY, "GET", "/mixed"),
        (USER, "GET", "/nowhere"),
    ],
)
def test_whom_a_rule_lets_through_passes(auth: Auth, method: str | None, path: str) -> None:
    assert denial(auth, method, path) is None


@pytest.mark.requirement("R-83", "refuses")
@pytest.mark.parametrize(
    ("auth", "method", "path", "error"),
    [
        (NOBODY, "GET", "/articles", NotAuthenticated),
        (USER, "POST", "/articles", InsufficientScope),
        (USER, "DELETE", "/articles", Forbidden),
        (NOBODY, "DELETE", "/articles", NotAuthenticated),
        (USER, None, "/articles", Forbidden),
        (USER, "GET", "/articles/7", Forbidden),
        (ADMIN, "GET", "/articles/7", Forbidden),
        (USER, "GET", "/admin/report", Forbidden),
        (USER, None, "/admin/live", Forbidden),
        (USER, "POST", "/admin/", Forbidden),
        (NOBODY, "GET", "/head", NotAuthenticated),
        (ADMIN, "GET", "/live", Forbidden),
        (ADMIN, "WS", "/live", Forbidden),
        (USER, "HEAD", "/healthz2", None),
        (NOBODY, "GET", "/nowhere", NotAuthenticated),
        (USER, "POST", "/mixed", Forbidden),
    ],
)
def test_whom_a_rule_refuses_is_denied(auth: Auth, method: str | None, path: str, error: type[Denied] | None) -> None:
    found = denial(auth, method, path)

    assert (None if found is None else type(found)) is error


def test_a_path_named_only_with_methods_says_so_in_the_reason() -> None:
    found = denial(USER, "DELETE", "/articles")

    assert found is not None
    assert found.reason is Reason.METHOD_NOT_LISTED


def test_the_word_for_websockets_as_an_http_method_opens_nothing() -> None:
    policy = Policy({"WS /live": public})

    assert isinstance(denial(NOBODY, "WS", "/live", policy), NotAuthenticated)
    assert denial(NOBODY, None, "/live", policy) is None


def test_an_empty_policy_asks_everybody_to_authenticate() -> None:
    assert isinstance(denial(NOBODY, "GET", "/", Policy({})), NotAuthenticated)
    assert denial(USER, "GET", "/", Policy({})) is None


def test_the_default_is_for_paths_that_no_pattern_covers() -> None:
    policy = Policy({"GET /a": public}, default=has_role("admin"))

    assert isinstance(denial(USER, "GET", "/b", policy), Forbidden)
    assert denial(NOBODY, "GET", "/a", policy) is None


def test_something_that_is_no_function_is_no_requirement() -> None:
    rules: Any = {"/a": "admin"}
    with pytest.raises(ConfigurationError, match="requirements"):
        Policy(rules)


def test_a_policy_knows_whether_it_names_something_below_a_prefix() -> None:
    policy = Policy({"/": authenticated, "GET /auth/me": public})

    assert policy.names_below("/auth")
    assert not policy.names_below("/authors")


@pytest.mark.requirement("R-84", "holds")
@given(st.lists(st.sampled_from(["", "admin", "report"]), max_size=6), st.sampled_from(["GET", "HEAD", "POST", None]))
def test_doubled_leading_and_trailing_slashes_change_no_decision(parts: list[str], method: str | None) -> None:
    written = "/" + "/".join(parts)
    plain = "/" + "/".join(part for part in parts if part)

    assert type(denial(USER, method, written)) is type(denial(USER, method, plain))


def test_all_of_two_readings_asks_both() -> None:
    both = all_of(ARTICLES.requirement("GET", "/healthz"), ARTICLES.requirement("GET", "/admin"))

    assert isinstance(decide(both, USER), Forbidden)
