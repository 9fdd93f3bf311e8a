"""Addresses that present tokens which nobody has issued are refused before a store is asked."""

from typing import Any

import pytest
from harness import Recorder, http
from sites import EMAIL, PASSWORD, Site, services, site

from asgi_auth.errors import ConfigurationError, InvalidToken, Reason, TooManyRequests
from asgi_auth.lockout import Limit, Lockout
from asgi_auth.middleware.api_key import APIKeyMiddleware
from asgi_auth.stores import MemoryStores
from asgi_auth.stores.memory import MemoryAPIKeys, MemoryRefreshTokens
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import encode, mint_id, mint_secret
from asgi_auth.unknown_tokens import UnknownTokens

HERE, THERE = "192.0.2.1", "192.0.2.2"


def unknown_key() -> str:
    return encode("ak", mint_id(), mint_secret())


def unknown_refresh_token() -> str:
    return encode("rt", mint_id(), mint_id(), mint_secret())


class AskedKeys(MemoryAPIKeys):
    asked = 0

    async def get(self, key_id: str) -> Any:
        self.asked += 1
        return await super().get(key_id)


class AskedFamilies(MemoryRefreshTokens):
    asked = 0

    async def advance(self, family_id: str, **more: Any) -> Any:
        self.asked += 1
        return await super().advance(family_id, **more)

    async def revoke(self, family_id: str, **more: Any) -> Any:
        self.asked += 1
        return await super().revoke(family_id, **more)


class AskedStores(MemoryStores):
    """Stores in memory that count how often they are asked for a token."""

    def __init__(self) -> None:
        super().__init__()
        self.api_keys: AskedKeys = AskedKeys()
        self.refresh_tokens: AskedFamilies = AskedFamilies()


async def refusing(reason: Reason) -> str:
    raise InvalidToken(reason)


async def present(
    unknown: UnknownTokens, times: int, reason: Reason = Reason.KEY_UNKNOWN, address: str = HERE
) -> list[type]:
    """What comes of so many tokens that are refused for this reason."""
    outcomes = []
    for _ in range(times):
        with pytest.raises((InvalidToken, TooManyRequests)) as refusal:
            await unknown.ask(address, lambda: refusing(reason))
        outcomes.append(refusal.type)
    return outcomes


async def fine() -> str:
    return "fine"


@pytest.mark.parametrize("reason", [Reason.KEY_UNKNOWN, Reason.REFRESH_UNKNOWN])
async def test_an_address_with_20_unknown_tokens_waits_a_minute(clock: FakeClock, reason: Reason) -> None:
    """Whatever it presents then; other addresses do not; and a clock that is set opens nothing."""
    unknown = UnknownTokens(clock=clock)

    assert await present(unknown, 21, reason) == [InvalidToken] * 20 + [TooManyRequests]
    with pytest.raises(TooManyRequests) as refusal:
        await unknown.ask(HERE, fine)
    assert refusal.value.headers == {"Retry-After": "60"}
    assert await unknown.ask(THERE, fine) == "fine"
    clock.step(3_600)
    clock.advance(59.75)
    with pytest.raises(TooManyRequests):
        unknown.check(HERE)
    clock.advance(0.25)
    assert await unknown.ask(HERE, fine) == "fine"
    assert await present(unknown, 21, reason) == [InvalidToken] * 20 + [TooManyRequests]


async def test_tokens_that_are_malformed_expired_or_good_are_not_counted(clock: FakeClock) -> None:
    unknown = UnknownTokens(Limit(2, 60), clock=clock)

    for reason in (Reason.KEY_MALFORMED, Reason.KEY_EXPIRED, Reason.REFRESH_REUSED, Reason.ACCOUNT_DISABLED):
        assert await present(unknown, 5, reason) == [InvalidToken] * 5
    assert [await unknown.ask(HERE, fine) for _ in range(5)] == ["fine"] * 5


async def test_a_few_unknown_tokens_now_and_then_close_nothing(clock: FakeClock) -> None:
    unknown = UnknownTokens(Limit(2, 60), clock=clock)

    for _ in range(5):
        assert await present(unknown, 1) == [InvalidToken]
        clock.advance(60)


async def test_without_a_limit_nothing_is_counted() -> None:
    assert await present(UnknownTokens(None), 99) == [InvalidToken] * 99


async def test_at_most_so_many_addresses_are_remembered(clock: FakeClock) -> None:
    """Those that failed last."""
    unknown = UnknownTokens(Limit(1, 60), size=2, clock=clock)

    for address in ("one", "two", "one", "three"):
        unknown.note(address)

    for address in ("one", "three"):
        with pytest.raises(TooManyRequests):
            unknown.check(address)
    unknown.check("two")
    with pytest.raises(ConfigurationError):
        UnknownTokens(size=0)


def key_headers(visit: Site, key: str) -> dict[str, str]:
    visit.client.cookies.clear()
    return {"X-API-Key": key}


@pytest.mark.requirement("R-37", "refuses")
async def test_the_21st_unknown_key_of_an_address_asks_no_store_and_known_ones_in_use_go_on(clock: FakeClock) -> None:
    """Own routes and application count together."""
    stores = AskedStores()
    async with site(clock, stores=stores) as visit:
        made = await visit.auth.api_keys.create(await visit.register(), "a name")
        known = key_headers(visit, made.value)
        assert (await visit.client.get("/private", headers=known)).status_code == 200
        stores.api_keys.asked = 0
        paths = ["/private", "/auth/me"] * 11

        answers = [await visit.client.get(path, headers=key_headers(visit, unknown_key())) for path in paths]

        assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 2
        assert (stores.api_keys.asked, answers[-1].headers["retry-after"]) == (20, "60")
        assert "www-authenticate" not in answers[-1].headers
        assert (await visit.client.get("/private", headers=known)).status_code == 200
        clock.advance(60)
        assert (await visit.client.get("/private", headers=key_headers(visit, unknown_key()))).status_code == 401


async def test_the_21st_unknown_refresh_token_of_an_address_asks_no_store(clock: FakeClock) -> None:
    """Refresh and logout count together; what else a logout presents is ended whatever was counted."""
    stores = AskedStores()
    async with site(clock, stores=stores) as visit:
        tokens = await visit.sign_up()
        answers = [
            (await visit.post(route, {"refresh_token": unknown_refresh_token()})).status_code
            for route in ["refresh", "logout"] * 11
        ]

        assert answers == [401, 204] * 10 + [429, 429]
        assert stores.refresh_tokens.asked == 20
        assert (await visit.post("refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 429
        assert (await visit.post("logout", token=tokens["access_token"])).status_code == 204
        assert (await visit.post("login", {"email": EMAIL, "password": PASSWORD})).status_code == 200


async def test_the_limit_is_the_applications() -> None:
    """By the address that it names."""
    async with site(lockout=Lockout(unknown_tokens=Limit(1, 60))) as visit:
        documents = [{"refresh_token": unknown_refresh_token()} for _ in range(2)]
        assert [(await visit.post("refresh", document)).status_code for document in documents] == [401, 429]


async def test_a_layer_put_together_by_hand_counts_too() -> None:
    """Alone, and by the socket's peer unless it is told otherwise; what has no peer is one address."""
    auth = services()
    async with auth:
        by_peer = APIKeyMiddleware(Recorder(), api_keys=auth.api_keys)
        for _ in range(20):
            await http(by_peer, headers=[(b"x-api-key", unknown_key().encode())], client=(HERE, 1))
        told = [
            (await http(by_peer, headers=[(b"x-api-key", unknown_key().encode())], client=client)).status
            for client in ((HERE, 2), (THERE, 1), None)
        ]
        named = APIKeyMiddleware(
            Recorder(),
            api_keys=auth.api_keys,
            unknown_tokens=UnknownTokens(Limit(1, 60)),
            client_address=lambda scope: str(scope["path"]),
        )
        paths = ["/a", "/a", "/b"]
        own = [(await http(named, path, headers=[(b"x-api-key", unknown_key().encode())])).status for path in paths]

    assert (told, own) == ([429, 401, 401], [401, 429, 401])
