"""Requests in process, without a server: what each layer costs."""

from rounds import Work

from asgi_auth.wire.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["application", "requests"]

_BODY: Message = {"type": "http.response.body", "body": b""}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    # Headers of its own, since some layers add to the list that they are given.
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send(_BODY)


def requests(app: ASGIApp, credential: tuple[bytes, bytes], calls: int) -> Work:
    """``calls`` requests with the headers of an ordinary client and its credential; every one is answered with 204."""
    headers = [
        (b"host", b"api.example"),
        (b"user-agent", b"python-httpx/0.28.1"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        credential,
        (b"content-type", b"application/json"),
    ]
    scope = {"type": "http", "method": "GET", "path": "/articles", "root_path": "", "query_string": b""}

    async def run() -> None:
        answered = 0

        async def send(message: Message) -> None:
            nonlocal answered
            answered += message.get("status") == 204

        for _ in range(calls):
            await app({**scope, "headers": headers}, receive, send)
        assert answered == calls, "a request was not answered by the application"

    return Work(run, calls)


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
