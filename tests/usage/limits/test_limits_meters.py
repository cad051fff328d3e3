"""Limits of meters that sum: which events come in, what repeats give back, and meters that come and go."""

from datetime import UTC, datetime

import psycopg
import pytest

from tests.support.api import SIGNUP, Client, assert_problem, capture_log
from tests.support.months import next_month
from tests.support.rows import add_meter
from tests.support.tenants import Tenant, set_limit
from tests.usage.limits.conftest import Ingest, accepted, limit_notices, make_meter, sent


async def test_an_event_that_does_not_fit_is_refused_and_a_smaller_one_comes_in(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    make_meter(owner, acme)
    set_limit(owner, acme.id, "traffic", hard=10)
    answer = await api.post_batch([sent(4), sent(4), sent(4), SIGNUP, sent("1.5"), sent(1), sent(-9), sent("much")], acme)
    statuses = [result["status"] for result in answer.json["results"]]
    assert statuses == ["accepted"] * 2 + ["rejected"] + ["accepted"] * 2 + ["rejected"] + ["accepted"] * 2
    problem = answer.json["results"][2]["problem"]
    assert (problem["meter"], problem["periodEnd"]) == ("traffic", next_month(datetime.now(UTC)).isoformat())
    assert "hard limit of traffic" in problem["detail"]
    assert_problem(await api.post(sent(1), acme), 429, "quota-exceeded")
    assert (await api.post(sent(0.5), acme)).status == 202
    assert (accepted(owner, acme), accepted(owner, acme, "events")) == (10, 7)
    # Told as soon as something was refused, and once.
    assert [(word, payload["meter"]) for word, payload in limit_notices(owner, acme)] == [("hard_limit_reached", "traffic")]


async def test_repeats_give_the_room_of_every_meter_back(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for key, aggregation, hard in (("traffic", "sum", 20), ("files", "count", 3)):
        make_meter(owner, acme, key, aggregation)
        set_limit(owner, acme.id, key, hard=hard)
    named = {"idempotencyKey": "a"}
    items = [sent(8, **named), sent(8, **named), sent(9, **named), sent(3)]
    results = (await api.post_batch(items, acme)).json["results"]
    assert [r["status"] for r in results] == ["accepted", "duplicate", "rejected", "accepted"]
    for status in (200, 200):
        assert (await api.post(sent(8, **named), acme)).status == status
    assert [accepted(owner, acme, meter) for meter in ("traffic", "files", "events")] == [11, 2, 2]
    assert (await api.post(sent(10), acme)).status == 429
    assert (await api.post(sent(9), acme)).status == 202
    assert (await api.post(sent(8, **named), acme)).status == 200
    assert (await api.post(sent(0), acme)).status == 429, "files are full"
    assert [accepted(owner, acme, meter) for meter in ("traffic", "files", "events")] == [20, 3, 3]


async def test_a_meter_that_is_limited_in_mid_month_begins_with_what_was_counted(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    make_meter(owner, acme)
    assert (await api.post(sent(50), acme)).status == 202
    _count(owner, acme, 30)
    set_limit(owner, acme.id, "traffic", hard=40)
    assert accepted(owner, acme) == 30
    assert [(await api.post(sent(gb), acme)).status for gb in (11, 10)] == [429, 202]
    # Without a limit it is not counted here; with one again, the counters say what was missed.
    owner.execute("delete from signalops.limits where meter = 'traffic'")
    assert (await api.post(sent(500), acme)).status == 202
    assert accepted(owner, acme) == 40
    _count(owner, acme, 510)
    set_limit(owner, acme.id, "traffic", hard=550)
    assert accepted(owner, acme) == 540
    assert [(await api.post(sent(gb), acme)).status for gb in (11, 10)] == [429, 202]


def _count(owner: psycopg.Connection, tenant: Tenant, quantity: int) -> None:
    """Count traffic of this hour, as a worker does."""
    owner.execute(
        "insert into signalops.usage_counters as u (tenant_id, meter, hour, group_key, period, aggregation, "
        "is_late, events, value) "
        "values (%s, 'traffic', date_trunc('hour', now()), '[]', date_trunc('month', now()), 'sum', false, 1, %s) "
        "on conflict (tenant_id, meter, hour, group_key, period) do update set value = u.value + excluded.value",
        [tenant.id, quantity],
    )


async def test_a_meter_that_ends_limits_nothing_any_more(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    make_meter(owner, acme)
    set_limit(owner, acme.id, "traffic", hard=1)
    assert (await api.post(sent(2), acme)).status == 429
    assert (await api.request("DELETE", "/api/meters/traffic", acme)).status == 200
    assert (await api.post(sent(2), acme)).status == 202
    made = {"key": "traffic", "name": "T", "aggregation": "sum", "field": "payload.gb", "pattern": {"type": ["file.sent"]}}
    assert (await api.post(made, acme, "/api/meters")).status == 201
    assert (await api.post(sent(2), acme)).status == 429


async def test_limits_are_for_what_adds_up(owner: psycopg.Connection, acme: Tenant) -> None:
    make_meter(owner, acme, "largest", "max")
    for key in ("largest", "unknown"):
        with pytest.raises(psycopg.errors.CheckViolation, match=f"no meter {key} that counts or sums"):
            set_limit(owner, acme.id, key, hard=1)


async def test_what_is_weighed_by_old_scales_is_left_alone_and_its_neighbours_are_stored(
    ingest: Ingest, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    await ingest.accept([acme, globex], [sent(3)])
    make_meter(owner, acme)
    set_limit(owner, acme.id, "traffic", hard=5)
    assert await ingest.accept([acme, globex], [sent(3)]) == [(None, "stale", acme.id, None, None, None)]
    assert owner.execute("select tenant_id from signalops.events order by id").fetchall() == [
        (acme.id,),
        (globex.id,),
        (globex.id,),
    ]
    await ingest.limited_meters.refresh([acme.id])
    rows = await ingest.accept([acme, globex], [sent(3), sent(3)])
    assert [verdict for _, verdict, *_ in rows] == ["refused", "hard_limit"]
    assert (await ingest.accept([acme], [SIGNUP])) == []


async def test_a_process_that_knows_no_tenant_reads_its_meters_at_the_first_event(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    make_meter(owner, acme)
    set_limit(owner, acme.id, "traffic", hard=3)
    with capture_log("events.flushed") as emitted:
        assert [(await api.post(sent(3), acme)).status for _ in range(2)] == [202, 429]
        assert (await api.post(sent(3), globex)).status == 202
    assert [emitted.get_nowait()["events"] for _ in range(4)] == [0, 1, 1, 1]


async def test_to_a_limited_meter_what_names_no_time_happens_now(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    add_meter(owner, acme.id, "timed", pattern={"type": ["user.signup"], "occurredAt": [{"prefix": "2"}]})
    set_limit(owner, acme.id, "timed", hard=1)
    assert [(await api.post(SIGNUP, acme)).status for _ in range(2)] == [202, 429]
