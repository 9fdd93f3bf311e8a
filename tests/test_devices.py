"""What a browser says it is, in a few words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.devices import LABEL_LENGTH, device_label

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("agent", "label"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (WINDOWS, "Chrome on Windows"),
        (f"{WINDOWS} Edg/126.0.0.0", "Edge on Windows"),
        (f"{WINDOWS} OPR/111.0.0.0", "Opera on Windows"),
        (f"{MAC}605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile Safari/604.1", "Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.8.0", "curl/8.8.0"),
        ("", "unknown"),
        ("   ", "unknown"),
    ],
)
def test_known_browsers_have_a_name_and_others_their_own_words(agent: str, label: str) -> None:
    assert device_label(agent.encode()) == label


@pytest.mark.requirement("R-95", "refuses")
@given(agent=st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.just(b"<script>\r\n\x1b[31m" * 99))
def test_whatever_the_bytes_the_label_is_short_and_harmless(agent: bytes) -> None:
    label = device_label(agent)

    assert 0 < len(label) <= LABEL_LENGTH
    assert label.isascii()
    assert label.isprintable()
    assert not set(label) & set("<>\"'&`\\%{}$")
