"""Rate limits are exact: across processes, in a flush that is sent again, and in their arithmetic."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as trials
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.config import Settings
from signalops.errors import RateLimited
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, Incoming, Stored, incoming
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.types import BatchId
from signalops.usage.limits import LimitedMeters
from tests.sql.wire import statements
from tests.support.api import SIGNUP, Client, rows, running_process
from tests.support.rates import bucket, set_rate, verdicts
from tests.support.rows import add_meter
from tests.support.tenants import Tenant, set_limit

RATE = 300
BURST = 1000


def paying(tenant: Tenant, *buckets: str) -> Incoming:
    """Return an event that pays."""
    return incoming(tenant.id, EventIn(type="a.b"))._replace(buckets=buckets or ("tenant",))


@asynccontextmanager
async def flushing(pool: db.Pool) -> AsyncIterator[Flusher]:
    flusher = Flusher((pool, pool), LimitedMeters(pool), RateLimitCache(), 0, Limits(waiting=1000, flush=500, linger=0.001))
    running = asyncio.create_task(flusher.run())
    yield flusher
    running.cancel()


@pytest.mark.prove
async def test_two_processes_hammered_at_once_let_in_what_the_clock_gave_and_no_more(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_rate(owner, acme, RATE, BURST)

    async def hammer(api: Client) -> list[str]:
        return list(itertools.chain(*[verdicts(await api.post_batch([SIGNUP] * 20, acme)) for _ in range(15)]))

    async with running_process(settings) as one, running_process(settings) as other:
        assert set(verdicts(await one.post_batch([SIGNUP] * BURST, acme))) <= {"accepted"}
        assert len(verdicts(await other.post_batch([SIGNUP], acme))) == 1
        before, stored = bucket(owner, acme), rows(owner)["events"]
        answers = await asyncio.gather(*(hammer(api) for _ in range(6) for api in (one, other)))
    after = bucket(owner, acme)
    outcomes = list(itertools.chain(*answers))
    accepted = outcomes.count("accepted")
    # Drained, and never idle for the seconds that fill it: so what came in is what time brought, to the last token.
    brought = RATE * (after.at - before.at).total_seconds()
    assert accepted == pytest.approx(before.level + brought - after.level, abs=0.01)
    assert 0 <= after.level < BURST
    assert accepted > 0
    assert outcomes.count("rate-limited") == len(outcomes) - accepted > 0
    assert rows(owner)["events"] == rows(owner)["accepted"] == stored + accepted


async def are_accepted(flusher: Flusher, events: list[Incoming]) -> bool:
    outcomes = await flusher.submit(events)
    return all(isinstance(outcomes[event.id], Stored) for event in events)


async def test_what_was_told_to_be_empty_refuses_without_a_statement(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, tmp_path: Path
) -> None:
    set_rate(owner, acme, 0.01, 3)
    async with db.pool(settings, "api", 1) as pool, flushing(pool) as flusher:
        async with statements(pool, tmp_path / "trace") as sent:
            assert await are_accepted(flusher, [paying(acme) for _ in range(3)])
        assert sent == ["accept"]
        late = [paying(acme), paying(acme)]
        async with statements(pool, tmp_path / "trace2") as sent:
            refused = await flusher.submit(late)
        assert sent == []
        assert [type(refused[event.id]) for event in late] == [RateLimited] * 2
        flusher.rates.cache.invalidate_all()
        async with statements(pool, tmp_path / "trace3") as sent:
            assert isinstance((await flusher.submit(late[:1]))[late[0].id], RateLimited)
        assert sent == ["accept"]


async def test_events_that_are_weighed_anew_pay_once(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant) -> None:
    set_rate(owner, acme, 0.01, 5)
    add_meter(owner, acme.id, "m", first_version=0, pattern={"type": ["a.b"]})
    set_limit(owner, acme.id, "m", hard=100)
    async with flushing(api_pool) as flusher:
        events = [paying(acme) for _ in range(7)]
        outcomes = await flusher.submit(events)
    assert [isinstance(outcomes[event.id], Stored) for event in events] == [True] * 5 + [False] * 2
    assert bucket(owner, acme).level == pytest.approx(0, abs=0.01)
    quotas = owner.execute("select meter, accepted::int from signalops.accepted_counters order by meter").fetchall()
    assert quotas == [("events", 5), ("m", 5)]


async def test_flushes_that_share_tenants_in_any_order_never_lock_each_other_out(
    api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        set_rate(owner, tenant, 1_000_000, 1_000_000)

    async def flush(*tenants: Tenant) -> None:
        async with api_pool.connection() as connection:
            batch = BatchId(clock.new_id())
            rows = await event_queries.accept(connection, [paying(tenant) for tenant in tenants for _ in range(5)], batch, 0)
            assert {verdict for _, verdict, *_ in rows} == {"bucket", "placed"}

    orders = ((acme, globex), (globex, acme))
    await asyncio.gather(*(flush(*orders[n % 2]) for n in range(60)))
    assert rows(owner)["events"] == 60 * 10


STEP = st.tuples(st.floats(0, 50), st.integers(1, 12), st.booleans())


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 20),
    key_rate=st.floats(0.01, 1000),
    key_burst=st.integers(1, 20),
    steps=st.lists(STEP, min_size=1, max_size=6),
)
@example(rate=1.0, burst=3, key_rate=1.0, key_burst=2, steps=[(0.0, 5, True), (1.0, 2, False), (50.0, 12, True)])
@trials(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_buckets_do_what_a_naive_model_does(owner: psycopg.Connection, acme: Tenant, **limits_given: Any) -> None:
    """Steps are seconds that pass, events that come, and whether they come with the limited key."""
    set_rate(owner, acme, limits_given["rate"], limits_given["burst"])
    (key,) = owner.execute(
        "update signalops.api_keys set rate_per_second = %s, rate_burst = %s where tenant_id = %s returning id::text",
        [limits_given["key_rate"], limits_given["key_burst"], acme.id],
    ).fetchone() or ("",)
    limits = {"tenant": (limits_given["rate"], limits_given["burst"]), key: (limits_given["key_rate"], limits_given["key_burst"])}
    owner.execute("delete from signalops.rate_buckets")
    for seconds, count, with_key in limits_given["steps"]:
        names = [key, "tenant"] if with_key else ["tenant"]
        _one_step(owner, acme, {name: limits[name] for name in names}, seconds, count)


def _one_step(owner: psycopg.Connection, acme: Tenant, limits: dict[str, tuple[float, int]], seconds: float, count: int) -> None:
    owner.execute("update signalops.rate_buckets set at = at - make_interval(secs => %s)", [seconds])
    query = "select bucket, level, at from signalops.rate_buckets where tenant_id = %s"
    before = {name: (level, at) for name, level, at in owner.execute(query, [acme.id])}
    asking = [{"tenant": str(acme.id), "bucket": name, "amount": count} for name in limits]
    flush = [{"tenant": str(acme.id), "id": str(clock.new_id()), "buckets": [*range(1, len(limits) + 1)]}] * count
    answers = owner.execute(
        "select event_id, of_bucket, pace from signalops.take_tokens(%s, %s)", [Jsonb(flush), Jsonb(asking)]
    ).fetchall()
    after = {name: (level, at) for name, level, at in owner.execute(query, [acme.id])}
    model = {}
    for name, (rate, burst) in limits.items():
        level, at = before.get(name, (float("inf"), after[name][1]))
        model[name] = min(burst, level + rate * (after[name][1] - at).total_seconds())
    taken = min(count, *(int(level + 1e-9) for level in model.values()))
    refused = [pace["wait"] for event, _, pace in answers if event is not None]
    assert len(refused) == count - taken
    assert refused == sorted(refused)
    assert all(wait > 0 for wait in refused)
    for name in limits:
        assert after[name][0] == pytest.approx(model[name] - taken, abs=1e-6)
        assert after[name][0] > -1e-6
