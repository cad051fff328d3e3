"""A lock per key, such as a tenant; a key without holder or waiter takes no memory."""

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from signalops.errors import RateLimited

Key = TypeVar("Key", bound=Hashable)


class Locks(Generic[Key]):
    """Locks by key: what one tenant does a hundred times at once, it does one after the other, and others in between."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: Key) -> asyncio.Lock:
        """Return the lock of a key."""
        return self._locks.setdefault(key, asyncio.Lock())


class Places(Generic[Key]):
    """A fixed number of slots per key; without a free slot a caller is refused instead of waiting."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken = Counter[Key]()

    @contextmanager
    def of(self, key: Key) -> Iterator[None]:
        """Occupy one of a key's slots within the context; RateLimited if none is free."""
        if self._taken[key] >= self._most:
            raise RateLimited(f"{self._most} {self._what} run already: wait for them.", headers={"Retry-After": "1"})
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken -= Counter({key: 1})
