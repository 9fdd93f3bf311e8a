"""Access tokens: what they say, and that a verified one is never trusted longer than it may be."""

import asyncio
import base64
import json
import math
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_auth.access_tokens import AccessToken, AccessTokens
from asgi_auth.clock import SKEW_BUDGET
from asgi_auth.errors import ConfigurationError, InvalidToken, Reason, Stale, StoreUnavailable
from asgi_auth.jwt import JWTIssuer, JWTVerifier, VerifiedToken
from asgi_auth.keys import SigningKeys, VerificationKeys
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.principal import Principal
from asgi_auth.revocations import Changes, Cursor, RevocationKind, Revocations
from asgi_auth.stores.memory import MemoryRevocations
from asgi_auth.testing.clock import FakeClock

ISSUER = "https://api.example"
KEYS = SigningKeys.generate("ES256")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Feed(MemoryRevocations):
    """A feed that counts its queries and may be down."""

    queries = 0
    is_down = False

    async def changes_since(self, cursor: Cursor | None) -> Changes:
        self.queries += 1
        if self.is_down:
            raise StoreUnavailable
        return await super().changes_since(cursor)


class Verifier(JWTVerifier):
    """A verifier that counts."""

    count = 0

    def verify(
        self, token: str | bytes, keys: VerificationKeys, now: float, *, expired_for: float = 0
    ) -> VerifiedToken:
        self.count += 1
        return super().verify(token, keys, now, expired_for=expired_for)


class World:
    """Access tokens, their feed, and the time."""

    def __init__(self, *, following: bool = True, **options: Any) -> None:
        self.clock = FakeClock()
        self.feed = Feed()
        self.revocations = Revocations(self.feed, clock=self.clock)
        self.issuer = JWTIssuer(ISSUER, KEYS)
        self.verifier = Verifier(ISSUER, "https://articles.example", leeway=5.0)
        self.tokens = AccessTokens(
            self.issuer,
            self.verifier,
            KEYS.verification_keys,
            self.revocations if following else None,
            clock=self.clock,
            **options,
        )

    def issue(self, **claims: Any) -> AccessToken:
        given: dict[str, Any] = {"subject": "anna", "client_id": "first-party", "scopes": {"b", "a"}, "roles": ["r"]}
        return self.tokens.issue(**(given | {"epoch": 3, "sid": "family"} | claims))

    async def warm(self, **claims: Any) -> bytes:
        """A token in the cache."""
        token = self.issue(**claims).value.encode()
        await self.tokens.verify(token)
        assert self.tokens.cached(token) is not None
        return token


@pytest.fixture
def world() -> World:
    return World()


async def refused(tokens: AccessTokens, token: str | bytes) -> Reason:
    """Why it is refused, warm and cold alike."""
    raw = token.encode() if isinstance(token, str) else token
    assert tokens.cached(raw) is None
    with pytest.raises(InvalidToken) as caught:
        await tokens.verify(token)
    assert tokens.cached(raw) is None
    return caught.value.reason


def test_a_token_carries_the_claims_of_rfc_9068_and_ours(world: World) -> None:
    token = world.issue(auth_time=1_799_999_999.7)
    header, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in token.value.split("."))
    assert json.loads(header) == {"alg": "ES256", "typ": "at+jwt", "kid": KEYS.current.kid}
    assert json.loads(payload) == {
        "iss": ISSUER,
        "sub": "anna",
        "aud": "https://articles.example",
        "iat": 1_800_000_000,
        "exp": 1_800_000_900,
        "jti": token.jti,
        "client_id": "first-party",
        "scope": "a b",
        "roles": ["r"],
        "epoch": 3,
        "auth_time": 1_799_999_999,
        "sid": "family",
    }
    assert (token.expires_at, token.expires_in) == (1_800_000_900, 900)
    assert token.value not in repr(token)


def test_what_is_not_known_is_not_claimed(world: World) -> None:
    payload = world.issue(sid=None).value.split(".")[1]
    assert {"auth_time", "sid"}.isdisjoint(json.loads(base64.urlsafe_b64decode(payload + "==")))


async def test_a_token_gives_the_principal_it_was_issued_for(world: World) -> None:
    token = world.issue(auth_time=1_700_000_000)
    principal = await world.tokens.verify(token.value)
    expected = Principal(
        subject="anna",
        scheme="bearer",
        scopes=frozenset({"a", "b"}),
        roles=frozenset({"r"}),
        client_id="first-party",
        credential_id=token.jti,
        authenticated_at=1_700_000_000,
        expires_at=token.expires_at,
        claims=principal.claims,
    )
    assert principal == expected
    assert principal.claims["sid"] == "family"
    assert world.tokens.cached(token.value.encode()) is principal


@pytest.mark.requirement("R-16", "holds")
def test_ids_of_tokens_are_unique_and_of_128_bits(world: World) -> None:
    ids = {world.issue().jti for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) * math.log2(62) >= 128 for id in ids)


async def test_a_warm_token_costs_no_query_and_no_verification(world: World) -> None:
    token = await world.warm()
    before = world.feed.queries, world.verifier.count
    assert all(world.tokens.cached(token) for _ in range(100))
    assert (world.feed.queries, world.verifier.count) == before


async def test_a_warm_token_ends_with_its_expiry(world: World) -> None:
    token = await world.warm()
    world.clock.advance(899.9)
    await world.revocations.ensure_fresh()
    assert world.tokens.cached(token) is not None
    world.clock.advance(0.1)
    await world.revocations.ensure_fresh()
    assert await refused(world.tokens, token) is Reason.TOKEN_EXPIRED


async def test_a_warm_token_from_the_future_is_refused_after_the_clock_was_set_back(world: World) -> None:
    token = await world.warm()
    world.clock.step(-5)
    assert world.tokens.cached(token) is not None
    world.clock.step(-0.5)
    assert await refused(world.tokens, token) is Reason.TOKEN_NOT_YET_VALID


async def test_a_warm_token_is_refused_before_its_nbf(world: World) -> None:
    now = world.clock.now()
    claims = {"sub": "anna", "aud": "https://articles.example", "iat": now, "exp": now + 9, "jti": "j"}
    token = world.issuer.issue({**claims, "client_id": "c", "nbf": now + 4}).encode()
    await world.tokens.verify(token)
    world.clock.step(-2)
    assert await refused(world.tokens, token) is Reason.TOKEN_NOT_YET_VALID


@pytest.mark.requirement("R-33", "refuses")
@pytest.mark.parametrize(
    ("kind", "id", "epoch"),
    [
        (RevocationKind.SESSION, "family", None),
        (RevocationKind.CLIENT, "first-party", None),
        (RevocationKind.SUBJECT, "anna", 4),
    ],
)
async def test_a_warm_token_ends_with_what_it_came_from(
    world: World, kind: RevocationKind, id: str, epoch: int | None
) -> None:
    """Revoked here it is refused at once; revoked elsewhere as soon as the feed was read."""
    token = await world.warm()
    await world.feed.revoke(kind, id, epoch=epoch, until=world.clock.now() + 900)
    assert world.tokens.cached(token) is not None, "within the bound"
    world.clock.advance(1.1)
    assert world.tokens.cached(token) is None
    assert await refused(world.tokens, token) is Reason.TOKEN_REVOKED


@pytest.mark.requirement("R-33", "holds")
async def test_what_concerns_others_leaves_a_warm_token_alone(world: World) -> None:
    """Also an epoch that it has, roles that changed, and an id of another kind."""
    token = await world.warm()
    until = world.clock.now() + 900
    for kind, id, epoch in (
        (RevocationKind.SUBJECT, "anna", 3),
        (RevocationKind.SUBJECT, "ben", 9),
        (RevocationKind.CHANGED, "anna", None),
        (RevocationKind.TOKEN, "family", None),
        (RevocationKind.API_KEY, "first-party", None),
    ):
        await world.revocations.revoke(kind, id, until=until, epoch=epoch)
    verifications = world.verifier.count
    assert world.tokens.cached(token) is world.tokens.cached(token) is not None
    assert world.verifier.count == verifications


@pytest.mark.requirement("R-33", "refuses")
async def test_a_revoked_token_is_refused_here_at_once(world: World) -> None:
    token, other = await world.warm(), await world.warm()
    principal = world.tokens.cached(token)
    assert principal is not None
    await world.tokens.revoke(principal)
    await world.tokens.revoke(principal)
    assert await refused(world.tokens, token) is Reason.TOKEN_REVOKED
    assert world.tokens.cached(other) is not None
    (item,) = (await world.feed.changes_since(None)).items
    assert (item.kind, item.id) == (RevocationKind.TOKEN, principal.credential_id)
    assert item.until == (principal.expires_at or 0) + SKEW_BUDGET


async def test_a_token_that_has_ended_needs_no_revocation(world: World) -> None:
    principal = await world.tokens.verify(world.issue().value)
    world.clock.advance(900 + SKEW_BUDGET)
    await world.tokens.revoke(principal)
    assert (await world.feed.changes_since(None)).items == ()


async def test_only_what_came_from_a_token_with_an_id_can_be_revoked(world: World) -> None:
    principal = await world.tokens.verify(world.issue().value)
    for odd in (
        replace(principal, scheme="api_key"),
        replace(principal, credential_id=None),
        replace(principal, expires_at=None),
    ):
        with pytest.raises(ConfigurationError):
            await world.tokens.revoke(odd)


def reencodings(token: str) -> list[str]:
    """Other texts of one token: other characters for spare bits, padding, other alphabets, the other signature."""
    head, payload, signature = token.split(".")
    signed = base64.urlsafe_b64decode(signature + "==")
    s = ORDER - int.from_bytes(signed[32:])  # (r, -s) is a good signature wherever (r, s) is
    mirrored = base64.urlsafe_b64encode(signed[:32] + s.to_bytes(32)).decode().rstrip("=")
    variants = [f"{head}.{payload}.{mirrored}", f"{head}.{payload}.{signature}=", f"{head}=.{payload}.{signature}"]
    variants += [f"{head}.{payload}.{signature[:-1]}{last}" for last in B64]
    variants += [f"{head}.{payload[:-1]}{last}.{signature}" for last in B64]
    variants += [f"{head[:-1]}{last}.{payload}.{signature}" for last in B64]
    variants += [token + tail for tail in (" ", "\n", "\t", "\0", ".", "==")]
    variants += [head_of + token for head_of in (" ", "\n", "\t", "\0", ".", "Bearer ")]
    return [token, *variants]


@pytest.mark.requirement("R-16", "refuses")
async def test_a_revoked_token_stays_revoked_in_every_encoding(world: World) -> None:
    """CVE-2026-62995: a denylist of raw texts let re-encoded tokens through. Some of these have a good signature."""
    token = world.issue().value
    variants = reencodings(token)
    good = [text for text in variants if await is_accepted(world.tokens, text)]
    assert len(variants) > 200
    assert len(good) >= 2, "the attack would work on the text"
    await world.tokens.revoke(await world.tokens.verify(token))
    assert not [text for text in variants if await is_accepted(world.tokens, text)]


async def is_accepted(tokens: AccessTokens, text: str) -> bool:
    if tokens.cached(text.encode()) is not None:
        return True
    try:
        await tokens.verify(text)
    except InvalidToken:
        return False
    return True


@pytest.mark.requirement("R-91", "refuses")
async def test_a_token_is_not_accepted_while_its_revocation_cannot_be_known(world: World) -> None:
    token = await world.warm()
    world.feed.is_down = True
    world.clock.advance(1.1)
    assert world.tokens.cached(token) is None
    with pytest.raises(Stale):
        await world.tokens.verify(token)


async def test_a_token_that_expires_while_the_feed_is_asked_is_expired(world: World) -> None:
    token = world.issue().value
    world.clock.advance(899.9)

    class Slow(Feed):
        async def changes_since(self, cursor: Cursor | None) -> Changes:
            world.clock.advance(0.5)
            return await super().changes_since(cursor)

    world.revocations._store = Slow()
    with pytest.raises(InvalidToken) as caught:
        await world.tokens.verify(token)
    assert caught.value.reason is Reason.TOKEN_EXPIRED


async def test_an_expired_token_is_accepted_for_as_long_as_a_logout_asks_and_never_again(world: World) -> None:
    token = world.issue().value
    world.clock.advance(1000)
    assert (await world.tokens.verify(token, expired_for=101)).subject == "anna"
    assert await refused(world.tokens, token) is Reason.TOKEN_EXPIRED
    with pytest.raises(InvalidToken):
        await world.tokens.verify(token, expired_for=100)


async def test_the_cache_is_bounded_and_the_oldest_goes_first() -> None:
    world = World(cache_size=10)
    tokens = [await world.warm() for _ in range(25)]
    assert [world.tokens.cached(token) is not None for token in tokens] == [False] * 15 + [True] * 10
    assert len(world.tokens._cache) == 10


async def test_without_revocations_nothing_is_cached_and_nothing_can_be_ended() -> None:
    world = World(following=False)
    token = world.issue()
    principal = await world.tokens.verify(token.value)
    assert world.tokens.cached(token.value.encode()) is None
    with pytest.raises(ConfigurationError):
        await world.tokens.revoke(principal)
    assert world.feed.queries == 0


@pytest.mark.parametrize(
    "options", [{"lifetime": 0.9}, {"lifetime": -1}, {"lifetime": math.inf}, {"lifetime": math.nan}, {"cache_size": 0}]
)
def test_a_lifetime_or_a_cache_that_cannot_work_is_a_configuration_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        World(**options)


def test_an_issuer_and_a_verifier_that_do_not_meet_are_a_configuration_error(world: World) -> None:
    with pytest.raises(ConfigurationError):
        AccessTokens(world.issuer, JWTVerifier("https://other.example", "a"), KEYS.verification_keys, None)


FUZZED = World()
LIVE = FUZZED.issue().value.encode()


@example(b"")
@example(b"..")
@example(LIVE + b"\n")
@given(
    st.binary(max_size=8192) | st.integers(0, len(LIVE) - 1).map(lambda at: LIVE[:at] + b"A" + LIVE[at + 1 :] + b"B")
)
def test_whatever_the_bytes_the_cache_says_none_and_verifying_raises_invalid_token(raw: bytes) -> None:
    assert FUZZED.tokens.cached(raw) is None
    for token in (raw, raw.decode("latin-1")):
        with pytest.raises(InvalidToken):
            asyncio.run(FUZZED.tokens.verify(token))


async def test_the_bearer_middleware_serves_warm_and_refuses_revoked_tokens(world: World) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["auth"].identity.encode()})

    transport = httpx.ASGITransport(BearerMiddleware(app, access_tokens=world.tokens))
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
        token = world.issue().value
        headers = {"Authorization": f"Bearer {token}"}
        answers = [await client.get("/", headers=headers) for _ in range(3)]
        assert [(answer.status_code, answer.text) for answer in answers] == [(200, "anna")] * 3
        assert world.verifier.count == 2, "once before and once after the first query of the feed"
        await world.tokens.revoke(await world.tokens.verify(token))
        answer = await client.get("/", headers=headers)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        world.feed.is_down = True
        world.clock.advance(2)
        assert (await client.get("/", headers=headers)).status_code == 503


@pytest.mark.requirement("R-33", "holds")
def test_a_revocation_outlives_every_token_that_any_process_may_still_accept() -> None:
    """Its lifetime, what the verifier grants beyond, and what the clocks of two machines may differ by."""
    verifier = JWTVerifier(ISSUER, ISSUER, expiry_leeway=7)
    access_tokens = AccessTokens(JWTIssuer(ISSUER, KEYS), verifier, KEYS.verification_keys, None, lifetime=600)

    assert access_tokens.revocation_lifetime == 600 + 7 + SKEW_BUDGET
