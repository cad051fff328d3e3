"""GET /api/usage: a month's counts and limits."""

from datetime import UTC, date, datetime

import psycopg

from tests.api import SIGNUP, Client, assert_problem
from tests.people import Tenant, make_tenant

THIS_MONTH = datetime.now(UTC).strftime("%Y-%m")


def _process(owner: psycopg.Connection, tenant: Tenant, days: dict[date, int]) -> None:
    """Count processed events, as a worker does."""
    for day, quantity in days.items():
        owner.execute(
            "insert into signalops.usage_counters (tenant_id, meter, day, quantity) values (%s, 'events', %s, %s)",
            [tenant.id, day, quantity],
        )


async def test_a_tenant_without_events_has_used_nothing(api: Client, acme: Tenant) -> None:
    nothing = {"period": THIS_MONTH, "accepted": 0, "processed": 0, "softLimit": None, "hardLimit": None, "days": {}}
    assert (await api.get("/api/usage", acme)).json == nothing


async def test_what_was_accepted_counts_once_and_only_for_its_tenant(
    api: Client, owner: psycopg.Connection, globex: Tenant
) -> None:
    limited = make_tenant(owner, "limited", soft=2, hard=3)
    for key in ("a", "a", "b", "c", "d"):
        await api.post({**SIGNUP, "idempotencyKey": key}, limited)
    used = (await api.get("/api/usage", limited)).json
    assert [used[name] for name in ("accepted", "processed", "softLimit", "hardLimit")] == [3, 0, 2, 3]
    assert (await api.get("/api/usage", globex)).json["accepted"] == 0


async def test_processed_events_are_shown_by_day_and_month(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    _process(owner, acme, {date(2026, 1, 31): 5, date(2026, 2, 1): 7, date(2026, 2, 28): 11, date(2026, 3, 1): 13})
    _process(owner, globex, {date(2026, 2, 2): 100})
    used = (await api.get("/api/usage", acme, period="2026-02")).json
    assert (used["period"], used["processed"]) == ("2026-02", 18)
    assert used["days"] == {"2026-02-01": 7, "2026-02-28": 11}
    assert (await api.get("/api/usage", globex, period="2026-02")).json["processed"] == 100


async def test_what_is_not_understood_is_refused_by_name(api: Client, acme: Tenant) -> None:
    for name, value in (("period", "2026-13"), ("period", "february"), ("month", "2026-02")):
        problem = assert_problem(await api.get("/api/usage", acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_reading_usage_needs_its_scope(api: Client, owner: psycopg.Connection) -> None:
    writer = make_tenant(owner, "writer", scopes=["events:write"])
    problem = assert_problem(await api.get("/api/usage", writer), 403, "forbidden")
    assert problem["requiredScope"] == "usage:read"
