"""Passwords have one form, and their hashes cost the same to refuse."""

import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import argon2
import pytest
from argon2_ledger import counted_argon2
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError
from asgi_auth.passwords import (
    MAXIMUM_BYTES,
    OWASP,
    OWASP_46_MIB,
    RFC_9106_HIGH_MEMORY,
    RFC_9106_LOW_MEMORY,
    TESTING,
    Argon2Profile,
    MalformedPassword,
    PasswordHasher,
    normalize_password,
)

PASSWORD = "correct horse battery staple"
SCARCE = Argon2Profile(time_cost=1, memory_cost=16, parallelism=1)

FOREIGN = {
    "bcrypt": "$2b$04$2MrDYIFGgZ8a5TF0AfGeoOVqDRMfliYc8i6JrC22mVOvN.QZnHs/m",
    "bcrypt_sha256": "$bcrypt-sha256$v=2,t=2b,r=4$lXHrf1EJ7Dj4CTiwrskCb.$HCWhuJuEc5gYllNUrlXU8BQXJEWyN/y",
    "scrypt": "$scrypt$ln=4,r=8,p=1$/R8jRKgV4vz/XwvB2NtbCw$Mp1ZRkxcbAckKSb+c2lHzzdRA7v6L1pxNaJ3neZfRIo",
    "pbkdf2_sha1": "$pbkdf2$100$zlkLwfjfW.sdo/Q.p/S.tw$ySyUgYOzqixBjbUDWDjnh7R6yU4",
    "pbkdf2_sha256": "$pbkdf2-sha256$100$bS1ljNEaw5iTshYiRGhtrQ$Yj5iBkSmYUR38OWWJohsdtymKejosc5v2CwtsmEVZRo",
    "pbkdf2_sha512": "$pbkdf2-sha512$100$a.09B2DMGUPofW9tbc259w"
    "$l7r6BNVkhfEHwqHYpKo3bIOMsaLaWVCLM8D42m5YKTSLrYfO8I3kcpVw5wTK9ZaSBbRz9CxtYdUTocXeIb.xrw",
    "Django's argon2": "argon2$argon2id$v=19$m=16,t=1,p=1"
    "$q3WuFUJICaF0rtWa814LwQ$TWhPzlkccxrefBpIifZb6Q4Xdxg4/gMD1kiZRJ3BRBQ",
    "Django's bcrypt": "bcrypt$$2b$04$xVmdulfiP6hopQ/bHipYKufxHomt0VYHm59.2sNeq4/jkfFKY.QwO",
    "Django's bcrypt_sha256": "bcrypt_sha256$$2b$04$2G4O6M8wKBeC/69jkE5QduiUm73MbG6gaFQopScMYcoTlE1bXzSG2",
    "Django's pbkdf2_sha256": "pbkdf2_sha256$100$JNd7lEdQhJS6$SjRNfxRfYqMPxaYUDnJnoyi20N98UyTDN6bGMmwx6mo=",
    "argon2i": "$argon2i$v=19$m=8,t=1,p=1$r3WO0dr7n/Nei9E6R+hdyw$1J4DZcs2lUqAyYPeUfVBITUewU+W/q6GpzvtVz5kyjc",
    "argon2id with more memory": "$argon2id$v=19$m=16,t=1,p=1"
    "$q3WuFUJICaF0rtWa814LwQ$TWhPzlkccxrefBpIifZb6Q4Xdxg4/gMD1kiZRJ3BRBQ",
    "argon2id with more lanes": "$argon2id$v=19$m=16,t=1,p=2"
    "$mFNK6V2rtVZK6d07p9T6/w$5yXn47YqFhQHDEU3Dqtpr2PdW5pmTpAWFLd0Uqhga1k",
}

BROKEN = {
    "nothing": "",
    "Django's unusable password": "!",
    "a name alone": "$argon2id$",
    "too little memory": "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
    "more memory than there is": "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
    "no salt": "$2b$04$",
    "bad padding": "$2b$04$" + "a" * 53,
    "a checksum of nothing": "$pbkdf2-sha256$1$$",
    "an unknown scheme": "$9$unknown$x",
    "a NUL": "$2b$04$\x00",
    "a lone surrogate": "$2b$04$" + "\ud800" * 53,
    "other scripts": "é" * 60,
}

UNUSABLE = {
    "a NUL in the middle": "correct\x00horse",
    "a NUL at the end": PASSWORD + "\x00",
    "a lone surrogate": PASSWORD + "\ud800",
    "1,025 bytes": "x" * (MAXIMUM_BYTES + 1),
    "1,026 bytes in 513 characters": "é" * 513,
    "1,032 bytes once normalised": "\U0001d160" * 86,
    "a megabyte": "x" * 1_000_000,
}

any_text = st.text(st.characters(exclude_categories=()))


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher(TESTING)


def normalized_or_refused(text: str) -> str | None:
    with suppress(MalformedPassword):
        return normalize_password(text)
    return None


@given(any_text)
def test_every_text_is_normalised_once_and_for_all_or_refused_by_a_value_error(text: str) -> None:
    normalized = normalized_or_refused(text)

    if normalized is not None:
        assert normalize_password(normalized) == normalized
        assert unicodedata.is_normalized("NFC", normalized)


@given(any_text)
def test_canonically_equivalent_texts_are_one_password(text: str) -> None:
    assert normalized_or_refused(text) == normalized_or_refused(unicodedata.normalize("NFD", text))


def test_a_malformed_password_is_a_value_error() -> None:
    assert issubclass(MalformedPassword, ValueError)


@pytest.mark.requirement("R-51", "holds")
def test_a_password_verifies_however_the_keyboard_composes_its_letters(hasher: PasswordHasher) -> None:
    decomposed, composed = "scho\u0308ne gru\u0308\u00dfe", "sch\u00f6ne gr\u00fc\u00dfe"

    assert hasher.verify(decomposed, hasher.hash(composed))
    assert hasher.verify(composed, hasher.hash(decomposed))


@pytest.mark.requirement("R-51", "refuses")
@pytest.mark.parametrize(
    "look_alike",
    ["PASSPHRASE no 2", "passphrase no ²", "\uff50assphrase no 2", "passphrase\u00a0no 2", "passphrase n\u043e 2"],
)
def test_a_look_alike_is_another_password(hasher: PasswordHasher, look_alike: str) -> None:
    assert not hasher.verify(look_alike, hasher.hash("passphrase no 2"))


@pytest.mark.requirement("R-49", "refuses")
@pytest.mark.parametrize("password", UNUSABLE.values(), ids=UNUSABLE)
def test_a_malformed_password_is_refused_before_hashing_and_never_cut(hasher: PasswordHasher, password: str) -> None:
    with counted_argon2() as ledger, pytest.raises(MalformedPassword):
        hasher.hash(password)

    assert ledger == []


@pytest.mark.parametrize("password", UNUSABLE.values(), ids=UNUSABLE)
def test_a_refusal_to_normalise_keeps_nothing_of_the_password(password: str) -> None:
    with pytest.raises(MalformedPassword) as refused:
        normalize_password(password)

    assert refused.value.__context__ is None
    assert repr(refused.value) in ("MalformedPassword('malformed')", "MalformedPassword('too_long')")


@pytest.mark.requirement("R-49", "holds")
@pytest.mark.parametrize("password", ["x" * 64, "x" * MAXIMUM_BYTES, "é" * 512, "🔑" * 256])
def test_a_password_counts_to_its_last_byte(hasher: PasswordHasher, password: str) -> None:
    stored = hasher.hash(password)

    assert hasher.verify(password, stored)
    assert not hasher.verify(password[:-1], stored)


@pytest.mark.requirement("R-49", "refuses")
@pytest.mark.parametrize("scheme", ["argon2id", "bcrypt"])
def test_passwords_that_are_equal_in_their_first_72_bytes_differ(hasher: PasswordHasher, scheme: str) -> None:
    first_72 = "x" * 72
    stored = {
        "argon2id": hasher.hash(first_72 + "right"),
        "bcrypt": "$2b$04$2MrDYIFGgZ8a5TF0AfGeoOaqspyE5I9HVJsLIdFtu75YHU25n2kuS",
    }[scheme]

    assert hasher.verify(first_72 + "right", stored) is (scheme == "argon2id")
    assert not hasher.verify(first_72 + "wrong", stored)
    assert hasher.verify(first_72, stored) is (scheme == "bcrypt")


@pytest.mark.requirement("R-48", "holds")
def test_a_hash_is_argon2id_with_owasps_parameters_and_a_salt_of_its_own() -> None:
    hasher = PasswordHasher()
    first, second = hasher.hash(PASSWORD), hasher.hash(PASSWORD)

    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert argon2.PasswordHasher().verify(first, PASSWORD)
    assert hasher.verify(PASSWORD, second)
    assert not hasher.needs_update(first)


@pytest.mark.requirement("R-48", "refuses")
@pytest.mark.parametrize(
    "profile",
    [
        Argon2Profile(time_cost=1, memory_cost=19_456, parallelism=1),
        Argon2Profile(time_cost=2, memory_cost=19_455, parallelism=1),
        Argon2Profile(time_cost=1, memory_cost=47_103, parallelism=1),
        Argon2Profile(time_cost=2, memory_cost=19_456, parallelism=0),
        Argon2Profile(time_cost=1, memory_cost=9, parallelism=1),
    ],
)
def test_less_than_the_minimum_is_refused_when_the_application_is_put_together(profile: Argon2Profile) -> None:
    with pytest.raises(ConfigurationError, match="below OWASP's minimum"):
        PasswordHasher(profile)


@pytest.mark.parametrize("profile", [OWASP, OWASP_46_MIB, RFC_9106_LOW_MEMORY, RFC_9106_HIGH_MEMORY, TESTING])
def test_the_named_profiles_are_accepted(profile: Argon2Profile) -> None:
    assert PasswordHasher(profile).needs_update(FOREIGN["bcrypt"])


@pytest.mark.parametrize("stored", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_hash_is_verified_and_replaced(hasher: PasswordHasher, stored: str) -> None:
    assert hasher.needs_update(stored)
    assert hasher.verify_and_update("wrong horse", stored) == (False, None)
    verified, replacement = hasher.verify_and_update(PASSWORD, stored)
    assert verified
    assert replacement is not None
    assert replacement.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert hasher.verify_and_update(PASSWORD, replacement) == (True, None)


@pytest.mark.requirement("R-48", "holds")
@pytest.mark.parametrize("grown", [replace(OWASP, time_cost=3), replace(OWASP, memory_cost=20_000)])
def test_a_hash_is_replaced_when_the_parameters_have_grown(grown: Argon2Profile) -> None:
    stored = PasswordHasher(OWASP).hash(PASSWORD)

    verified, replacement = PasswordHasher(grown).verify_and_update(PASSWORD, stored)

    assert verified
    assert replacement is not None
    assert f"m={grown.memory_cost},t={grown.time_cost},p=1" in replacement


@pytest.mark.parametrize("stored", BROKEN.values(), ids=BROKEN)
def test_a_broken_hash_opens_for_nobody_and_raises_nothing(hasher: PasswordHasher, stored: str) -> None:
    assert hasher.verify(PASSWORD, stored) is False
    assert hasher.verify_and_update(PASSWORD, stored) == (False, None)
    assert hasher.needs_update(stored) is True


PREFIXES = (
    "",
    "$2b$04$",
    "$argon2id$v=19$m=8,t=1,p=1$",
    "$bcrypt-sha256$v=2,t=2b,r=4$",
    "$pbkdf2-sha256$10$",
    "$scrypt$ln=1,r=1,p=1$",
    "argon2$argon2id$v=19$m=8,t=1,p=1$",
    "bcrypt$$2b$04$",
    "bcrypt_sha256$$2b$04$",
    "pbkdf2_sha256$10$",
)


@given(st.sampled_from(PREFIXES), any_text, any_text)
def test_no_text_is_a_hash_that_opens_or_raises(prefix: str, rest: str, password: str) -> None:
    hasher = PasswordHasher(TESTING)

    assert hasher.verify(password, prefix + rest) is False
    hasher.needs_update(prefix + rest)


@pytest.mark.requirement("R-58", "holds")
@pytest.mark.parametrize("password", [PASSWORD, "", *UNUSABLE.values()], ids=["wrong", "empty", *UNUSABLE])
@pytest.mark.parametrize("stored", ["nobody's", "a stored one", "a broken one"])
def test_every_refusal_is_the_work_of_one_hash(password: str, stored: str) -> None:
    hasher = PasswordHasher(OWASP)
    hashes = {"nobody's": None, "a stored one": hasher.hash("another password"), "a broken one": "!"}

    with counted_argon2() as ledger:
        assert hasher.verify_and_update(password, hashes[stored]) == (False, None)

    assert ledger == [38_912]


@pytest.mark.requirement("R-58", "holds")
@pytest.mark.parametrize(
    "weaker",
    [
        Argon2Profile(time_cost=1, memory_cost=19_456, parallelism=1),
        Argon2Profile(time_cost=3, memory_cost=4_096, parallelism=1),
        SCARCE,
    ],
)
def test_a_weaker_stored_hash_is_topped_up_to_the_work_of_an_unknown_account(weaker: Argon2Profile) -> None:
    stored = argon2.PasswordHasher(weaker.time_cost, weaker.memory_cost, weaker.parallelism).hash(PASSWORD)
    hasher = PasswordHasher(OWASP)

    with counted_argon2() as ledger:
        assert not hasher.verify("wrong horse", stored)

    assert ledger == [weaker.time_cost * weaker.memory_cost, 38_912 - weaker.time_cost * weaker.memory_cost]


@pytest.mark.requirement("R-58", "holds")
def test_a_fast_foreign_hash_is_topped_up_and_a_slow_one_is_not() -> None:
    hasher = PasswordHasher(OWASP)
    hasher.warm()
    hasher.verify("wrong horse", FOREIGN["bcrypt"])  # bcrypt is loaded at its first use

    with counted_argon2() as ledger:
        hasher.verify("wrong horse", FOREIGN["pbkdf2_sha256"])
        hasher.verify("wrong horse", FOREIGN["bcrypt"])
    assert len(ledger) == 2
    assert all(0 < work < 38_912 for work in ledger)

    with counted_argon2() as ledger:
        hasher.verify("wrong horse", "$2b$13$2MrDYIFGgZ8a5TF0AfGeoOVqDRMfliYc8i6JrC22mVOvN.QZnHs/m")
    assert ledger == []


@pytest.mark.requirement("R-58", "refuses")
def test_the_right_password_is_topped_up_like_a_wrong_one() -> None:
    weaker = argon2.PasswordHasher(1, 4_096, 1).hash(PASSWORD)
    hasher = PasswordHasher(OWASP)

    with counted_argon2() as right:
        assert hasher.verify(PASSWORD, weaker)
    with counted_argon2() as wrong:
        assert not hasher.verify("wrong horse", weaker)

    assert right == wrong


def test_the_dummy_hash_of_nobody_needs_no_update_and_takes_no_password(hasher: PasswordHasher) -> None:
    with counted_argon2() as ledger:
        hasher.dummy_verify(PASSWORD)

    assert ledger == [8]


def test_two_hundred_parallel_verifications_mixed_right_and_wrong_give_no_false_answer(hasher: PasswordHasher) -> None:
    passwords = [f"password of number {number}" for number in range(20)]
    hashes = [hasher.hash(password) for password in passwords] + [FOREIGN["bcrypt"]]
    passwords.append(PASSWORD)
    pairs = [(mine, (mine + shift) % 21) for shift in (0, 1, 0, 3, 0, 7, 0, 9, 0, 11) for mine in range(21)]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda pair: hasher.verify(passwords[pair[0]], hashes[pair[1]]), pairs))

    assert len(answers) == 210
    assert answers == [mine == other for mine, other in pairs]


def installed(site: Path, version: str) -> None:
    folder = site / f"passlib-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: passlib\nVersion: {version}\n")


def test_passlib_1_7_beside_libpass_is_refused_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "1.7.4")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigurationError, match="pip uninstall --yes passlib libpass && pip install 'libpass"):
        PasswordHasher(TESTING)


def test_a_libpass_that_is_packaged_under_the_old_name_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "1.9.4")
    monkeypatch.syspath_prepend(tmp_path)

    assert PasswordHasher(TESTING).hash(PASSWORD)


def test_a_passlib_that_an_uninstall_left_in_pieces_is_refused_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "passlib.context", None)

    with pytest.raises(ConfigurationError, match="pip uninstall --yes passlib libpass"):
        PasswordHasher(TESTING)


def test_importing_the_module_loads_neither_passlib_nor_the_list() -> None:
    script = (
        "import sys, asgi_auth.passwords as p; print('passlib' in sys.modules, p.common_passwords.cache_info().misses)"
    )

    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert answer.stdout.split() == ["False", "0"]
