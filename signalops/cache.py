"""The cache: bounded by size and age, invalidated by tags, with one look-up for all who ask at once (single-flight)."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MAX_TAGS = 10_000
"""Tags whose invalidation is remembered one by one; with more of them everything is invalidated."""


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    since: float
    """Start of its look-up: an invalidation since then may concern it."""
    size: int
    tags: tuple[Hashable, ...]


class Cache(Generic[Key, Value]):
    """Values by key. When they are larger together than `max_size`, the least recently used are evicted; one value always stays.

    max_age: seconds after which a value is looked up again. size_of: the size of a value, by default 1. tags_of: what it is
    about, by which it can be invalidated.
    """

    def __init__(
        self,
        max_size: int,
        *,
        max_age: float = math.inf,
        size_of: Callable[[Value], int] = lambda _: 1,
        tags_of: Callable[[Key, Value], Iterable[Hashable]] = lambda *_: (),
    ) -> None:
        # LRUCache takes no value that is larger than itself.
        self._entries: LRUCache[Key, _Entry[Value]] = LRUCache(max_size, getsizeof=lambda one: min(one.size, max_size))
        self._max_age = max_age
        self._size_of = size_of
        self._tags_of = tags_of
        self._all_invalidated = -math.inf
        self._invalidated: dict[Hashable, float] = {}
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    def __len__(self) -> int:
        """Return how many values there are, also invalidated ones."""
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """Return the value of a key; None: there is none, or it must be looked up again."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and self._is_fresh(entry) else None

    def stale(self, key: Key) -> Value | None:
        """Return the last value of a key, even if it must be looked up again."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: Key, value: Value, since: float | None = None) -> None:
        """Store a value, whose look-up began at a moment of time.monotonic(); default: now."""
        moment = time.monotonic() if since is None else since
        self._entries[key] = _Entry(value, moment, self._size_of(value), tuple(self._tags_of(key, value)))

    def drop(self, key: Key) -> None:
        """Forget the value of a key."""
        self._entries.pop(key, None)

    async def load(self, key: Key, look_up: Callable[[Value | None], Awaitable[Value]]) -> Value:
        """Return the value of a key. If needed, look it up (`load` gets the stale value), once for all concurrent callers."""
        value = self.get(key)
        return await asyncio.shield(self._load_once(key, look_up)) if value is None else value

    def invalidate(self, tag: Hashable) -> None:
        """Have what a tag is about looked up again."""
        now = time.monotonic()
        if len(self._invalidated) >= _MAX_TAGS:
            self._invalidated = {one: at for one, at in self._invalidated.items() if at > now - self._max_age}
        if len(self._invalidated) >= _MAX_TAGS:
            self.invalidate_all()
        self._invalidated[tag] = now
        self._loading = {}

    def invalidate_all(self) -> None:
        """Have everything looked up again."""
        self._all_invalidated = time.monotonic()
        self._invalidated.clear()
        self._loading = {}

    def _is_fresh(self, entry: _Entry[Value]) -> bool:
        if entry.since <= self._all_invalidated or entry.since + self._max_age < time.monotonic():
            return False
        invalidated = self._invalidated
        return not invalidated or all(entry.since > invalidated.get(tag, -math.inf) for tag in entry.tags)

    def _load_once(self, key: Key, look_up: Callable[[Value | None], Awaitable[Value]]) -> asyncio.Task[Value]:
        loading = self._loading
        if key not in loading:
            loading[key] = asyncio.create_task(self._load(key, look_up), name="look up for a cache")
            loading[key].add_done_callback(lambda _: loading.pop(key))
        return loading[key]

    async def _load(self, key: Key, look_up: Callable[[Value | None], Awaitable[Value]]) -> Value:
        since = time.monotonic()
        value = await look_up(self.stale(key))
        self.put(key, value, since)
        return value
