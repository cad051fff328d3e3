"""What happens to a flush when the database is slow, gone, or refuses one of its events."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Blocked, Client, assert_problem, capture_log, rows, running
from tests.support.tenants import Tenant, make_tenant, set_limit

_REFUSING = """
create function signalops.refuse() returns trigger language plpgsql as $$
begin raise 'not this one' using errcode = TG_ARGV[0]; end $$;
create trigger refuse before insert on signalops.events for each row when (new.type = 'refused')
  execute function signalops.refuse('{}');
"""
REFUSALS = ["22P05", "54000"]
"""A character that can't be stored; beyond a limit of PostgreSQL, which a driver calls operational."""


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Client]:
    """An API in which three events may wait."""
    async with running(settings.model_copy(update={"max_waiting_events": 3})) as client:
        yield client


@contextmanager
def _held(owner: psycopg.Connection) -> Iterator[None]:
    """Hold the tenants' counters, so that no flush of theirs gets past them."""
    with owner.transaction():
        assert owner.execute("select from signalops.accepted_counters for update").fetchall()
        yield


def _post(api: Client, tenant: Tenant, kind: str = "a") -> asyncio.Task[Answer]:
    return asyncio.create_task(api.post({"type": kind}, tenant))


async def test_when_too_many_wait_the_next_are_told_to_come_again(
    narrow: Client, owner: psycopg.Connection, acme: Tenant, blocked_backend: Blocked
) -> None:
    await narrow.post(SIGNUP, acme)
    with _held(owner):
        flushing = _post(narrow, acme)
        await blocked_backend()
        waiting = {_post(narrow, acme) for _ in range(10)}
        refused: set[asyncio.Task[Answer]] = set()
        while len(refused) < 7:
            done, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert done
            refused |= done
    for task in refused:
        assert_problem(task.result(), 503, "overloaded")
        assert task.result().headers["retry-after"] == "1"
    assert {answer.status for answer in await asyncio.gather(flushing, *waiting)} == {202}
    assert rows(owner)["events"] == rows(owner)["accepted"] == 1 + 1 + 3
    batch = await narrow.post_batch([SIGNUP] * 4, acme)
    assert batch.json["accepted"] == 4, "more than may wait are taken when none waits"


async def test_a_flush_whose_connection_dies_is_answered_and_the_next_one_works(
    api: Client, owner: psycopg.Connection, acme: Tenant, blocked_backend: Blocked
) -> None:
    await api.post(SIGNUP, acme)
    with _held(owner):
        posts = [_post(api, acme)]
        pid = await blocked_backend()
        owner.execute("select pg_terminate_backend(%s)", [pid])
        answer = await posts[0]
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert rows(owner)["events"] == 1
    assert (await api.post(SIGNUP, acme)).status == 202
    assert rows(owner) == {"events": 2, "keys": 0, "inbox": 2, "accepted": 2, "jobs": 2}


async def test_after_every_connection_was_lost_events_are_stored_again(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    await api.post(SIGNUP, acme)
    owner.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    accepted = 0
    async with asyncio.timeout(10):
        while accepted < 5:
            answer = await api.post(SIGNUP, acme)
            assert answer.status in (202, 503)
            accepted += answer.status == 202
    assert rows(owner)["events"] == rows(owner)["accepted"] == 6


@pytest.mark.parametrize("code", REFUSALS)
async def test_an_event_that_the_database_refuses_fails_alone(
    api: Client, owner: psycopg.Connection, acme: Tenant, blocked_backend: Blocked, code: str
) -> None:
    await api.post(SIGNUP, acme)
    owner.execute(_REFUSING.format(code).encode())
    with capture_log("events.flushed") as flushed:
        with _held(owner):
            first = _post(api, acme)
            await blocked_backend()
            good = [_post(api, acme) for _ in range(4)]
            bad = _post(api, acme, "refused")
            good += [_post(api, acme) for _ in range(4)]
            await _arrive(api)
        answers = await asyncio.gather(first, *good)
    assert {answer.status for answer in answers} == {202}
    assert "not this one" in assert_problem(await bad, 422, "invalid")["detail"]
    sizes = [fields["events"] for fields in (flushed.get_nowait() for _ in range(flushed.qsize()))]
    assert sum(sizes) == 9
    assert len(sizes) < 9, "the refused event had no neighbours"
    assert rows(owner) | {"jobs": 0} == {"events": 10, "keys": 0, "inbox": 10, "accepted": 10, "jobs": 0}


async def _arrive(api: Client) -> None:
    """Return when what was sent before has come in: a request on every further connection is behind it."""
    assert (await api.get("/healthz")).status == 200


async def test_an_item_of_a_batch_that_the_database_refuses_fails_alone(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    owner.execute(_REFUSING.format("22P05").encode())
    items = [{"type": "refused" if place in (3, 7) else "a"} for place in range(10)]
    answer = await api.post_batch(items, acme)
    assert [place for place, r in enumerate(answer.json["results"]) if r["status"] == "rejected"] == [3, 7]
    assert rows(owner) | {"jobs": 0} == {"events": 8, "keys": 0, "inbox": 8, "accepted": 8, "jobs": 0}


async def test_what_only_the_operator_can_mend_is_no_events_fault(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    part = owner.execute("select to_char(now() at time zone 'UTC', '\"events_\"YYYY_MM')").fetchone()
    assert part
    owner.execute(f"alter table signalops.events detach partition signalops.{part[0]}".encode())
    refused = await api.post(SIGNUP, acme)
    assert_problem(refused, 503, "unavailable")
    assert refused.headers["Retry-After"]
    assert rows(owner)["accepted"] == 0
    owner.execute(f"drop table signalops.{part[0]}".encode())
    owner.execute("select signalops.make_partitions()")
    assert (await api.post(SIGNUP, acme)).status == 202


async def test_whoever_leaves_takes_nobody_along(
    api: Client, owner: psycopg.Connection, acme: Tenant, blocked_backend: Blocked
) -> None:
    await api.post(SIGNUP, acme)
    with _held(owner):
        leaving = _post(api, acme)
        await blocked_backend()
        staying = [_post(api, acme) for _ in range(3)]
        leaving.cancel()
        await asyncio.wait([leaving])
    assert {answer.status for answer in await asyncio.gather(*staying)} == {202}
    assert (await api.post(SIGNUP, acme)).status == 202
    assert rows(owner)["events"] == rows(owner)["accepted"] == 6


async def test_a_limit_that_takes_long_to_change_keeps_first_events_waiting_and_no_others(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    await api.post(SIGNUP, acme)
    with owner.transaction():
        set_limit(owner, make_tenant(owner, "initech").id, hard=1)
        assert (await api.post(SIGNUP, acme)).status == 202
        first = await api.post(SIGNUP, globex)
        assert_problem(first, 503, "unavailable")
        assert first.headers["retry-after"] == "1"
    assert (await api.post(SIGNUP, globex)).status == 202
    assert rows(owner) == {"events": 3, "keys": 0, "inbox": 3, "accepted": 3, "jobs": 3}
