"""Which passwords may be set."""

from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.passwords import (
    MINIMUM_LENGTH,
    NIST_SINGLE_FACTOR_LENGTH,
    PasswordPolicy,
    common_passwords,
    normalize_password,
)

ACCEPTED = {
    "8 letters": "zwqkvbnt",
    "64 characters": "a horse " * 8,
    "1,024 bytes": "x" * 1_024,
    "letters alone": "nothing but letters",
    "digits alone": "80417365921",
    "spaces": "  to be or not  ",
    "another script": "парольная",
    "8 emoji": "🐎🔋📎✅🌵🎻🧊🪁",
}


@pytest.fixture(scope="module")
def policy() -> PasswordPolicy:
    return PasswordPolicy()


@pytest.mark.requirement("R-49", "holds")
@pytest.mark.requirement("R-50", "holds")
@pytest.mark.parametrize("password", ACCEPTED.values(), ids=ACCEPTED)
def test_a_password_need_only_be_long_and_uncommon_whatever_it_is_composed_of(
    policy: PasswordPolicy, password: str
) -> None:
    assert policy.check(password) == ()


@pytest.mark.requirement("R-49", "refuses")
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("zwqkvbn", "too_short"),
        ("x" * 1_025, "too_long"),
        ("é" * 513, "too_long"),
        ("zwqkvbnt\x00", "malformed"),
        ("zwqkvbnt\ud800", "malformed"),
    ],
)
def test_a_password_too_short_too_long_or_malformed_is_refused(
    policy: PasswordPolicy, password: str, code: str
) -> None:
    assert policy.check(password) == (code,)


@pytest.mark.requirement("R-51", "refuses")
def test_length_is_counted_in_code_points_of_the_normal_form() -> None:
    seven_letters_of_fourteen_code_points = "u\u0308" * 7
    seven_emoji_of_28_bytes = "🐎" * 7

    assert PasswordPolicy().check(seven_letters_of_fourteen_code_points) == ("too_short",)
    assert PasswordPolicy().check(seven_emoji_of_28_bytes) == ("too_short",)


def test_the_length_of_a_single_factor_is_one_named_constant_away() -> None:
    policy = PasswordPolicy(minimum_length=NIST_SINGLE_FACTOR_LENGTH)

    assert policy.check("zwqkvbnt zwqkv") == ("too_short",)
    assert policy.check("zwqkvbnt zwqkvb") == ()


@pytest.mark.requirement("R-50", "holds")
def test_the_shipped_list_has_far_more_than_3000_passwords_that_the_length_alone_would_accept() -> None:
    shipped = common_passwords()

    assert len(shipped) > 16_000
    assert all(len(password) >= MINIMUM_LENGTH and normalize_password(password) == password for password in shipped)
    assert not any(password.startswith("# ") for password in shipped)
    assert "#1stunna" in shipped


@pytest.mark.requirement("R-50", "refuses")
@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord1",
        "987654321",
        "iloveyou",
        "1q2w3e4r5t",
        "qwertyuiop",
        "\uff50\uff41\uff53\uff53word",
        "11234567",
    ],
)
def test_a_common_password_is_refused_in_any_case_and_width(policy: PasswordPolicy, password: str) -> None:
    assert policy.check(password) == ("too_common",)


@pytest.mark.requirement("R-50", "refuses")
@pytest.mark.parametrize(
    "password",
    [
        "anna.smith",
        "ANNA-SMITH-2024",
        "smithanna1!",
        "Exam\uff50le2024!",
        "example-anna",
        "Gazette99!",
        "gazette smith",
    ],
)
def test_a_password_made_of_what_anybody_knows_about_the_account_is_refused(password: str) -> None:
    policy = PasswordPolicy(words=["The Gazette"])

    assert policy.check(password, ("anna.smith", "example")) == ("too_predictable",)


@pytest.mark.parametrize("password", ["anna likes horses", "an example of a long sentence", "xy zwqkvbn"])
def test_a_known_word_within_a_longer_password_does_no_harm(password: str) -> None:
    assert PasswordPolicy().check(password, ("anna.smith", "example", "xy")) == ()


def test_an_application_adds_passwords_of_its_own_to_the_list() -> None:
    policy = PasswordPolicy(blocked=["Zwqkvbnt One"])

    assert policy.check("zwqkvbnt ONE") == ("too_common",)
    assert policy.check("password") == ("too_common",)


def test_all_findings_are_told_at_once() -> None:
    assert PasswordPolicy(words=["princess"]).check("princess1") == ("too_common", "too_predictable")


@pytest.mark.requirement("R-49", "refuses")
@pytest.mark.parametrize("length", [7, 0, -1])
def test_a_policy_below_8_is_refused_when_the_application_is_put_together(length: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 8"):
        PasswordPolicy(minimum_length=length)


def test_one_string_where_words_belong_is_refused_when_the_application_is_put_together() -> None:
    with pytest.raises(ConfigurationError, match="collections"):
        PasswordPolicy(words="gazette")
    with pytest.raises(ConfigurationError, match="collections"):
        PasswordPolicy(blocked="gazette")


any_text = st.text(st.characters(exclude_categories=()))


@given(any_text, st.lists(any_text, max_size=4))
def test_no_text_makes_the_policy_raise_and_what_it_accepts_can_be_hashed(password: str, context: list[str]) -> None:
    if PasswordPolicy().check(password, context) == ():
        assert len(normalize_password(password)) >= MINIMUM_LENGTH


def test_the_list_is_read_once_in_a_process() -> None:
    PasswordPolicy()
    before = common_passwords.cache_info().misses
    PasswordPolicy()

    assert common_passwords.cache_info().misses == before == 1


def test_the_list_names_its_sources_and_their_licenses() -> None:
    header = [line for line in _lines() if line == "#" or line.startswith("# ")]
    text = " ".join(line[2:] for line in header)

    assert all(name in text for name in ("Django", "Royce Williams", "zxcvbn", "Dan Wheeler", "MIT License"))
    assert "Redistributions of source code must retain the above copyright notice" in text
    assert _lines()[: len(header)] == header
    assert all(one != other for one, other in pairwise(sorted(_lines()[len(header) :])))


def _lines() -> list[str]:
    return resources.files("asgi_auth").joinpath("common_passwords.txt").read_text(encoding="utf-8").splitlines()
