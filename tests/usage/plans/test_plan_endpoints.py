"""GET /api/plan: what the tenant has, what comes next, and the days of the period."""

import psycopg

from tests.support.api import Client, assert_problem
from tests.support.tenants import Tenant, make_tenant
from tests.usage.plans.conftest import CALLS, LIMITED, Office

TIERS = [{"upTo": "1000", "unitAmount": "0.01", "flatAmount": "0"}, {"upTo": None, "unitAmount": "0.005", "flatAmount": "1"}]
TIERED = {"meter": "api_calls", "included": "100", "model": "graduated", "tiers": TIERS}


async def test_a_new_tenant_has_the_free_plan(api: Client, office: Office, acme: Tenant) -> None:
    today, next_month = office.days(acme)
    shown = (await api.get("/api/plan", acme)).json
    assert (shown["current"]["plan"], shown["current"]["version"], shown["next"]) == ("free", 1, None)
    days = (next_month - today.replace(day=1)).days
    segment = {"plan": "free", "version": 1, "startsOn": str(today.replace(day=1)), "days": days}
    assert shown["period"] == {"period": f"{today:%Y-%m}", "days": days, "billingSegments": [segment]}
    terms = {"name": "Free", "currency": "USD", "baseFee": "0", "meters": [], "prices": [], "limits": []}
    assert shown["current"]["terms"] == terms | {"retentionDays": None}
    assert (shown["retentionDays"], shown["keptSince"]) == (None, None)


async def test_the_plan_is_shown_with_its_terms_and_the_next_one(
    api: Client, office: Office, acme: Tenant, globex: Tenant
) -> None:
    await office.define("pro", meters=[CALLS], prices=[TIERED], limits=[LIMITED])
    await office.define("team", currency="JPY")
    await office.subscribe(acme, "pro")
    await office.subscribe(acme, "team", at_once=False)
    today, next_month = office.days(acme)
    shown = (await api.get("/api/plan", acme)).json
    assert (shown["current"]["plan"], shown["current"]["startsOn"]) == ("pro", str(today))
    assert shown["current"]["terms"]["prices"] == [TIERED]
    assert shown["current"]["terms"]["limits"] == [LIMITED]
    assert (shown["next"]["plan"], shown["next"]["startsOn"]) == ("team", str(next_month))
    billing_segments = shown["period"]["billingSegments"]
    assert [s["plan"] for s in billing_segments] == (["pro"] if today.day == 1 else ["free", "pro"])
    assert sum(s["days"] for s in billing_segments) == shown["period"]["days"]
    assert billing_segments[-1]["days"] == (next_month - today).days
    assert (await api.get("/api/plan", globex)).json["current"]["plan"] == "free"


async def test_reading_the_plan_needs_its_scope(api: Client, owner: psycopg.Connection) -> None:
    writer = make_tenant(owner, "writer", scopes=["events:write"])
    assert assert_problem(await api.get("/api/plan", writer), 403, "forbidden")["requiredScope"] == "usage:read"
