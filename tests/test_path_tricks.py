"""Whatever way a path is written, nothing guarded is served to anyone its rule refuses."""

import itertools
from collections.abc import Iterator

import pytest
from frameworks import FRAMEWORKS, SECRET, Example, policy
from harness import Answer, Tokens, bearer, http, websocket

from asgi_auth.errors import ConfigurationError
from asgi_auth.middleware.authorization import AuthorizationMiddleware
from asgi_auth.middleware.bearer import BearerMiddleware
from asgi_auth.wire.asgi import ASGIApp

ROOTS = ["", "/", "/api", "/api/", "/admin", "/x/api", "api"]
GUARDED = ["/admin/report", "/admin/live", "/sub/secret", "/sub", "/articles/7"]


def stack(app: ASGIApp, root_path: str = "") -> BearerMiddleware:
    guarded = AuthorizationMiddleware(app, policy=policy(), root_path=root_path)
    return BearerMiddleware(guarded, access_tokens=Tokens())


def spellings(path: str) -> Iterator[str]:
    first, _, rest = path[1:].partition("/")
    yield from (path, f"{path}/", f"/{path}", path.replace("/", "//"), f"{path}//", path[1:])
    yield from (
        f"/./{path[1:]}",
        f"/x/..{path}",
        f"/{first}/./{rest}",
        f"/{first}/../{first}/{rest}",
        f"{path}/.",
        f"{path}/..",
    )
    yield from (
        path.replace("/", "\\"),
        f"/{first}\\{rest}",
        f"/{first}%2F{rest}",
        f"/%61{path[2:]}",
        f"/{first}%2f{rest}",
    )
    yield from (f"{path};x", f"/{first};x/{rest}", f"{path};/", path.upper(), path.title(), f"/{first.upper()}/{rest}")
    yield from (f"{path}\x00", f"{path}\n", f"\t{path}", f" {path}", f"{path} ", f"{path}%00", f"{path}?x", f"{path}#x")
    yield from (f"http://api.example{path}", f"x:{path[1:]}", f"//api.example{path}", f"{path}\ufeff", f"/\uff0f{path}")


def rooted(path: str, root: str) -> Iterator[str]:
    yield from (path, root + path, root + path[1:], f"/x{root}{path}", f"/x{root}{path[1:]}", root + root + path)
    yield from (f"/healthz{root}{path}", f"/{root}{path}", root.upper() + path)


def corpus() -> list[tuple[str, str]]:
    return [
        (root, path)
        for root in ROOTS
        for guarded in GUARDED
        for spelling in spellings(guarded)
        for path in dict.fromkeys(rooted(spelling, root))
    ]


async def attempts(app: ASGIApp, path: str, root_path: str, token: str) -> list[Answer]:
    headers = bearer(token) if token else []
    answers = []
    for method in ("GET", "HEAD", "POST", "post", "OPTIONS"):
        if method in ("GET", "HEAD") and "articles" in path:
            continue
        answers.append(await http(app, path, headers=headers, root_path=root_path, method=method))
    answers.append(await websocket(app, path, headers=headers, root_path=root_path))
    return answers


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.requirement("R-84", "refuses")
@pytest.mark.requirement("R-85", "refuses")
@pytest.mark.parametrize("token", ["", "user"])
@pytest.mark.parametrize("root_path", ROOTS)
async def test_no_spelling_of_a_path_serves_what_is_guarded(framework: str, token: str, root_path: str) -> None:
    example = FRAMEWORKS[framework]()
    app = stack(example.app)
    for _, path in (entry for entry in corpus() if entry[0] == root_path):
        answers = await attempts(app, path, root_path, token)

        assert example.secrets == [], path
        assert all(SECRET.encode() not in answer.body for answer in answers)


@pytest.mark.requirement("R-84", "holds")
@pytest.mark.requirement("R-85", "holds")
@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("path", ["/admin/report", "/sub/secret"])
async def test_an_administrator_is_served(framework: str, path: str, root_path: str) -> None:
    example = FRAMEWORKS[framework]()

    answer = await http(stack(example.app), root_path + path, headers=bearer("admin"), root_path=root_path)

    assert answer.status == 200
    assert SECRET.encode() in answer.body
    await websocket(stack(example.app), root_path + "/admin/live", headers=bearer("admin"), root_path=root_path)
    assert len(example.secrets) == 2


@pytest.mark.requirement("R-84", "holds")
async def test_a_public_path_is_served_to_everybody(framework: str) -> None:
    answer = await http(stack(FRAMEWORKS[framework]().app), "/articles/7")

    assert answer.status == 200


@pytest.mark.requirement("R-84", "refuses")
@pytest.mark.parametrize("host", [b"", b"api.example/admin", b"x@y", b"[::1", b"a/../b?", b"\xff", b"public.example#"])
@pytest.mark.parametrize(
    "name", [b"x-forwarded-host", b"x-forwarded-prefix", b"x-original-url", b"x-rewrite-url", b"x-forwarded-uri"]
)
async def test_no_header_moves_or_lifts_the_guard(framework: str, host: bytes, name: bytes) -> None:
    """CVE-2026-48710, CVE-2026-40575: decisions on a URL from Host, exemptions by header."""
    example = FRAMEWORKS[framework]()
    headers = [(b"host", host), (name, b"/articles/7"), (name, host), (b"x-http-method-override", b"OPTIONS")]

    for path in ("/admin/report", "/sub/secret"):
        assert (await http(stack(example.app), path, headers=headers)).status == 401
    assert example.secrets == []


@pytest.mark.requirement("R-97", "holds")
async def test_a_preflight_reaches_the_application(framework: str) -> None:
    headers = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"GET")]
    answer = await http(stack(FRAMEWORKS[framework]().app), "/admin/report", method="OPTIONS", headers=headers)

    assert answer.status not in (401, 403)


@pytest.mark.requirement("R-97", "refuses")
async def test_any_other_options_is_decided_like_the_rest(framework: str) -> None:
    for headers in ([], [(b"origin", b"https://a.example")]):
        answer = await http(stack(FRAMEWORKS[framework]().app), "/admin/report", method="OPTIONS", headers=headers)
        assert answer.status == 401


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize("server", ["", "/api", "/pre"])
async def test_a_root_path_of_the_application_itself_is_followed(server: str) -> None:
    example = FRAMEWORKS["fastapi"](root_path="/api")
    app = stack(example.app, root_path="/api")

    for path in itertools.chain.from_iterable(rooted(p, r) for p in GUARDED[:4] for r in ("/api", "/pre")):
        await attempts(app, path, server, "user")
        assert example.secrets == [], path
    assert (await http(app, "/api/admin/report", headers=bearer("admin"), root_path=server)).status == 200


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize("given", ["", "/other"])
def test_a_root_path_of_the_application_that_differs_is_refused(given: str) -> None:
    example = FRAMEWORKS["fastapi"](root_path="/api")
    wrapped = BearerMiddleware(example.app, access_tokens=Tokens())

    with pytest.raises(ConfigurationError, match="root_path"):
        AuthorizationMiddleware(example.app, policy=policy(), root_path=given)
    with pytest.raises(ConfigurationError, match="root_path"):
        AuthorizationMiddleware(Wrapper(wrapped), policy=policy(), root_path=given)


class Wrapper:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        await self.app(scope, receive, send)


async def test_a_given_root_path_fills_an_empty_one(framework: str) -> None:
    example = FRAMEWORKS[framework]()
    app = stack(example.app, root_path="/api")

    assert (await http(app, "/api/admin/report", headers=bearer("user"))).status == 403
    assert (await http(app, "/api/admin/report", headers=bearer("admin"))).status == 200


def test_every_framework_can_be_guarded_as_it_is(framework: str) -> None:
    example: Example = FRAMEWORKS[framework]()

    assert stack(example.app)
