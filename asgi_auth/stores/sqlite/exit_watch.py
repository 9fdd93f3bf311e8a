"""A store that nobody closed must not keep the process alive.

aiosqlite runs each connection in a thread that is no daemon: an interpreter that wants to exit would wait for it for
ever. One daemon thread waits for the end of the main thread and then stops what is still open.
"""

import os
import threading
from collections.abc import Iterable
from functools import cache
from weakref import WeakSet

import aiosqlite

__all__ = ["stop_after", "stop_at_exit"]


def stop_at_exit(connection: aiosqlite.Connection) -> None:
    """Stop ``connection`` when the main thread has ended, unless it was closed or dropped before."""
    _watched(os.getpid()).add(connection)


@cache
def _watched(process: int) -> WeakSet[aiosqlite.Connection]:
    # By process: a fork copies this cache, but not the thread that watches.
    connections: WeakSet[aiosqlite.Connection] = WeakSet()
    threading.Thread(
        target=stop_after,
        args=(threading.main_thread(), connections),
        name=f"sqlite-exit-{process}",
        daemon=True,
    ).start()
    return connections


def stop_after(thread: threading.Thread, connections: Iterable[aiosqlite.Connection]) -> None:
    """Wait until ``thread`` has ended, then stop the connections. aiosqlite closes each in its own thread."""
    thread.join()
    for connection in list(connections):
        connection.stop()
