"""One address, one canonical form."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.emails import canonical_email

SAME = {
    "case of the local part": ("Anna@example.com", "anna@example.com"),
    "case of the domain": ("anna@EXAMPLE.Com", "anna@example.com"),
    "case of everything": ("ANNA.SMITH@EXAMPLE.COM", "anna.smith@example.com"),
    "the Kelvin sign": ("\u212aelly@example.com", "kelly@example.com"),
    "the long s": ("\u017fam@example.com", "sam@example.com"),
    "full width": ("\uff41\uff4e\uff4e\uff41@example.com", "anna@example.com"),
    "full width capitals": ("\uff21\uff2e\uff2e\uff21@example.com", "anna@example.com"),
    "a full width at sign": ("anna\uff20example.com", "anna@example.com"),
    "a full width dot": ("anna@example\uff0ecom", "anna@example.com"),
    "an ideographic full stop": ("anna@example\u3002com", "anna@example.com"),
    "a half width full stop": ("anna@example\uff61com", "anna@example.com"),
    "a small at sign": ("anna\ufe6bexample.com", "anna@example.com"),
    "a full width domain": ("anna@\uff45\uff58ample.com", "anna@example.com"),
    "mathematical bold": ("\U0001d41a\U0001d427\U0001d427\U0001d41a@example.com", "anna@example.com"),
    "circled letters": ("\u24d0nna@example.com", "anna@example.com"),
    "superscript digits": ("anna\u00b2@example.com", "anna2@example.com"),
    "full width digits": ("anna\uff11@example.com", "anna1@example.com"),
    "the feminine ordinal": ("ann\u00aa@example.com", "anna@example.com"),
    "a decomposed umlaut": ("u\u0308te@example.com", "\u00fcte@example.com"),
    "a capital umlaut": ("\u00dcte@example.com", "\u00fcte@example.com"),
    "a decomposed capital umlaut": ("U\u0308te@example.com", "\u00fcte@example.com"),
    "the Angstrom sign": ("\u212bsa@example.com", "\u00e5sa@example.com"),
    "the Ohm sign": ("\u2126@example.com", "\u03c9@example.com"),
    "Cyrillic capitals": ("\u0410\u041d\u041d\u0410@example.com", "\u0430\u043d\u043d\u0430@example.com"),
    "Greek capitals": ("\u039d\u0399\u039a\u039f\u03a3@example.com", "\u03bd\u03b9\u03ba\u03bf\u03c2@example.com"),
    "a final sigma": ("\u03bd\u03b9\u03ba\u03bf\u03c2@example.com", "\u03bd\u03b9\u03ba\u03bf\u03c3@example.com"),
    "the micro sign": ("\u00b5@example.com", "\u03bc@example.com"),
    "half width katakana": ("\uff76\uff9e@example.com", "\u30ac@example.com"),
    "a dotted capital I": ("\u0130an@example.com", "i\u0307an@example.com"),
    "a caron that capitals have only as a mark": ("J\u030can@example.com", "\u01f0an@example.com"),
    "a letter that folds into itself and marks": ("\u0390@example.com", "\u03b9\u0308\u0301@example.com"),
    "an umlaut in the domain": ("anna@b\u00fccher.example", "anna@xn--bcher-kva.example"),
    "a capital umlaut in the domain": ("anna@B\u00dcCHER.example", "anna@xn--bcher-kva.example"),
    "a decomposed umlaut in the domain": ("anna@bu\u0308cher.example", "anna@xn--bcher-kva.example"),
    "capitals in an A-label": ("anna@XN--BCHER-KVA.example", "anna@xn--bcher-kva.example"),
    "a soft hyphen in the domain": ("anna@exam\u00adple.com", "anna@example.com"),
    "a sharp s in the domain": ("anna@fa\u00df.example", "anna@xn--fa-hia.example"),
    "a capital sharp s in the domain": ("anna@fa\u1e9e.example", "anna@xn--fa-hia.example"),
}

DIFFERENT = {
    "Cyrillic a": ("\u0430nna@example.com", "anna@example.com"),
    "Cyrillic a in the domain": ("anna@ex\u0430mple.com", "anna@example.com"),
    "Cyrillic o": ("b\u043eb@example.com", "bob@example.com"),
    "Cyrillic e": ("p\u0435ter@example.com", "peter@example.com"),
    "Cyrillic p": ("\u0440eter@example.com", "peter@example.com"),
    "Cyrillic c": ("\u0441arla@example.com", "carla@example.com"),
    "Cyrillic i": ("m\u0456ke@example.com", "mike@example.com"),
    "a whole name in Cyrillic": ("\u0441\u043e\u0440\u0435@example.com", "cope@example.com"),
    "Armenian o": ("b\u0585b@example.com", "bob@example.com"),
    "Cherokee a": ("\u13aanna@example.com", "anna@example.com"),
    "a Greek capital": ("\u0391nna@example.com", "anna@example.com"),
    "Greek omicron": ("b\u03bfb@example.com", "bob@example.com"),
    "dotless i": ("m\u0131ke@example.com", "mike@example.com"),
    "dotless i in the domain": ("mike@g\u0131thub.example", "mike@github.example"),
    "one for l": ("pau1@example.com", "paul@example.com"),
    "zero for o": ("b0b@example.com", "bob@example.com"),
    "rn for m": ("rnike@example.com", "mike@example.com"),
    "Latin alpha": ("\u0251nna@example.com", "anna@example.com"),
    "a diacritic": ("\u00e1nna@example.com", "anna@example.com"),
    "a diacritic in the domain": ("anna@\u00e9xample.com", "anna@example.com"),
    "dots": ("an.na@example.com", "anna@example.com"),
    "a tag": ("anna+news@example.com", "anna@example.com"),
    "the order of marks that see each other": ("a\u0301\u0300@example.com", "a\u0300\u0301@example.com"),
    "an Arabic digit": ("anna\u0661@example.com", "anna1@example.com"),
    "a sharp s and ss in the domain": ("anna@fa\u00df.example", "anna@fass.example"),
    "a hyphen": ("an-na@example.com", "anna@example.com"),
}

REFUSED = {
    "nothing": "",
    "an at sign alone": "@",
    "no at sign": "anna.example.com",
    "no local part": "@example.com",
    "no domain": "anna@",
    "two at signs": "anna@evil.example@example.com",
    "two at signs in a row": "anna@@example.com",
    "two at signs, one full width": "anna@evil.example\uff20example.com",
    "two at signs, one small": "anna\ufe6bevil.example@example.com",
    "an encoded at sign in the domain": "anna@evil.example%40example.com",
    "a list with a comma": "anna@example.com,bob@example.com",
    "a list with a semicolon": "anna@example.com;bob@example.com",
    "a comma in the local part": "anna,bob@example.com",
    "a full width comma": "anna\uff0cbob@example.com",
    "a list with a space": "anna@example.com bob@example.com",
    "a space in the local part": "anna smith@example.com",
    "a space before": " anna@example.com",
    "a space after": "anna@example.com ",
    "a no-break space": "anna\u00a0smith@example.com",
    "an ideographic space": "anna\u3000@example.com",
    "a tab": "anna\t@example.com",
    "a line feed": "anna@example.com\nbcc: bob@example.com",
    "a carriage return": "anna\r@example.com",
    "a line separator": "anna\u2028@example.com",
    "a next line": "anna\u0085@example.com",
    "a NUL": "anna\x00@example.com",
    "a NUL in the domain": "anna@example.com\x00.evil.example",
    "an escape": "anna\x1b[31m@example.com",
    "a delete": "anna\x7f@example.com",
    "a zero width space": "an\u200bna@example.com",
    "a zero width joiner": "an\u200dna@example.com",
    "a soft hyphen": "an\u00adna@example.com",
    "a byte order mark": "\ufeffanna@example.com",
    "a right-to-left override": "anna\u202e@example.com",
    "a variation selector": "anna\ufe0f@example.com",
    "a Hangul filler": "anna\u3164@example.com",
    "a grapheme joiner": "an\u034fna@example.com",
    "a tag character": "anna\U000e0061@example.com",
    "a lone surrogate": "anna\ud800@example.com",
    "a lone surrogate in the domain": "anna@exam\ud800ple.com",
    "a private character": "anna\ue000@example.com",
    "an unassigned character": "anna\u0378@example.com",
    "an emoji": "anna\U0001f40e@example.com",
    "a mark at the start": "\u0301anna@example.com",
    "a sharp s, which folds into two letters": "stra\u00dfe@example.com",
    "an iota below, which folds into a letter of its own": "\u1fb3@example.com",
    "a quoted local part": '"anna"@example.com',
    "a quoted at sign": '"anna@evil.example"@example.com',
    "a double quote": 'an"na@example.com',
    "a backslash": "anna\\@example.com",
    "a display name": "Anna <anna@example.com>",
    "angle brackets": "<anna@example.com>",
    "a comment": "anna(smith)@example.com",
    "a colon": "mailto:anna@example.com",
    "a dot first": ".anna@example.com",
    "a dot last": "anna.@example.com",
    "two dots": "an..na@example.com",
    "an address literal": "anna@[127.0.0.1]",
    "an address as a domain": "anna@127.0.0.1",
    "an address with a port": "anna@example.com:25",
    "a dot at the end of the domain": "anna@example.com.",
    "a dot at its start": "anna@.example.com",
    "two dots in the domain": "anna@example..com",
    "a hyphen at the start of a label": "anna@-example.com",
    "a hyphen at its end": "anna@example-.com",
    "an underscore in the domain": "anna@ex_ample.com",
    "a slash in the domain": "anna@example.com/evil",
    "a false A-label": "anna@xn--a.example",
    "a label of 64 characters": "anna@" + "x" * 64 + ".example",
    "a local part of 65 bytes": "x" * 65 + "@example.com",
    "a local part of 66 bytes in 33 letters": "\u00e4" * 33 + "@example.com",
    "255 bytes": "anna@" + ".".join(["x" * 61] * 4) + ".yz",
    "a megabyte": "anna@" + "x" * 1_000_000,
}


@pytest.mark.requirement("R-63", "holds")
@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_two_spellings_of_one_address_have_one_form(pair: tuple[str, str]) -> None:
    one, other = pair

    assert canonical_email(one) == canonical_email(other)


@pytest.mark.requirement("R-63", "refuses")
@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_a_look_alike_is_somebody_else(pair: tuple[str, str]) -> None:
    one, other = pair

    assert canonical_email(one) != canonical_email(other)


@pytest.mark.requirement("R-63", "refuses")
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_address_is_refused_by_an_error_without_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A(not|too long for) an e-mail address\Z") as refused:
        canonical_email(text)

    assert refused.value.__context__ is None


def test_what_is_longer_than_any_address_is_not_even_folded() -> None:
    with pytest.raises(ValueError, match="too long"):
        canonical_email("@" * 513)


@pytest.mark.parametrize(
    "address",
    [
        "a@b",
        "7@1.example",
        "anna@localhost",
        "o'brien@example.ie",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "x" * 64 + "@example.com",
        "anna@" + ".".join(["x" * 61] * 4) + ".y",
        "\u0430\u043d\u043d\u0430@xn--e1afmkfd.xn--p1ai",
    ],
)
def test_a_canonical_address_stays_as_it_is(address: str) -> None:
    assert canonical_email(address) == address


def test_all_spellings_of_the_tables_are_either_one_account_or_several_never_an_error() -> None:
    forms = {canonical_email(text) for text in itertools.chain(*SAME.values(), *DIFFERENT.values())}

    assert "anna@example.com" in forms
    assert all(canonical_email(form) == form for form in forms)


addresses = st.builds(
    "{}{}{}".format,
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(["@", "\uff20", "", "@@"]),
    st.one_of(st.text(st.characters(exclude_categories=()), max_size=20), st.just("example.com")),
)


@pytest.mark.requirement("R-63", "holds")
@given(addresses | st.text(st.characters(exclude_categories=())))
def test_every_text_has_a_canonical_form_that_is_its_own_or_is_refused_by_a_value_error(text: str) -> None:
    try:
        canonical = canonical_email(text)
    except ValueError:
        return

    assert canonical_email(canonical) == canonical
    assert len(canonical.encode()) <= 254
    assert re.fullmatch(r"[^@\s,;:\"<>()\[\]\\\x00-\x20\x7f-\x9f]+@[a-z0-9.-]+", canonical)


@given(st.emails())
def test_every_common_address_is_accepted_in_any_case(address: str) -> None:
    try:
        canonical = canonical_email(address)
    except ValueError:
        assert len(address.partition("@")[0]) > 64 or not is_domain_name(address.partition("@")[2])
        return

    assert canonical_email(address.upper()) == canonical_email(address.lower()) == canonical


def is_domain_name(domain: str) -> bool:
    """By RFC 1123 and RFC 5891 §4.2.3.1: an A-label alone has hyphens in its third and fourth place."""
    labels = domain.lower().split(".")
    if any(label[2:4] == "--" and not label.startswith("xn--") for label in labels):
        return False
    return all(re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", label) for label in domain.split("."))
