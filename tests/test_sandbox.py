"""What tenants wrote runs where it can be stopped: by its processor time, its memory, or because nobody waits any more."""

import asyncio
import os
import time
from uuid import UUID

import pytest

from signalops import sandbox
from signalops.errors import Invalid
from signalops.types import TenantId

ONE, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))


def spin_in_c() -> bool:
    """Hold the GIL in one call that never returns: neither a thread nor a signal handler can interrupt it."""
    return 1.5 in range(10**18)


def take_memory() -> int:
    return len(bytearray(8 * 2**30))


def refuse() -> None:
    raise Invalid("Not this.", errors=[{"path": "a"}])


def sleep() -> None:
    time.sleep(3600)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRIES", 1)


async def test_what_never_ends_is_ended_and_others_find_another_process() -> None:
    await sandbox.warm()
    endless = asyncio.create_task(sandbox.run(ONE, spin_in_c))
    began = time.monotonic()
    pids = [await sandbox.run(OTHER, os.getpid) for _ in range(5)]
    assert len(set(pids)) == 1
    assert os.getpid() not in pids
    assert time.monotonic() - began < 1
    with pytest.raises(sandbox.Stopped):
        await endless
    assert await sandbox.run(ONE, abs, -3) == 3


async def test_it_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRIES", 3)
    began = time.process_time(), os.times().children_user
    with pytest.raises(sandbox.Stopped):
        await sandbox.run(ONE, spin_in_c)
    assert os.times().children_user - began[1] > 2.5 * sandbox.SECONDS
    assert time.process_time() - began[0] < 1


async def test_memory_is_bounded_and_an_error_passes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRIES", 3)  # a process that an earlier test had ended may be found first
    with pytest.raises(MemoryError):
        await sandbox.run(ONE, take_memory)
    with pytest.raises(Invalid) as refused:
        await sandbox.run(ONE, refuse)
    assert (refused.value.detail, refused.value.members) == ("Not this.", {"errors": [{"path": "a"}]})


async def test_what_takes_no_processor_time_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_PATIENCE", 0.5)
    began = time.monotonic()
    with pytest.raises(sandbox.Stopped):
        await sandbox.run(ONE, sleep)
    assert time.monotonic() - began < 5


async def test_who_does_not_wait_any_more_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRIES", 3)  # a process that an earlier test had ended may be found first
    pid = await sandbox.run(ONE, os.getpid)
    hanging = asyncio.create_task(sandbox.run(ONE, sleep))
    await asyncio.sleep(0.2)  # it is in its process
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await sandbox.run(ONE, os.getpid) != pid


async def test_a_tenant_has_one_process_at_a_time() -> None:
    await sandbox.warm()
    pids = await asyncio.gather(*(sandbox.run(ONE, os.getpid) for _ in range(20)))
    waiting = [asyncio.create_task(sandbox.run(ONE, sleep)) for _ in range(5)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await sandbox.run(OTHER, os.getpid)
    assert time.monotonic() - began < 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pids
