"""What argon2 was really asked to do: work is counted in KiB times passes, never timed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import argon2.low_level
import pytest

from asgi_auth import passwords


class Ledger(list[int]):
    """The work of each argon2 computation, in the order in which they began."""

    @property
    def total(self) -> int:
        return sum(self)


@contextmanager
def counted_argon2() -> Iterator[Ledger]:
    """Stand at the two doors of the library, write down who goes through, and let everybody through."""
    ledger = Ledger()
    verify_secret = argon2.low_level.verify_secret
    hash_secret = argon2.low_level.hash_secret
    hash_secret_raw = argon2.low_level.hash_secret_raw

    def verifying(hash: bytes, secret: bytes, type: Any) -> bool:
        costs = argon2.extract_parameters(hash.decode())
        ledger.append(costs.time_cost * costs.memory_cost)
        return bool(verify_secret(hash, secret, type))

    def hashing(*, time_cost: int, memory_cost: int, **rest: Any) -> bytes:
        ledger.append(time_cost * memory_cost)
        return bytes(hash_secret(time_cost=time_cost, memory_cost=memory_cost, **rest))

    def topping_up(*, time_cost: int, memory_cost: int, **rest: Any) -> bytes:
        ledger.append(time_cost * memory_cost)
        return bytes(hash_secret_raw(time_cost=time_cost, memory_cost=memory_cost, **rest))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2.low_level, "verify_secret", verifying)
        patch.setattr(argon2.low_level, "hash_secret", hashing)
        patch.setattr(passwords, "hash_secret_raw", topping_up)
        yield ledger
