"""The canonical form of an e-mail address: what an account is known by.

RFC 5321 §4.1.2 without quoted local parts and address literals; RFC 6531 for other scripts, limited to the letters
and digits of RFC 8264 §9.1; domains as IDNA 2008 with the mapping of UTS #46. Left out: whether the mailbox exists,
and what a provider makes of dots and of ``+tags``: to us they are part of the name.
"""

import re
import unicodedata

import idna

__all__ = ["canonical_email"]

_LONGEST_INPUT = 512
_LONGEST = 254
"""RFC 5321 §4.5.3.1.3, less the angle brackets."""
_LONGEST_LOCAL_PART = 64
"""RFC 5321 §4.5.3.1.1, in bytes."""

_ATEXT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~")
_MARKS = frozenset({"Mn", "Mc"})
_LETTERS_AND_DIGITS = frozenset({"Ll", "Lu", "Lo", "Lm", "Nd"}) | _MARKS  # Lu: Cherokee folds to capitals
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def canonical_email(email: str) -> str:
    """The one spelling of ``email``: NFKC, the local part case folded, the domain in its ASCII form (``xn--…``).

    Canonical first, valid after: what is judged is what would be stored. Idempotent; two spellings of one address
    give one answer, look-alikes of other scripts give another one or none. Mail goes to what is returned: a letter
    that folds into several (``ß``) is refused in the local part, since the result could be somebody else's mailbox,
    and kept in the domain.

    Raises ValueError, without the address in it, for anything but one local part, one ``@`` and one domain name: for
    white space (at the ends too), control and invisible characters, double quotes, commas, lists, comments, address
    literals, empty labels, a local part over 64 or an address over 254 bytes.
    """
    if len(email) > _LONGEST_INPUT:
        raise ValueError("too long for an e-mail address")
    name, _, domain = unicodedata.normalize("NFKC", email).partition("@")
    local = unicodedata.normalize("NFKC", name.casefold())
    host = _ascii_domain(domain)
    if host is None or _letters(local) != _letters(name) or not _is_local_part(local):
        raise ValueError("not an e-mail address")
    if len(local.encode()) > _LONGEST_LOCAL_PART or len(f"{local}@{host}".encode()) > _LONGEST:
        raise ValueError("too long for an e-mail address")
    return f"{local}@{host}"


def _letters(text: str) -> int:
    """How many characters there are, marks apart."""
    return sum(unicodedata.category(character) not in _MARKS for character in unicodedata.normalize("NFKD", text))


def _is_local_part(local: str) -> bool:
    """Whether it is a dot-atom that folding leaves as it is."""
    return (
        all(local.split("."))
        and all(_is_atext(character) for character in local if character != ".")
        and unicodedata.category(local[0]) not in _MARKS
        and unicodedata.normalize("NFKC", local.casefold()) == local
    )


def _is_atext(character: str) -> bool:
    if character.isascii():
        return character in _ATEXT
    return unicodedata.category(character) in _LETTERS_AND_DIGITS and not _INVISIBLE.match(character)


def _ascii_domain(domain: str) -> str | None:
    """The domain as A-labels in lower case; None where it is no domain name, or its last label no name but a number."""
    try:
        host = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        return None
    return None if host.endswith(".") or host.rpartition(".")[2].isdigit() else host
