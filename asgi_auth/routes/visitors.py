"""Who tries to sign in: the client's address, and the device that its cookie names."""

from dataclasses import replace

from starlette.requests import Request

from ..lockout import LockoutGuard, Visitor
from ..tokens import is_secret
from ..wire.client_address import AddressOf, client_address
from ..wire.cookies import DEFAULT_COOKIE, SessionCookie, cookie_values

__all__ = ["Visitors"]

_BROWSER = {b"origin", b"sec-fetch-site", b"cookie"}


class Visitors:
    """Finds the visitor of a request, and names the devices that people sign in from.

    The device's cookie is kept like ``cookie``, the session's, and called like it with ``-device`` behind.
    """

    def __init__(self, client_address: AddressOf = client_address, cookie: SessionCookie = DEFAULT_COOKIE) -> None:
        self._client_address = client_address
        self._cookie = replace(cookie, name=f"{cookie.name}-device")
        self._name = self._cookie.effective_name.encode()

    def address(self, request: Request) -> str:
        """The address of the client."""
        return self._client_address(request.scope)

    def visitor(self, request: Request) -> Visitor:
        """Who makes this request. Two device cookies are none."""
        values = cookie_values(request.scope["headers"], self._name)
        device = values[0].decode("latin-1") if len(values) == 1 else ""
        return Visitor(self.address(request), device if is_secret(device) else None)

    async def remember(self, request: Request, visitor: Visitor, email: str, lockout: LockoutGuard) -> bytes | None:
        """The Set-Cookie line that names the device, for the answer to a sign-in as ``email``; None for no browser.

        A program keeps no cookies: were it given a name each time, its names would drive out those of browsers.
        """
        if not any(name in _BROWSER for name, _ in request.scope["headers"]):
            return None
        device = await lockout.remember(email, visitor)
        return None if device is None else self._cookie.holding(device, lockout.limits.device_lifetime)
