"""Short jobs of one queue run a few at a time: slow ones do not count, other queues are not affected, load makes it linger."""

import asyncio

import pytest

from signalops.queue import slots
from signalops.queue.slots import AT_ONCE, MANY, MERGED, Slots


@pytest.fixture
def woken() -> asyncio.Queue[None]:
    """Has an item for each time that the worker was woken."""
    return asyncio.Queue()


@pytest.fixture
def full(woken: asyncio.Queue[None]) -> Slots:
    """Slots with as many jobs as run at once."""
    full = Slots(lambda: woken.put_nowait(None), is_notified=False)
    full.queues = {MERGED, "deliveries"}
    for job in range(AT_ONCE):
        full.begin(job, MERGED)
    return full


async def test_a_full_queue_is_left_out_and_others_are_not(full: Slots) -> None:
    assert full.without_full(None) == ["deliveries"]
    assert full.without_full(["deliveries", MERGED]) == ["deliveries"]
    assert full.without_full([MERGED]) == []
    full.end(0)
    assert full.without_full(None) is None
    assert full.without_full([MERGED]) == [MERGED]


async def test_jobs_of_other_queues_do_not_count(woken: asyncio.Queue[None]) -> None:
    slots_ = Slots(lambda: woken.put_nowait(None), is_notified=False)
    for job in range(9):
        slots_.begin(job, "deliveries")
    assert slots_.without_full(None) is None


async def test_a_slow_job_does_not_count_and_the_worker_is_woken_to_see_it(
    full: Slots, woken: asyncio.Queue[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "SHORT", 0.01)
    assert full.without_full([MERGED]) == []
    await asyncio.wait_for(woken.get(), 5)
    assert full.without_full([MERGED]) == [MERGED]


async def test_the_end_of_a_job_wakes_the_worker_at_once_or_under_load_a_little_later(
    full: Slots, woken: asyncio.Queue[None]
) -> None:
    full.end(0, events=1)
    assert woken.qsize() == 1
    full.begin(0, MERGED)
    full.end(0, events=MANY)
    assert woken.qsize() == 2, "more waits: there is nothing to wait for"
    full.end(1, events=MANY - 1)
    assert full.without_full(None) == ["deliveries"]
    assert woken.qsize() == 2
    woken.get_nowait()
    woken.get_nowait()
    await asyncio.wait_for(woken.get(), 5)
    assert full.without_full(None) is None


async def test_a_job_ends_once(full: Slots, woken: asyncio.Queue[None]) -> None:
    full.end(0)
    full.end(0)
    full.end(99)
    assert woken.qsize() == 1


async def test_behind_a_lone_job_nothing_is_fetched_until_another_is_notified(woken: asyncio.Queue[None]) -> None:
    lone = Slots(lambda: woken.put_nowait(None), is_notified=True)
    assert lone.without_full([MERGED]) == [MERGED], "there may be some from before the start"
    lone.begin(1, MERGED)
    assert lone.without_full([MERGED]) == []
    lone.notify()
    assert lone.without_full([MERGED]) == [MERGED]
    lone.begin(2, MERGED)
    lone.end(1, events=1)
    lone.end(2, events=MANY)
    lone.begin(3, MERGED)
    assert lone.without_full([MERGED]) == []
    lone.end(3, events=1)
    assert lone.without_full([MERGED]) == [MERGED], "each end looks for what was not notified"
