import io
import logging
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from harness import ADMIN, REALM, USER, Answer, Recorder, Tokens, bearer, drive, http, http_scope, websocket
from hypothesis import given
from hypothesis import strategies as st

from asgi_auth.errors import ConfigurationError, StoreUnavailable
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Anonymous, Auth, Principal
from asgi_auth.wire.edge import HTTPEdge

Call = Callable[..., Awaitable[Answer]]

BARE = f'Bearer realm="{REALM}"'
CANARY = b"zq7canary7qz"
PROTOCOLS = pytest.mark.parametrize("call", [http, websocket])


@pytest.fixture
def inner() -> Recorder:
    return Recorder()


@pytest.fixture
def app(inner: Recorder) -> BearerMiddleware:
    return BearerMiddleware(inner, access_tokens=Tokens())


def seen(inner: Recorder) -> Auth:
    (scope,) = inner.scopes
    assert scope["user"] is scope["auth"]
    found: Auth = scope["auth"]
    return found


@PROTOCOLS
@pytest.mark.requirement("R-98", "holds")
@pytest.mark.requirement("R-85", "holds")
async def test_a_valid_token_is_a_principal_cold_and_warm(call: Call, app: BearerMiddleware, inner: Recorder) -> None:
    for _ in range(2):
        await call(app, headers=bearer("user"))
        assert seen(inner) is USER
        inner.scopes.clear()


async def test_the_scheme_is_read_in_any_letter_case(app: BearerMiddleware, inner: Recorder) -> None:
    await http(app, headers=[(b"authorization", b"BEARER  admin")])

    assert seen(inner) is ADMIN


@PROTOCOLS
async def test_without_a_credential_the_caller_is_anonymous_with_a_challenge(
    call: Call, app: BearerMiddleware, inner: Recorder
) -> None:
    await call(app)

    assert seen(inner) == Anonymous((BARE,))


@PROTOCOLS
@pytest.mark.requirement("R-98", "holds")
async def test_another_scheme_passes_untouched(call: Call, app: BearerMiddleware, inner: Recorder) -> None:
    await call(app, headers=[(b"authorization", b"Basic dTpw")])

    assert seen(inner) == Anonymous((BARE,))
    assert (b"authorization", b"Basic dTpw") in inner.scopes[0]["headers"]


@PROTOCOLS
@pytest.mark.requirement("R-99", "holds")
@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.parametrize(
    ("token", "detail"), [("junk", "The token is not valid."), ("expired", "The token has expired.")]
)
async def test_an_invalid_token_is_refused_and_never_becomes_anonymous(
    call: Call, token: str, detail: str, app: BearerMiddleware, inner: Recorder
) -> None:
    answer = await call(app, headers=bearer(token))

    assert inner.scopes == []
    assert answer.status == 401
    assert answer.challenges == [f'{BARE}, error="invalid_token", error_description="{detail}"']
    assert answer.problem["code"] == "invalid_token"


@PROTOCOLS
@pytest.mark.requirement("R-98", "refuses")
@pytest.mark.parametrize(
    "lines",
    [
        [b"Bearer user", b"Bearer user"],
        [b"Basic a", b"Bearer user"],
        [b"Bearer user", b""],
        [b"Bearer"],
        [b""],
        [b"Bearer user,admin"],
        [b"Bearer user admin"],
        [b"Bearer us\xc3\xa9r"],
        [b"Bearer user\x00"],
    ],
)
async def test_a_malformed_header_is_refused(
    call: Call, lines: list[bytes], app: BearerMiddleware, inner: Recorder
) -> None:
    answer = await call(app, headers=[(b"authorization", line) for line in lines])

    assert inner.scopes == []
    assert answer.status == 400
    assert answer.problem["code"] == "invalid_request"
    assert answer.challenges == [f'{BARE}, error="invalid_request", error_description="The request is malformed."']


@pytest.mark.requirement("R-96", "refuses")
@PROTOCOLS
async def test_a_token_in_the_query_is_not_read(call: Call, app: BearerMiddleware, inner: Recorder) -> None:
    await call(app, query_string=b"access_token=user&token=user")

    assert not seen(inner).is_authenticated


@pytest.mark.requirement("R-96", "holds")
async def test_a_websocket_is_refused_before_it_is_accepted(app: BearerMiddleware, inner: Recorder) -> None:
    answer = await websocket(app, headers=bearer("junk"), denial=False)

    assert inner.scopes == []
    assert not answer.accepted
    assert answer.close == 4401


@pytest.mark.requirement("R-100", "refuses")
async def test_a_huge_header_is_refused_before_it_is_copied(app: BearerMiddleware) -> None:
    """GHSA-pq5p-34cr-23v9: the size was limited after the copy."""
    scope = http_scope(headers=[(b"authorization", b"Bearer " + b"a" * 50_000_000)])
    tracemalloc.start()
    try:
        answer = await drive(app, scope)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.status == 400
    assert peak < 1_000_000


@pytest.mark.requirement("R-98", "refuses")
@pytest.mark.requirement("R-99", "refuses")
@given(
    st.lists(
        st.builds(
            lambda scheme, before, after: scheme + before + CANARY + after,
            st.sampled_from([b"", b"Bearer ", b"bearer  ", b"Basic "]),
            st.one_of(st.just(b""), st.binary(max_size=40)),
            st.one_of(st.just(b""), st.binary(max_size=40), st.from_regex(rb"[!-~]{0,40}", fullmatch=True)),
        ),
        min_size=1,
        max_size=2,
    ),
    st.booleans(),
)
async def test_whatever_the_bytes_the_answer_is_documented_and_repeats_nothing(
    lines: list[bytes], over_http: bool
) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        app = BearerMiddleware(Recorder(), access_tokens=Tokens())
        answer = await (http if over_http else websocket)(app, headers=[(b"authorization", line) for line in lines])
    finally:
        logging.getLogger().removeHandler(handler)

    assert answer.accepted or answer.status in (200, 400, 401)
    assert log.getvalue() == ""
    assert CANARY not in repr(answer.sent).encode()


async def test_the_scope_is_copied_and_never_changed(app: BearerMiddleware, inner: Recorder) -> None:
    scope = http_scope(headers=bearer("user"))
    before = dict(scope)

    await drive(app, scope)

    assert scope == before
    assert inner.scopes[0].keys() - scope.keys() == {"auth", "user", "asgi_auth"}
    assert inner.scopes[0]["state"] is scope["state"]
    assert isinstance(inner.scopes[0]["asgi_auth"], HTTPEdge)


async def test_a_foreign_object_in_the_scope_counts_as_absent(app: BearerMiddleware, inner: Recorder) -> None:
    await http(app, auth=object(), user=object(), asgi_auth=object())

    assert seen(inner) == Anonymous((BARE,))


async def test_a_principal_of_an_outer_layer_stays(app: BearerMiddleware, inner: Recorder) -> None:
    await http(app, auth=ADMIN)

    assert seen(inner) is ADMIN


async def test_the_challenge_joins_those_of_other_layers_once(inner: Recorder) -> None:
    twice = BearerMiddleware(BearerMiddleware(inner, access_tokens=Tokens()), access_tokens=Tokens())

    await http(twice, auth=Anonymous(('ApiKey realm="x"',)))

    assert seen(inner) == Anonymous(('ApiKey realm="x"', BARE))


@pytest.mark.requirement("R-98", "refuses")
async def test_two_explicit_credentials_are_refused(app: BearerMiddleware, inner: Recorder) -> None:
    """RFC 6750 §2."""
    answer = await http(app, headers=bearer("user"), auth=Principal(subject="u", scheme="api_key"))

    assert answer.status == 400
    assert inner.scopes == []


@pytest.mark.requirement("R-98", "refuses")
async def test_two_explicit_credentials_are_refused_also_where_the_token_was_seen_before(
    app: BearerMiddleware, inner: Recorder
) -> None:
    assert (await http(app, headers=bearer("user"))).status == 200
    answer = await http(app, headers=bearer("user"), auth=Principal(subject="u", scheme="api_key"))

    assert answer.status == 400
    assert len(inner.scopes) == 1


@pytest.mark.requirement("R-85", "holds")
async def test_lifespan_passes(app: BearerMiddleware, inner: Recorder) -> None:
    scope = {"type": "lifespan"}

    await app(scope, None, None)

    assert inner.scopes == [scope]


@pytest.mark.requirement("R-85", "refuses")
async def test_an_unknown_kind_of_connection_never_reaches_the_application(
    app: BearerMiddleware, inner: Recorder
) -> None:
    with pytest.raises(ConfigurationError):
        await app({"type": "webtransport", "headers": []}, None, None)

    assert inner.scopes == []


@pytest.mark.requirement("R-83", "refuses")
async def test_while_validity_cannot_be_known_nobody_passes(inner: Recorder) -> None:
    class Down(Tokens):
        async def verify(self, token: bytes, /) -> Principal:
            raise StoreUnavailable

    answer = await http(BearerMiddleware(inner, access_tokens=Down()), headers=bearer("user"))

    assert inner.scopes == []
    assert answer.status == 503
    assert answer.header("retry-after") == ["1"]
    assert answer.challenges == []
