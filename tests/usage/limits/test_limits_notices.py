"""Soft and hard limits and thresholds: which notices are emitted, what is refused and marked; and limits that change."""

from datetime import UTC, datetime
from decimal import Decimal

import psycopg

from tests.support.api import SIGNUP, Client, assert_problem, capture_log
from tests.support.rows import add
from tests.support.tenants import Tenant, make_tenant, set_limit
from tests.usage.limits.conftest import Ingest, accepted, limit_notices, make_meter, sent

MONTH = f"{datetime.now(UTC):%Y-%m}"


async def test_each_threshold_is_told_of_once_at_its_amount(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, soft=7, hard=10, thresholds=[50, 80, 100])
    for _ in range(12):
        await api.post(SIGNUP, acme)
    about = {"meter": "events", "period": MONTH}
    assert limit_notices(owner, acme) == [
        ("threshold_reached", about | {"percent": 50, "limit": 10, "accepted": 5}),
        ("soft_limit_reached", about | {"limit": 7, "accepted": 7}),
        ("threshold_reached", about | {"percent": 80, "limit": 10, "accepted": 8}),
        ("hard_limit_reached", about | {"limit": 10, "accepted": 10, "overage": "refuse"}),
        ("threshold_reached", about | {"percent": 100, "limit": 10, "accepted": 10}),
    ]


async def test_a_batch_that_crosses_all_of_them_tells_of_each(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, soft=5, thresholds=[40, 200])
    with capture_log("usage.threshold_reached") as emitted:
        await api.post_batch([SIGNUP] * 7, acme)
        await api.post_batch([SIGNUP] * 7, acme)
    assert [(word, payload["accepted"]) for word, payload in limit_notices(owner, acme)] == [
        ("soft_limit_reached", 7),
        ("threshold_reached", 7),
        ("threshold_reached", 14),
    ]
    assert emitted.qsize() == 2


async def test_beyond_a_limit_whose_overage_is_accepted_events_are_marked(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, hard=2, overage="accept")
    first = await api.post({**SIGNUP, "idempotencyKey": "first"}, acme)
    answer = await api.post_batch([SIGNUP, {**SIGNUP, "idempotencyKey": "first"}, SIGNUP], acme)
    results = answer.json["results"]
    assert [(r["status"], r.get("overLimit")) for r in results] == [("accepted", None), ("duplicate", None), ("accepted", True)]
    over = await api.post(SIGNUP, acme)
    assert (over.status, over.json["overLimit"]) == (202, True)
    again = await api.post({**SIGNUP, "idempotencyKey": "first"}, acme)
    assert (again.status, again.json) == (200, {"id": first.json["id"], "status": "duplicate"})
    shown = {
        event: (await api.get(f"/api/events/{event}", acme)).json.get("overLimit")
        for event in (first.json["id"], results[2]["id"], over.json["id"])
    }
    assert list(shown.values()) == [None, True, True]
    listed = (await api.get("/api/events", acme, type="user.signup")).json["data"]
    assert {event["id"] for event in listed if event.get("overLimit")} == {results[2]["id"], over.json["id"]}
    assert accepted(owner, acme, "events") == 4
    assert [(word, payload.get("overage")) for word, payload in limit_notices(owner, acme)] == [("hard_limit_reached", "accept")]


async def test_a_limit_that_is_raised_holds_at_once_and_is_told_of_anew(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, hard=2, thresholds=[100])
    assert [(await api.post(SIGNUP, acme)).status for _ in range(3)] == [202, 202, 429]
    set_limit(owner, acme.id, hard=4, thresholds=[100])
    assert [(await api.post(SIGNUP, acme)).status for _ in range(3)] == [202, 202, 429]
    set_limit(owner, acme.id, hard=3, thresholds=[100])
    assert (await api.post(SIGNUP, acme)).status == 429
    set_limit(owner, acme.id, hard=4, thresholds=[100])
    assert (await api.post(SIGNUP, acme)).status == 429
    limits = [(word, payload["limit"]) for word, payload in limit_notices(owner, acme)]
    assert sorted(limits) == [(word, n) for word in ("hard_limit_reached", "threshold_reached") for n in (2, 4)]


async def test_the_tenants_own_limit_goes_before_its_plans_from_its_day_on(
    ingest: Ingest, owner: psycopg.Connection, acme: Tenant
) -> None:
    for origin, starts_on, hard in (
        ("plan", "2026-01-01", 1),
        ("plan", "2026-05-10", 2),
        ("tenant", "2026-05-20", 4),
        ("tenant", "2026-05-30", None),
    ):
        add(owner, "limits", acme.id, meter="events", origin=origin, starts_on=starts_on, hard=hard)
    filled = {}
    for day in (1, 9, 10, 19, 20, 29, 30):
        await ingest.accept([acme], [SIGNUP] * 9, datetime(2026, 5, day, tzinfo=UTC))
        filled[day] = accepted(owner, acme, "events")
    assert filled == {1: 1, 9: 1, 10: 2, 19: 2, 20: 4, 29: 4, 30: 13}


async def test_what_is_used_of_the_limits_is_shown(api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    make_meter(owner, acme)
    set_limit(owner, acme.id, soft=4, hard=6, thresholds=[50])
    set_limit(owner, acme.id, "traffic", hard=Decimal("12.5"), overage="accept")
    await api.post_batch([sent(2.5), sent("0.75"), sent(1)], acme)
    traffic, events = sorted((await api.get("/api/limits", acme)).json["data"], key=lambda limit: -len(limit["meter"]))
    assert events == {
        "meter": "events",
        "origin": "tenant",
        "startsOn": "2000-01-01",
        "soft": "4",
        "hard": "6",
        "thresholds": [50],
        "overage": "refuse",
        "period": MONTH,
        "accepted": "3",
        "percent": 50.0,
        "notified": {"50": "3"},
    }
    assert (traffic["accepted"], traffic["percent"], traffic["hard"], traffic["notified"]) == ("4.25", 34.0, "12.5", {})
    assert (await api.get("/api/limits", globex)).json == {"data": []}
    writer = make_tenant(owner, "writer", scopes=["events:write"])
    assert_problem(await api.get("/api/limits", writer), 403, "forbidden")
