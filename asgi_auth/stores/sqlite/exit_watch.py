"""A store that nobody closed must not keep the process alive.

aiosqlite runs each connection in a thread that is no daemon: an interpreter that wants to exit would wait for it for
ever. One daemon thread waits for the end of the main thread and then stops what is still open.
"""

import os
import threading
from functools import cache
from weakref import WeakSet

import aiosqlite

__all__ = ["stop_at_exit"]


def stop_at_exit(connection: aiosqlite.Connection) -> None:
    """Stop ``connection`` when the main thread has ended, unless it was closed or dropped before."""
    _watched(os.getpid()).add(connection)


@cache
def _watched(process: int) -> WeakSet[aiosqlite.Connection]:
    # By process: a fork copies this cache, but not the thread that watches.
    connections: WeakSet[aiosqlite.Connection] = WeakSet()
    threading.Thread(target=_stop_after_main, args=(connections,), name=f"sqlite-exit-{process}", daemon=True).start()
    return connections


def _stop_after_main(connections: WeakSet[aiosqlite.Connection]) -> None:
    threading.main_thread().join()
    for connection in list(connections):
        connection.stop()
