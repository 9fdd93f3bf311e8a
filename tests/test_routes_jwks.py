"""``GET /.well-known/jwks.json``."""

import json

from sites import KEYS, Site, services, site, visiting

from asgi_auth.keys import SigningKeys
from asgi_auth.stack import mount

SECRET = "kJ3n-8sQ_wP0zX5vB2mT7yL4cR9gH6dF"


async def keys(visit: Site) -> list[dict[str, str]]:
    answer = await visit.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    found: list[dict[str, str]] = answer.json()["keys"]
    return found


async def test_it_publishes_the_public_keys_without_their_private_parts() -> None:
    async with site() as visit:
        published = await keys(visit)

    assert published == KEYS.jwks()["keys"]
    assert [key["kty"] for key in published] == ["EC"]
    assert not {"d", "k", "p", "q"} & published[0].keys()


async def test_a_shared_secret_is_never_published() -> None:
    auth = services(signing_keys=SigningKeys.from_secret(SECRET))
    async with visiting(mount(never, auth), auth) as visit:
        assert await keys(visit) == []
        assert SECRET not in (await visit.get("/.well-known/jwks.json")).text


async def never(scope: object, receive: object, send: object) -> None:
    raise AssertionError


async def test_it_alone_may_be_cached_and_is_the_same_for_everybody() -> None:
    async with site() as visit:
        anonymous = await visit.get("/.well-known/jwks.json")
        signed_in = await visit.get("/.well-known/jwks.json", (await visit.sign_up())["access_token"])

    assert anonymous.headers["cache-control"] == "public, max-age=300"
    assert "vary" not in anonymous.headers
    assert json.loads(anonymous.content) == signed_in.json()
