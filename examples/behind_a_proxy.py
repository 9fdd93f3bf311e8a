"""A small API behind a reverse proxy: whose request is it, and how many may they send?

Three limits: on what one address may send at all, a strict one on registering, and one on each person's reports; and
guesses at passwords are counted by address too. The proxy has to write X-Forwarded-For and append to what it finds
there, as nginx does with ``proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;``. Only proxies named with
--trusted are believed.

python examples/behind_a_proxy.py [--port 8001] [--trusted 127.0.0.1] [--header x-forwarded-for]

Then play the proxy: curl -i -H 'X-Forwarded-For: 192.0.2.1' http://127.0.0.1:8001/whoami
"""

import argparse
from collections.abc import Iterable
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asgi_auth import (
    AuthServices,
    AuthStack,
    BySubject,
    ClientAddress,
    MemoryStores,
    Policy,
    RateLimitMiddleware,
    SigningKeys,
    check,
    public,
)

Header = Literal["x-forwarded-for", "forwarded"]


def build(trusted: Iterable[str], header: Header, port: int) -> RateLimitMiddleware:
    """The application, and what it believes of whom."""
    address = ClientAddress(trusted, header)

    async def whoami(request: Request) -> Response:
        return JSONResponse({"address": address(request.scope)})

    async def report(request: Request) -> Response:
        return JSONResponse({"for": check(request).subject})

    # Inside the layers that authenticate it can count by person; anonymous callers count by address.
    reports = RateLimitMiddleware(
        Starlette(routes=[Route("/", report)]), limit="3/minute", key=BySubject(address), name="reports"
    )
    api = Starlette(routes=[Route("/whoami", whoami), Mount("/reports", reports)])
    auth = AuthServices(
        stores=MemoryStores(),
        issuer=f"http://127.0.0.1:{port}",
        signing_keys=SigningKeys.generate("ES256"),
    )
    stack = AuthStack(
        api, auth, policy=Policy({"/whoami": public}), rate_limit="20/minute; 300/hour", client_address=address
    )
    # An account takes a hash and a row: nobody needs many in a minute.
    strict = {"POST /auth/register": "5/minute"}
    return RateLimitMiddleware(stack, limit=None, patterns=strict, key=address, name="strict")


def main() -> None:
    parser = argparse.ArgumentParser(description="A small API behind a reverse proxy.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--trusted", action="append", help="a proxy's address or network, or 'unix'; may be repeated")
    parser.add_argument("--header", choices=["x-forwarded-for", "forwarded"], default="x-forwarded-for")
    options = parser.parse_args()
    app = build(options.trusted or ["127.0.0.1"], options.header, options.port)
    # One place decides whom to believe: uvicorn would read the header too, and put its own answer in the scope.
    uvicorn.run(app, host="127.0.0.1", port=options.port, proxy_headers=False)


if __name__ == "__main__":
    main()
