"""A small articles API in plain Starlette behind asgi_auth, on SQLite.

Accounts, access and refresh tokens, API keys, sessions for browsers (open /app in one), roles, a policy, and live
connections that end with the credential they were opened with.

python examples/quickstart.py [--host 127.0.0.1] [--port 8000] [--database quickstart.db]
"""

import argparse
import asyncio
import json
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_auth import (
    AuthServices,
    AuthStack,
    Invalid,
    Policy,
    Roles,
    SessionCookie,
    SigningKeys,
    SQLiteStores,
    authenticated,
    check,
    has_role,
    has_scope,
    public,
)

ADMIN = "admin@example.com"
PAGE = Path(__file__).with_suffix(".html")
LONGEST_ARTICLE = 16 * 1024

articles: deque[dict[str, str]] = deque(maxlen=1000)
readers: set[asyncio.Queue[str]] = set()

policy = Policy(
    {
        "/app": public,
        "/healthz": public,
        "GET /articles": has_scope("read:articles"),
        "POST /articles": has_scope("write:articles"),
        "GET /events": has_scope("read:articles"),
        "/admin/": has_role("admin"),
        "WS /live": authenticated,
    }
)


async def page(request: Request) -> Response:
    return FileResponse(PAGE, headers={"Content-Security-Policy": "frame-ancestors 'none'"})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


async def list_articles(request: Request) -> Response:
    return JSONResponse(list(articles))


async def add_article(request: Request) -> Response:
    author = check(request, has_scope("write:articles"))  # the policy has asked already; here it names the author
    body = b""
    async for chunk in request.stream():
        body += chunk[: LONGEST_ARTICLE + 1]
        if len(body) > LONGEST_ARTICLE:
            return JSONResponse({"detail": "the article is too large"}, status_code=413)
    title = title_in(body)
    if title is None:
        return JSONResponse({"detail": 'send JSON: {"title": "1 to 200 printable characters"}'}, status_code=422)
    article = {"title": title, "author": author.subject}
    articles.append(article)
    for reader in readers:
        with suppress(asyncio.QueueFull):  # who reads too slowly misses some
            reader.put_nowait(json.dumps(article))
    return JSONResponse(article, status_code=201)


def title_in(body: bytes) -> str | None:
    """The title in a JSON object that has nothing else; None for any other body."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.keys() != {"title"}:
        return None
    title = document["title"]
    return title if isinstance(title, str) and 1 <= len(title) <= 200 and title.isprintable() else None


async def events(request: Request) -> Response:
    return StreamingResponse(new_articles(), media_type="text/event-stream")


async def new_articles() -> AsyncIterator[str]:
    """Every new article as it is written (server-sent events). asgi_auth ends it when its reader's credential does."""
    reader: asyncio.Queue[str] = asyncio.Queue(maxsize=100)
    readers.add(reader)
    try:
        yield ": here is every new article\n\n"
        while True:
            yield f"data: {await reader.get()}\n\n"
    finally:
        readers.discard(reader)


async def report(request: Request) -> Response:
    return JSONResponse({"articles": len(articles), "authors": len({article["author"] for article in articles})})


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


def build(database: Path, url: str, port: int) -> AuthStack:
    """The application: its routes, its services, its policy. ``url`` is where people find it."""
    auth = AuthServices(
        stores=SQLiteStores(database),
        issuer=f"http://127.0.0.1:{port}",  # only a name here; in production the https URL of your API
        signing_keys=SigningKeys.load_or_generate(database.with_suffix(".signing-keys.json")),
        roles=Roles({"user": {"read:articles", "write:articles"}, "admin": {"*"}}),
        default_roles={"user"},
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await make_admin(auth)
        print(things_to_try(url), flush=True)
        yield

    api = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/app", page),
            Route("/healthz", healthz),
            Route("/articles", list_articles),
            Route("/articles", add_article, methods=["POST"]),
            Route("/events", events),
            Route("/admin/report", report),
            WebSocketRoute("/live", live),
        ],
    )
    cookie = SessionCookie(secure=False)  # plain http on this machine alone; the default is Secure and __Host-
    return AuthStack(api, auth, policy=policy, cookie=cookie, origins={url, f"http://localhost:{port}"})


async def make_admin(auth: AuthServices) -> None:
    """At the first start: an administrator, whose random password is printed this once."""
    if await auth.accounts.get_by_email(ADMIN) is not None:
        return
    chosen = os.environ.get("QUICKSTART_ADMIN_PASSWORD")
    password = chosen or secrets.token_urlsafe(15)
    try:
        await auth.accounts.register(ADMIN, password, roles={"admin"})
    except Invalid as refused:
        codes = ", ".join(error.code for error in refused.errors)
        raise RuntimeError(f"QUICKSTART_ADMIN_PASSWORD is not acceptable: {codes}") from None
    shown = "from QUICKSTART_ADMIN_PASSWORD" if chosen else f"{password}   (shown this once)"
    print(f"\nAdministrator: {ADMIN}\nPassword:      {shown}", flush=True)


def things_to_try(url: str) -> str:
    """Five lines to paste into another terminal."""
    send = "curl -s -H 'Content-Type: application/json'"
    ada = '{"email": "ada@example.com", "password": "a long walk by the sea"}'
    token = """python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'"""
    bearer = '-H "Authorization: Bearer $TOKEN"'
    return f"""
Try, in another terminal:

{send} -d '{ada}' {url}/auth/register
TOKEN=$({send} -d '{ada}' {url}/auth/login | {token})
{send} {bearer} -d '{{"title": "Hello"}}' {url}/articles
curl -s {bearer} {url}/articles
curl -s {bearer} {url}/auth/me

Or open {url}/app in a browser.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="A small articles API behind asgi_auth.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--database", type=Path, default=Path("quickstart.db"))
    options = parser.parse_args()
    host = "127.0.0.1" if options.host in {"0.0.0.0", "::"} else options.host
    url = f"http://[{host}]:{options.port}" if ":" in host else f"http://{host}:{options.port}"
    uvicorn.run(build(options.database, url, options.port), host=options.host, port=options.port)


if __name__ == "__main__":
    main()
