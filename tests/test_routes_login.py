"""``POST /auth/login``."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sites import CROWD, EMAIL, ISSUER, PASSWORD, Site, site


@pytest.fixture
async def visit() -> AsyncIterator[Site]:
    async with site(lockout=CROWD) as opened:
        await opened.register()
        yield opened


async def test_the_right_password_gives_tokens_in_the_words_of_rfc_6749(visit: Site) -> None:
    answer = await visit.post("login", {"email": EMAIL, "password": PASSWORD})

    tokens = answer.json()
    assert answer.status_code == 200
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert sorted(tokens["scope"].split()) == ["read:articles", "write:articles"]
    assert (await visit.get("/private", tokens["access_token"])).status_code == 200


async def test_the_address_is_known_in_every_spelling(visit: Site) -> None:
    assert (await visit.login("ADA@EXAMPLE.COM"))["token_type"] == "Bearer"


def told(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    return answer.status_code, [line for line in answer.headers.multi_items() if line[0] != "date"], answer.content


@pytest.mark.requirement("R-57", "refuses")
async def test_unknown_wrong_and_disabled_are_one_answer(visit: Site) -> None:
    disabled = await visit.register("disabled@example.com")
    await visit.auth.accounts.disable(disabled)

    answers = [
        await visit.post("login", {"email": email, "password": password})
        for email, password in [
            ("nobody@example.com", PASSWORD),
            (EMAIL, "a wrong password"),
            ("disabled@example.com", PASSWORD),
            ("disabled@example.com", "a wrong password"),
            ("no address", PASSWORD),
            ("", PASSWORD),
            ("a@b@c", "a wrong password"),
            (EMAIL, ""),
            (EMAIL, "x" * 5000),
            (EMAIL, PASSWORD + "\x00"),
        ]
    ]

    assert [told(answer) for answer in answers] == [told(answers[0])] * len(answers)
    assert answers[0].status_code == 401
    assert answers[0].json()["code"] == "invalid_credentials"
    assert answers[0].headers["www-authenticate"] == f'Session realm="{ISSUER}"'


@pytest.mark.requirement("R-57", "holds")
async def test_an_enabled_account_is_let_in_again(visit: Site) -> None:
    account = await visit.auth.accounts.get_by_email(EMAIL)
    assert account is not None
    await visit.auth.accounts.disable(account.subject)
    assert (await visit.post("login", {"email": EMAIL, "password": PASSWORD})).status_code == 401

    await visit.auth.accounts.enable(account.subject)

    assert (await visit.login())["token_type"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer junk", "Bearer", "Basic x", "Bearer a,b", "\xff"])
async def test_an_authorization_header_of_any_kind_does_not_block_a_login(visit: Site, header: str) -> None:
    answer = await visit.client.post(
        "/auth/login",
        json={"email": EMAIL, "password": PASSWORD},
        headers={b"Authorization": header.encode("latin-1")},
    )

    assert answer.status_code == 200


async def test_missing_fields_are_named(visit: Site) -> None:
    answer = await visit.post("login", {"email": 7})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "password", "code": "missing"},
        {"field": "email", "code": "not_a_string"},
    ]


async def test_neither_answer_nor_log_repeats_the_password(visit: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    canary = "canary-9f3a-canary"

    answers = [
        await visit.post("login", document)
        for document in (
            {"email": canary, "password": canary},
            {"email": EMAIL, "password": canary, canary: canary},
            {"email": [canary], "password": {canary: canary}},
            canary,
        )
    ]

    assert [answer.status_code for answer in answers] == [401, 422, 422, 400]
    assert all(canary not in answer.text and canary not in str(answer.headers) for answer in answers)
    assert canary not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/json",
        "",
    ],
)
async def test_json_in_disguise_is_415_though_the_password_is_right(visit: Site, media_type: str) -> None:
    """CVE-2021-32677: a form of a foreign page may send these without a preflight."""
    content = f'{{"email": "{EMAIL}", "password": "{PASSWORD}"}}'

    answer = await visit.client.post("/auth/login", content=content, headers={"Content-Type": media_type})

    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_media_type")
