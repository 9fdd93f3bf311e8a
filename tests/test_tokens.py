"""Opaque tokens: what is made is read again, and nothing else is."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.tokens import (
    CHECKSUM_LENGTH,
    ID_LENGTH,
    SECRET_LENGTH,
    derive_secret,
    digest,
    encode,
    is_id,
    is_secret,
    matches,
    mint_id,
    mint_secret,
    parse,
)

BASE62 = string.digits + string.ascii_letters
WIDTHS = (ID_LENGTH, SECRET_LENGTH)
LENGTH = len("rt_") + ID_LENGTH + 1 + sum(WIDTHS) + CHECKSUM_LENGTH


def mint() -> tuple[str, tuple[str, str, str]]:
    parts = (mint_id(), mint_id(), mint_secret())
    return encode("rt", *parts), parts


@pytest.mark.requirement("R-26", "holds")
@pytest.mark.requirement("R-16", "holds")
def test_ids_have_131_bits_and_secrets_256_and_none_comes_twice() -> None:
    ids, secrets = {mint_id() for _ in range(2000)}, {mint_secret() for _ in range(2000)}

    assert len(ids) == len(secrets) == 2000
    assert {len(id) for id in ids} == {22}
    assert {len(secret) for secret in secrets} == {43}
    assert 62**22 > 2**130
    assert 62**43 > 2**256
    for place in range(22):
        assert len({id[place] for id in ids}) > 50, "every character of an id varies"
    for place in range(1, 43):
        assert len({secret[place] for secret in secrets}) > 50, "and of a secret, but the first"


def test_a_token_has_a_fixed_shape_and_is_read_again() -> None:
    token, parts = mint()

    assert len(token) == LENGTH
    assert token.startswith(f"rt_{parts[0]}_{parts[1]}{parts[2]}")
    assert parse(token, prefix="rt", widths=WIDTHS) == parts


@given(st.text(BASE62, min_size=22, max_size=22), st.text(BASE62, min_size=43, max_size=43))
def test_whatever_is_encoded_is_parsed_to_the_same(id: str, secret: str) -> None:
    assert parse(encode("ak", id, secret), prefix="ak", widths=(SECRET_LENGTH,)) == (id, secret)


@pytest.mark.requirement("R-26", "refuses")
@given(st.data())
def test_a_token_with_any_character_changed_is_none_of_ours(data: st.DataObject) -> None:
    token, _ = mint()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))

    assert parse(token[:place] + other + token[place + 1 :], prefix="rt", widths=WIDTHS) is None


@given(
    st.text(max_size=150) | st.text(BASE62 + "_", min_size=LENGTH, max_size=LENGTH).map(lambda text: "rt_" + text[3:])
)
def test_whatever_the_text_it_is_no_token_and_nothing_is_raised(text: str) -> None:
    assert parse(text, prefix="rt", widths=WIDTHS) is None


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda t: t + " ", lambda t: f" {t}", lambda t: t[:-1]])
def test_no_other_spelling_is_the_token(change: object) -> None:
    assert callable(change)
    token, _ = mint()

    assert parse(change(token), prefix="rt", widths=WIDTHS) is None


def test_a_token_of_another_kind_is_none_of_this_kind() -> None:
    token, parts = mint()

    assert parse(token, prefix="ak", widths=WIDTHS) is None
    assert parse(token, prefix="rt", widths=(SECRET_LENGTH,)) is None
    assert parse(encode("rtx", *parts), prefix="rt", widths=WIDTHS) is None


def test_letters_that_python_calls_digits_are_not_base62() -> None:
    id, secret = mint_id(), mint_secret()

    assert parse(encode("ak", "٣" * 22, secret), prefix="ak", widths=(SECRET_LENGTH,)) is None
    assert parse(encode("ak", id, "é" * 43), prefix="ak", widths=(SECRET_LENGTH,)) is None
    assert parse(encode("ak", id, secret) + "\n", prefix="ak", widths=(SECRET_LENGTH,)) is None
    assert parse("\ud800" * (LENGTH - 23), prefix="ak", widths=(SECRET_LENGTH,)) is None


@pytest.mark.requirement("R-26", "holds")
def test_a_child_is_the_same_for_the_same_parent_and_salt_and_for_no_other() -> None:
    parent, salt = mint_secret(), b"salt" * 8
    child = derive_secret(parent, salt)

    assert child == derive_secret(parent, salt)
    assert len(child) == SECRET_LENGTH
    assert len({child, derive_secret(mint_secret(), salt), derive_secret(parent, b"other"), parent}) == 4


def test_a_digest_is_sha_256_and_is_compared_whole() -> None:
    assert digest("secret") == hashlib.sha256(b"secret").digest()
    assert matches(digest("secret"), digest("secret"))
    assert not matches(digest("secret"), digest("secret "))
    assert not matches(b"", digest("secret"))


def test_an_id_is_known_by_its_form_alone() -> None:
    assert is_id(mint_id())
    for text in ("", mint_id()[1:], mint_id() + "a", "a" * 21 + "\n", "a" * 21 + "é", "a" * 21 + "\ud800", "٣" * 22):
        assert not is_id(text)


def test_a_secret_is_known_by_its_form_alone() -> None:
    assert is_secret(mint_secret())
    for text in ("", mint_id(), mint_secret()[1:], mint_secret() + "a", "a" * 42 + "\n", "a" * 42 + "é", "٣" * 43):
        assert not is_secret(text)
