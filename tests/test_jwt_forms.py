"""How a token is written: three canonical segments of strict JSON, within limits; whatever else comes is refused."""

import json
import logging
import random
import tracemalloc
from typing import Any

import pytest
from forge import AUDIENCE, CLAIMS, ISSUER, KEYS, NOW, encode, header_of, issued, refusal, signed, text, verify
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth import strict_json
from asgi_auth.errors import InvalidToken, Reason
from asgi_auth.jwt import MAX_TOKEN_LENGTH, JWTVerifier

KEY = KEYS["ES256"].current
CRITICAL: list[Any] = [[], ["exp"], ["b64"], ["exp", "exp"], ["unknown"], "b64", None, {}, 1, [1], [""]]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def ambiguous(document: dict[str, Any], member: str) -> dict[str, bytes]:
    """Forms of a good document that somebody reads otherwise, or nobody should."""
    plain = text(document)
    escaped = f"\\u{ord(member[0]):04x}{member[1:]}".encode()

    def and_more(value: bytes) -> bytes:
        return plain[:-1] + b',"x":' + value + b"}"

    return {
        "no object": b'["sub"]',
        "a text": b'"ada"',
        "nothing": b"",
        "a member twice": b'{"' + member.encode() + b'":"eve",' + plain[1:],
        "a member twice, once escaped": b'{"' + escaped + b'":"eve",' + plain[1:],
        "a byte order mark": b"\xef\xbb\xbf" + plain,
        "UTF-16": plain.decode().encode("utf-16"),
        "UTF-32": plain.decode().encode("utf-32"),
        "a lone surrogate": and_more(b'"\\ud800"'),
        "not UTF-8": and_more(b'"\xff"'),
        "NaN": and_more(b"NaN"),
        "Infinity": and_more(b"-Infinity"),
        "a number beyond floats": and_more(b"1e999"),
        "an integer of 21 digits": and_more(b"1" * 21),
        "an integer of 5,000 digits": and_more(b"1" * 5000),
        "17 arrays": and_more(b"[" * 17 + b"]" * 17),
        "2,000 arrays": and_more(b"[" * 2000 + b"]" * 2000),
        "text after it": plain + b"x",
    }


PAYLOADS = ambiguous(CLAIMS, "sub")
HEADERS = ambiguous(header_of(KEY), "alg")


@pytest.mark.requirement("R-9", "refuses")
@pytest.mark.requirement("R-17", "refuses")
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_that_could_be_read_in_two_ways_is_refused_under_a_good_signature(payload: bytes) -> None:
    assert refusal(signed(KEY, header_of(KEY), payload)) is Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-9", "refuses")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_could_be_read_in_two_ways_is_refused_under_a_good_signature(header: bytes) -> None:
    assert refusal(signed(KEY, header, CLAIMS)) is Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-9", "holds")
def test_white_space_and_other_letters_are_plain_json() -> None:
    payload = b" " + json.dumps(CLAIMS | {"sub": "Ad\u00e4 \U0001f511"}, ensure_ascii=False, indent=1).encode() + b"\n"

    assert verify(signed(KEY, header_of(KEY), payload)).subject == "Ad\u00e4 \U0001f511"


@pytest.mark.requirement("R-6", "refuses")
@pytest.mark.parametrize("crit", CRITICAL, ids=str)
def test_every_critical_extension_is_unknown(crit: object) -> None:
    assert refusal(signed(KEY, header_of(KEY, crit=crit), CLAIMS)) is Reason.TOKEN_HEADER_REFUSED
    assert refusal(signed(KEY, header_of(KEY, crit=crit, b64=True, exp=1), CLAIMS)) is Reason.TOKEN_HEADER_REFUSED


@pytest.mark.requirement("R-6", "refuses")
@pytest.mark.parametrize("b64", [True, False, None])
def test_an_unencoded_payload_does_not_exist(b64: object) -> None:
    assert refusal(signed(KEY, header_of(KEY, b64=b64), CLAIMS)) is Reason.TOKEN_HEADER_REFUSED


@pytest.mark.requirement("R-6", "holds")
@pytest.mark.requirement("R-7", "holds")
def test_an_unknown_header_parameter_is_ignored_as_the_rfc_says() -> None:
    assert refusal(signed(KEY, header_of(KEY, cty="x", zip="DEF"), CLAIMS)) is None


@pytest.mark.requirement("R-4", "holds")
@pytest.mark.requirement("R-4", "refuses")
def test_a_token_has_exactly_three_parts() -> None:
    header, payload, signature = issued().split(".")

    for parts in ([], [header], [header, payload], [header, payload, signature, ""], [header, payload, "", "", ""]):
        assert refusal(".".join(parts)) is Reason.TOKEN_MALFORMED
    for number in (0, 1, 3, 4, 5, 1000):
        assert refusal("." * number) is Reason.TOKEN_MALFORMED
    assert refusal(issued()) is None


@pytest.mark.requirement("R-4", "refuses")
def test_json_serializations_and_polyglots_are_no_tokens() -> None:
    """CVE-2026-96760, CVE-2026-102946, CVE-2022-39227."""
    header, payload, signature = issued().split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    forms = [flat, general, {**general, "signatures": []}, {"payload": payload}]
    polyglot = f'{{"{header}.{encode(text(CLAIMS | {"sub": "eve"}))}.":"","protected":"{header}","x":"{signature}"}}'

    for form in (*map(json.dumps, forms), polyglot, f' {{"":"{issued()}"}}'):
        assert isinstance(refusal(form), Reason)


@pytest.mark.requirement("R-5", "refuses")
def test_no_other_spelling_of_a_segment_is_that_segment() -> None:
    """CVE-2026-62995, CVE-2026-102269: every one of them decodes to the same bytes somewhere."""
    parts = issued().split(".")
    for place, part in enumerate(parts):
        last = ALPHABET.index(part[-1])
        spare = [part[:-1] + ALPHABET[last ^ bit] for bit in (1, 2, 3, 15)] if len(part) % 4 else []
        others = [part + "=", part + "==", part + "===", part + "\n", " " + part, part[:5] + "\r\n" + part[5:]]
        others += [part[:3] + "!" + part[3:], part + "A", part.replace("-", "+").replace("_", "/") + "\t"]
        for other in spare + others:
            assert isinstance(refusal(".".join([*parts[:place], other, *parts[place + 1 :]])), Reason)


@pytest.mark.requirement("R-5", "refuses")
@pytest.mark.parametrize("segment", ["+A", "/w", "A", "AAAAA", "AB", "AAB", "A=", "AA==", "A A", "\u00e4", "\ud800"])
def test_a_segment_that_is_no_canonical_base64url_is_refused(segment: str) -> None:
    header, payload, _ = issued().split(".")

    assert refusal(f"{header}.{payload}.{segment}") is Reason.TOKEN_MALFORMED
    assert refusal(f"{segment}.{payload}.AA") is Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-5", "holds")
@given(st.binary(max_size=64))
def test_canonical_base64url_of_any_bytes_is_read(raw: bytes) -> None:
    header, payload, _ = issued().split(".")

    assert refusal(f"{header}.{payload}.{encode(raw)}") is Reason.TOKEN_SIGNATURE_INVALID


@pytest.mark.requirement("R-100", "refuses")
@pytest.mark.requirement("R-100", "holds")
def test_a_token_is_8_kib_at_most() -> None:
    token = issued()
    fill = encode(b"x" * ((MAX_TOKEN_LENGTH - len(token)) * 3 // 4))
    header, payload, _ = token.split(".")

    assert refusal(f"{header}.{payload}.{fill}") is Reason.TOKEN_SIGNATURE_INVALID
    assert refusal("a" * MAX_TOKEN_LENGTH) is Reason.TOKEN_MALFORMED
    assert refusal("a" * (MAX_TOKEN_LENGTH + 1)) is Reason.TOKEN_TOO_LARGE
    assert refusal(b"." * 100_000) is Reason.TOKEN_TOO_LARGE


@pytest.mark.requirement("R-100", "refuses")
def test_a_value_of_50_mb_is_not_copied() -> None:
    """CVE-2025-61920, CVE-2026-48990: the cap comes first."""
    value = b"a." * 25_000_000
    tracemalloc.start()
    try:
        assert refusal(value) is Reason.TOKEN_TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_header_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = JWTVerifier(ISSUER, AUDIENCE)
    parsed: list[bytes] = []
    loads = strict_json.loads

    def counted(raw: bytes) -> Any:
        parsed.append(raw)
        return loads(raw)

    monkeypatch.setattr(strict_json, "loads", counted)

    for _ in range(3):
        verify(issued(), verifier=verifier)

    assert [b'"alg"' in raw for raw in parsed] == [True, False, False, False]


def test_headers_under_a_bad_signature_are_not_remembered_and_good_ones_are_bounded() -> None:
    verifier = JWTVerifier(ISSUER, AUDIENCE)
    for number in range(200):
        forged = signed(KEYS["EdDSA"].current, header_of(KEY, x=number), CLAIMS)
        assert refusal(forged, verifier=verifier) is Reason.TOKEN_SIGNATURE_INVALID
    assert not verifier._headers

    for number in range(200):
        assert refusal(signed(KEY, header_of(KEY, x=number), CLAIMS), verifier=verifier) is None
    assert 0 < len(verifier._headers) <= 64


segments = st.binary(max_size=40) | st.text(ALPHABET, max_size=40).map(str.encode)
anything = (
    st.binary(max_size=300)
    | st.lists(segments, min_size=3, max_size=3).map(b".".join)
    | st.builds(
        lambda header, payload, raw: b".".join(encode(part).encode() for part in (text(header), text(payload), raw)),
        st.dictionaries(
            st.sampled_from(["alg", "typ", "kid", "crit", "x"]), st.sampled_from(["ES256", "at+jwt", 1, KEY.kid])
        ),
        st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5)),
        st.binary(max_size=70),
    )
)


@pytest.mark.requirement("R-17", "holds")
@pytest.mark.requirement("R-17", "refuses")
@given(anything)
def test_whatever_the_bytes_the_answer_is_one_refusal(token: bytes) -> None:
    with pytest.raises(InvalidToken) as refused:
        verify(token)

    assert refused.value.status_code == 401


@pytest.mark.requirement("R-17", "refuses")
@given(st.text(max_size=200))
def test_whatever_the_text_the_answer_is_one_refusal(token: str) -> None:
    assert isinstance(refusal(token), Reason)


claim_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.requirement("R-17", "refuses")
@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "x"]), claim_values, max_size=4))
def test_whatever_the_claims_the_answer_is_a_typed_token_or_one_refusal(changes: dict[str, Any]) -> None:
    hs256 = KEYS["HS256"].current
    token = signed(hs256, header_of(hs256), CLAIMS | changes)
    try:
        verified = verify(token, "HS256")
    except InvalidToken:
        return
    assert verified.issuer == ISSUER
    assert isinstance(verified.subject, str)
    assert verified.expires_at > NOW
    assert all(isinstance(word, str) for word in verified.scopes | verified.roles)


@given(st.data())
def test_a_good_token_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    token = bytearray(issued().encode())
    place = data.draw(st.integers(0, len(token) - 1))
    token[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[place]))

    assert isinstance(refusal(bytes(token)), Reason)


@pytest.mark.requirement("R-17", "refuses")
def test_a_refusal_holds_nothing_of_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2025-65015: neither its text, nor what it was raised from, nor any log line."""
    canary = "cAnArY"
    caplog.set_level(logging.DEBUG)
    forms = [
        canary * 1000,
        f"{canary}.{canary}.{canary}",
        signed(KEY, header_of(KEY, kid=canary), CLAIMS),
        signed(KEY, header_of(KEY, typ=canary), CLAIMS),
        signed(KEY, header_of(KEY), CLAIMS | {"iss": canary}),
        signed(KEY, header_of(KEY), CLAIMS | {"aud": canary, "sub": canary}),
        signed(KEY, header_of(KEY), f'{{"{canary}":1,"{canary}":2}}'.encode()),
        issued()[:-4] + random.Random(1).choice(ALPHABET) * 4,
    ]
    for form in forms:
        with pytest.raises(InvalidToken) as refused:
            verify(form)
        shown = f"{refused.value!r} {refused.value} {refused.value.__cause__!r} {refused.value.headers}"
        assert canary not in shown
        assert refused.value.__suppress_context__ or canary not in repr(refused.value.__context__)
    assert canary not in caplog.text
