"""No flush holds more than the setting says, or than PostgreSQL stores in time; and nobody has all the room to wait."""

import asyncio
import json

import psycopg
import pytest

from signalops.config import Settings
from signalops.ingest import flush
from tests.support.api import Client, capture_log, running
from tests.support.tenants import Tenant


def sizes(owner: psycopg.Connection) -> list[int]:
    """Return how many events each flush stored."""
    rows = owner.execute("select count(*) from signalops.events group by batch order by 1 desc").fetchall()
    return [count for (count,) in rows]


async def test_a_batch_beyond_the_setting_is_stored_in_several_flushes(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    async with running(settings.model_copy(update={"max_flush_events": 40})) as api:
        items = [{"type": "a", "idempotencyKey": str(number % 90)} for number in range(100)]
        answer = await api.post_batch(items, acme)
        assert (answer.json["accepted"], answer.json["duplicates"]) == (90, 10)
        ids = [result["id"] for result in answer.json["results"]]
        assert ids[90:] == ids[:10]
    assert max(sizes(owner)) <= 40
    assert sum(sizes(owner)) == 90


async def test_a_flush_is_bounded_by_bytes(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    payload = {"text": "x" * 200_000}
    body = json.dumps([{"type": "a", "payload": payload}] * 30).encode()
    assert len(body) > flush.MAX_FLUSH_BYTES
    answer = await api.post_batch(body, acme)
    assert answer.json["accepted"] == 30
    assert max(sizes(owner)) * 200_000 <= flush.MAX_FLUSH_BYTES
    assert sum(sizes(owner)) == 30


async def test_a_tenant_has_a_quarter_of_the_bytes_that_may_wait(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "_MAX_WAITING_BYTES", 40_000)
    small, large = {"type": "a"}, {"type": "a", "payload": {"text": "x" * 9_500}}
    await api.post(small, acme)
    await api.post(small, globex)
    with capture_log("events.flushed") as flushed, owner.transaction():
        owner.execute("select from signalops.accepted_counters for update")
        answers = [asyncio.create_task(api.post(large, acme)) for _ in range(3)]
        done, waiting = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status for task in done} == {503}
        other = asyncio.create_task(api.post(small, globex))
        await asyncio.sleep(0)
    assert (await other).status in (202, 503)
    await asyncio.gather(*waiting)
    assert flushed
