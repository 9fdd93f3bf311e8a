"""``/auth/api-keys``."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Recorder
from sites import CHALLENGES, EMAIL, PASSWORD, POLICY, Site, api, services, site, visiting

from asgi_auth.authorization import Roles
from asgi_auth.errors import Reason
from asgi_auth.stack import AuthStack, mount
from asgi_auth.stores import SQLiteStores
from asgi_auth.testing.clock import FakeClock
from asgi_auth.tokens import mint_id

DAY = 86400.0
NAMED = {"name": "nightly import"}


@pytest.fixture
async def visit(clock: FakeClock) -> AsyncIterator[Site]:
    async with site(clock) as opened:
        yield opened


async def call(visit: Site, method: str, path: str = "", document: object = None, **headers: str) -> httpx.Response:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    given: dict[str, Any] = {} if document is None else {"json": document}
    return await visit.client.request(method, f"/auth/api-keys{path}", headers=lines, **given)


async def signed_in(visit: Site, email: str = EMAIL) -> dict[str, str]:
    """The header of a whole access token."""
    await visit.register(email)
    return {"Authorization": f"Bearer {(await visit.login(email))['access_token']}"}


async def made(visit: Site, owner: dict[str, str], **fields: Any) -> dict[str, Any]:
    answer = await call(visit, "POST", "", NAMED | fields, **owner)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def works(visit: Site, key: dict[str, Any]) -> bool:
    answer = await visit.client.get("/private", headers={"X-API-Key": key["key"]})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.requirement("R-36", "holds")
async def test_a_key_is_made_for_the_caller_and_shown_once(visit: Site, clock: FakeClock) -> None:
    owner = await signed_in(visit)

    key = await made(visit, owner, scopes=["read:articles"], lifetime=3600)

    shown = {
        "key_id": key["key_id"],
        "name": "nightly import",
        "scopes": ["read:articles"],
        "created_at": clock.now(),
        "expires_at": clock.now() + 3600,
        "last_used_at": None,
        "successor_id": None,
        "revoked_at": None,
    }
    assert key == {"key": key["key"], **shown}
    assert (await call(visit, "GET", **owner)).json() == {"api_keys": [shown]}


@pytest.mark.requirement("R-35", "holds")
async def test_a_key_opens_the_application_as_its_owner(visit: Site) -> None:
    owner = await signed_in(visit)
    key = await made(visit, owner)

    answer = await visit.client.get("/private", headers={"X-API-Key": key["key"]})
    me = await visit.client.get("/auth/me", headers={"X-API-Key": key["key"]})

    assert answer.json()["scopes"] == ["read:articles", "write:articles"]
    assert answer.headers["vary"] == "X-API-Key"
    assert answer.headers["cache-control"] == "private"
    assert (me.json()["email"], me.json()["scheme"]) == (EMAIL, "api_key")
    await visit.auth.api_keys.close()  # its use is noted behind the request's back
    (listed,) = (await call(visit, "GET", **owner)).json()["api_keys"]
    assert listed["last_used_at"] == listed["created_at"]


@pytest.mark.requirement("R-45", "holds")
async def test_no_answer_about_keys_is_stored(visit: Site) -> None:
    owner = await signed_in(visit)
    key = await made(visit, owner)

    answers = [await call(visit, "POST", "", NAMED, **owner), await call(visit, "GET", **owner)]
    answers += [await call(visit, "GET", x_api_key=key["key"]), await call(visit, "GET", x_api_key="junk")]

    assert [answer.headers["cache-control"] for answer in answers] == ["no-store"] * 4
    assert ["Cookie" in answer.headers["vary"] for answer in answers] == [True] * 4


# Who may.


REQUESTS = [("GET", ""), ("POST", ""), ("POST", f"/{mint_id()}/rotate"), ("DELETE", f"/{mint_id()}")]


@pytest.mark.requirement("R-36", "refuses")
@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize("query", ["", "?subject=ada&api_key=x"])
async def test_nobody_who_is_not_signed_in_manages_keys(visit: Site, method: str, path: str, query: str) -> None:
    """CVE-2025-61928: an owner in the body or the query signs nobody in."""
    subject = await visit.register()

    answer = await call(visit, method, path + query, {"name": "k", "subject": subject, "user_id": subject})

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == CHALLENGES
    assert await visit.auth.api_keys.list(subject) == ()


@pytest.mark.requirement("R-36", "refuses")
@pytest.mark.parametrize(
    "field", ["subject", "owner", "user_id", "userId", "roles", "keys_per_subject", "expires_at", "last_used_at", "key"]
)
async def test_neither_the_owner_nor_a_limit_ever_comes_from_the_body(visit: Site, field: str) -> None:
    owner = await signed_in(visit)
    victim = await visit.register("victim@example.com")

    answer = await call(visit, "POST", "", NAMED | {field: victim}, **owner)

    assert (answer.status_code, answer.json()["unknown_fields"], answer.json()["errors"]) == (422, 1, [])
    assert await visit.auth.api_keys.list(victim) == ()


@pytest.mark.requirement("R-36", "refuses")
@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_a_narrowed_token_and_a_key_however_wide_manage_no_keys(visit: Site, method: str, path: str) -> None:
    """What leaks must not be able to make something that may do more, or lives longer."""
    subject = await visit.register()
    account = await visit.auth.accounts.get(subject)
    assert account is not None
    narrowed = [
        visit.auth.access_tokens.issue(
            subject=subject, client_id="first-party", scopes=scopes, roles=roles, epoch=account.epoch
        ).value
        for scopes, roles in ((["read:articles"], []), (["read:articles", "write:articles"], []), ([], ["user"]))
    ]
    key = (await visit.auth.api_keys.create(subject, "wide")).value
    credentials = [{"Authorization": f"Bearer {token}"} for token in narrowed] + [{"X-API-Key": key}]

    answers = [await call(visit, method, path, NAMED, **credential) for credential in credentials]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "forbidden")] * 4
    assert len(await visit.auth.api_keys.list(subject)) == 1


@pytest.mark.requirement("R-35", "holds")
async def test_whoever_has_every_right_of_an_account_without_scopes_may_manage_its_keys() -> None:
    async with site(roles=Roles({"guest": ()}), default_roles={"guest"}) as visit:
        owner = await signed_in(visit)
        assert (await made(visit, owner))["scopes"] is None
        subject = (await visit.client.get("/auth/me", headers=owner)).json()["subject"]
        token = visit.auth.access_tokens.issue(
            subject=subject, client_id="first-party", scopes=(), roles=(), epoch=0
        ).value
        assert (await call(visit, "GET", Authorization=f"Bearer {token}")).status_code == 403


@pytest.mark.requirement("R-15", "refuses")
@pytest.mark.parametrize("exists", [True, False])
async def test_a_token_of_an_account_that_is_disabled_or_gone_makes_no_key(visit: Site, exists: bool) -> None:
    subject = await visit.register() if exists else "nobody"
    if exists:
        await visit.auth.accounts.disable(subject)
    token = visit.auth.access_tokens.issue(
        subject=subject, client_id="first-party", scopes=["*"], roles=["user"], epoch=1000
    )

    answer = await call(visit, "POST", "", NAMED, Authorization=f"Bearer {token.value}")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@pytest.mark.requirement("R-36", "refuses")
@pytest.mark.parametrize(("method", "path"), [("POST", "/{}/rotate"), ("DELETE", "/{}")])
async def test_other_people_s_keys_are_as_unknown_as_those_that_never_were(visit: Site, method: str, path: str) -> None:
    owner, stranger = await signed_in(visit), await signed_in(visit, "eve@example.com")
    key = await made(visit, owner)

    ids = [key["key_id"], mint_id(), "x", "a" * 200, "%C3%A9", key["key_id"] + "0"]
    answers = [await call(visit, method, path.format(key_id), **stranger) for key_id in ids]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert await works(visit, key)


# Making, rotating, revoking.


@pytest.mark.requirement("R-35", "refuses")
@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, [("name", "missing")]),
        ({"name": ""}, [("name", "invalid")]),
        ({"name": 1}, [("name", "not_a_string")]),
        ({"name": "k", "scopes": "read:articles"}, [("scopes", "not_a_list_of_strings")]),
        ({"name": "k", "scopes": None}, [("scopes", "not_a_list_of_strings")]),
        ({"name": "k", "scopes": ["admin"]}, [("scopes", "not_granted")]),
        ({"name": "k", "scopes": ["*"]}, [("scopes", "not_granted")]),
        ({"name": "k", "lifetime": True}, [("lifetime", "not_a_number")]),
        ({"name": "k", "lifetime": 0}, [("lifetime", "out_of_range")]),
        ({"name": "\n", "lifetime": 1e300}, [("name", "invalid"), ("lifetime", "out_of_range")]),
    ],
)
async def test_fields_that_are_not_acceptable_are_listed(
    visit: Site, fields: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    answer = await call(visit, "POST", "", fields, **await signed_in(visit))

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": field, "code": code} for field, code in errors]


async def test_too_many_keys_are_409(visit: Site) -> None:
    owner = await signed_in(visit)
    subject = (await visit.client.get("/auth/me", headers=owner)).json()["subject"]
    for _ in range(100):
        await visit.auth.api_keys.create(subject, "k")

    answer = await call(visit, "POST", "", NAMED, **owner)

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.requirement("R-35", "holds")
@pytest.mark.parametrize(("document", "overlap"), [(None, DAY), ({}, DAY), ({"overlap": 60}, 60), ({"overlap": 0}, 0)])
async def test_a_rotated_key_is_replaced_and_lives_on_as_long_as_was_said(
    visit: Site, clock: FakeClock, document: object, overlap: float
) -> None:
    owner = await signed_in(visit)
    old = await made(visit, owner, scopes=["read:articles"])

    answer = await call(visit, "POST", f"/{old['key_id']}/rotate", document, **owner)

    new = answer.json()
    assert answer.status_code == 201
    assert (new["name"], new["scopes"], new["expires_at"]) == (old["name"], old["scopes"], None)
    assert await works(visit, new)
    listed = {key["key_id"]: key for key in (await call(visit, "GET", **owner)).json()["api_keys"]}
    assert (listed[old["key_id"]]["successor_id"], listed[old["key_id"]]["expires_at"]) == (
        new["key_id"],
        clock.now() + overlap,
    )
    assert await works(visit, old) == (overlap > 0)
    again = await call(visit, "POST", f"/{old['key_id']}/rotate", document, **owner)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("overlap", [-1, 31 * DAY, "60", None, True])
async def test_an_overlap_that_is_none_is_422(visit: Site, overlap: object) -> None:
    owner = await signed_in(visit)
    key = await made(visit, owner)

    answer = await call(visit, "POST", f"/{key['key_id']}/rotate", {"overlap": overlap}, **owner)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "overlap")


@pytest.mark.requirement("R-35", "refuses")
async def test_a_revoked_key_is_dead_when_the_answer_arrives_and_revoking_may_be_repeated(
    visit: Site, clock: FakeClock
) -> None:
    owner = await signed_in(visit)
    key, other = await made(visit, owner), await made(visit, owner)
    assert await works(visit, key)

    answers = [await call(visit, "DELETE", f"/{key['key_id']}", **owner) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert not await works(visit, key)
    assert await works(visit, other)
    listed = (await call(visit, "GET", **owner)).json()["api_keys"]
    assert [entry["revoked_at"] for entry in listed if entry["key_id"] == key["key_id"]] == [clock.now()]


@pytest.mark.requirement("R-15", "refuses")
async def test_a_new_password_leaves_keys_alive_and_disabling_the_account_ends_them(visit: Site) -> None:
    owner = await signed_in(visit)
    key = await made(visit, owner)
    assert await works(visit, key)
    change = {"current_password": PASSWORD, "new_password": "another walk in the woods"}
    assert (await visit.client.post("/auth/password", json=change, headers=owner)).status_code == 200
    assert (await call(visit, "GET", **owner)).status_code == 401
    assert await works(visit, key)

    account = await visit.auth.accounts.get_by_email(EMAIL)
    assert account is not None
    await visit.auth.accounts.disable(account.subject)

    assert not await works(visit, key)


@pytest.mark.requirement("R-37", "refuses")
async def test_a_key_in_the_query_opens_nothing(visit: Site) -> None:
    key = await made(visit, await signed_in(visit))

    for name in ("api_key", "x-api-key", "X-API-Key", "key", "access_token"):
        answer = await visit.client.get("/private", params={name: key["key"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_the_header_of_keys_is_an_argument_of_the_stack_and_of_mount() -> None:
    auth = services()
    stack = AuthStack(api(), auth, policy=POLICY, api_key_header="X-Token")
    async with visiting(stack, auth) as visit:
        key = await made(visit, await signed_in(visit))
        for header, status in (("X-Token", 200), ("X-API-Key", 401)):
            for path in ("/private", "/auth/me"):
                answer = await visit.client.get(path, headers={header: key["key"]})
                assert answer.status_code == status
    mounted = mount(Recorder(), services(), api_key_header="X-Token")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(mounted), base_url="https://api.example") as client:
        assert (await client.get("/auth/me", headers={"X-Token": "junk"})).status_code == 401


async def test_the_prefix_of_keys_is_an_argument_of_the_services() -> None:
    async with site(api_key_prefix="acme") as visit:
        key = await made(visit, await signed_in(visit))
        assert key["key"].startswith(f"acme_{key['key_id']}_")
        assert await works(visit, key)


@pytest.mark.requirement("R-34", "holds")
@pytest.mark.requirement("R-34", "refuses")
async def test_the_value_of_a_key_is_in_no_log_no_repr_no_later_answer_and_no_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "auth.db"
    with caplog.at_level(logging.DEBUG):
        async with site(stores=SQLiteStores(path)) as visit:
            owner = await signed_in(visit)
            key = await made(visit, owner)
            made_here = await visit.auth.api_keys.create(
                (await visit.client.get("/auth/me", headers=owner)).json()["subject"], "k"
            )
            assert await works(visit, key)
            answers = [await call(visit, "GET", **owner), await visit.client.get("/private", headers=owner)]
            answers.append(await call(visit, "DELETE", f"/{key['key_id']}", **owner))
            answers.append(await visit.client.get("/private", headers={"X-API-Key": key["key"]}))
            reprs = repr((made_here, await visit.auth.api_keys.list(made_here.key.subject), Reason.KEY_REVOKED))
    secrets = [value.rsplit("_", 1)[1][:43] for value in (key["key"], made_here.value)]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    told = json.dumps([[answer.text, dict(answer.headers)] for answer in answers])

    assert key["key_id"].encode() in stored
    for secret in secrets:
        assert secret not in told + reprs + caplog.text
        assert secret.encode() not in stored
