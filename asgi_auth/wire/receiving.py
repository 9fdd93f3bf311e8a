"""What an application receives, until its connection is over for it."""

import asyncio
from typing import Any

from .asgi import Message, Receive

__all__ = ["Receiving"]


class Receiving:
    """The server's messages; after ``end`` a disconnect for whoever waits or asks, as servers do."""

    # In the class, since almost no request changes one of them.
    has_told = False
    """Whether somebody has received the disconnect."""
    _is_over = False
    _receivers: tuple[asyncio.Task[Any] | None, ...] = ()

    def __init__(self, receive: Receive, disconnect: Message) -> None:
        self._receive = receive
        self._disconnect = disconnect

    async def message(self) -> Message:
        """ASGI's ``receive``."""
        if self._is_over:
            return self._told()
        receiver = asyncio.current_task()
        self._receivers += (receiver,)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            # Ours alone ends here; somebody else's cancellation goes on.
            if not self._is_over or receiver is None or receiver.uncancel():
                raise
            return self._told()
        finally:
            self._receivers = tuple(task for task in self._receivers if task is not receiver)

    def end(self) -> None:
        """From now on there is nothing but the disconnect."""
        self._is_over = True
        for receiver in filter(None, self._receivers):
            receiver.cancel()

    def _told(self) -> Message:
        self.has_told = True
        return self._disconnect
