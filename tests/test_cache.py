"""The cache: bounded, aged, invalidated by tag, and one look-up for all who ask at once."""

import asyncio
import time

import pytest

from signalops import cache as module
from signalops.cache import Cache


class Source:
    """What is looked up, and how often it was."""

    def __init__(self) -> None:
        self.lookups = 0
        self.passing = asyncio.Event()
        self.passing.set()

    async def look_up(self, before: int | None) -> int:
        self.lookups += 1
        mine = self.lookups
        await self.passing.wait()
        return mine


async def test_many_who_ask_at_once_share_one_look_up() -> None:
    cache, source = Cache[str, int](10), Source()
    assert await asyncio.gather(*(cache.load("a", source.look_up) for _ in range(50))) == [1] * 50
    assert await cache.load("a", source.look_up) == 1


async def test_a_look_up_that_fails_fails_for_all_who_asked_and_is_tried_again() -> None:
    cache = Cache[str, int](10)

    async def fail(_: int | None) -> int:
        raise LookupError

    answers = await asyncio.gather(*(cache.load("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in answers] == [LookupError] * 3
    assert await cache.load("a", Source().look_up) == 1


async def test_one_who_stops_waiting_stops_nobody_else() -> None:
    cache, source = Cache[str, int](10), Source()
    source.passing.clear()
    first, second = (asyncio.create_task(cache.load("a", source.look_up)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.passing.set()
    assert await second == 1


async def test_what_is_invalidated_while_it_is_looked_up_is_looked_up_again() -> None:
    cache, source = Cache[str, int](10, tags_of=lambda key, _: (key,)), Source()
    source.passing.clear()
    reading = asyncio.create_task(cache.load("a", source.look_up))
    await asyncio.sleep(0)
    cache.invalidate("a")
    later = asyncio.create_task(cache.load("a", source.look_up))
    await asyncio.sleep(0)
    source.passing.set()
    assert (await reading, await later) == (1, 2)


def test_invalidating_a_tag_concerns_nothing_else_and_keeps_what_was() -> None:
    cache = Cache[str, str](10, tags_of=lambda _, value: (value,))
    cache.put("a", "x", since=0)
    cache.put("b", "y", since=0)
    cache.invalidate("x")
    assert (cache.get("a"), cache.stale("a"), cache.get("b")) == (None, "x", "y")
    cache.invalidate_all()
    assert (cache.get("b"), cache.stale("b")) == (None, "y")
    cache.drop("b")
    assert cache.stale("b") is None


def test_a_value_ages() -> None:
    cache = Cache[str, int](10, max_age=5)
    cache.put("old", 1, since=time.monotonic() - 6)
    cache.put("new", 2, since=time.monotonic() - 4)
    assert (cache.get("old"), cache.get("new")) == (None, 2)


def test_the_least_recently_used_is_evicted_and_one_always_stays() -> None:
    cache = Cache[str, int](10, size_of=lambda value: value)
    cache.put("a", 4)
    cache.put("b", 4)
    assert cache.get("a") == 4
    cache.put("c", 4)
    assert [cache.get(key) for key in "abc"] == [4, None, 4]
    cache.put("huge", 100)
    assert (len(cache), cache.get("huge")) == (1, 100)


def test_many_invalidated_tags_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TAGS", 100)
    cache = Cache[str, int](10, max_age=300, tags_of=lambda key, _: (key,))
    cache.put("a", 1, since=0)
    cache.put("a", 1)
    for number in range(1000):
        cache.invalidate(number)
    assert len(cache._invalidated) <= 100
    assert cache.get("a") is None, "an entry whose generation is unknown is loaded again"
