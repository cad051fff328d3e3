"""Retention of a tenant's events: by its plan or by an operator; with a notice to the tenant and an audit log entry."""

import psycopg

from tests.support.api import assert_problem
from tests.support.operators import Operator
from tests.support.tenants import Tenant
from tests.tenants.test_tenant_endpoints_plans import GOLD


def retention_of(owner: psycopg.Connection, tenant: Tenant) -> tuple[int]:
    row = owner.execute("select days from signalops.retention_cutoffs(400) where tenant = %s", [tenant.id]).fetchone()
    assert row is not None
    days: tuple[int] = row
    return days


async def test_a_tenant_s_own_retention_goes_before_its_plan_s(
    operator: Operator, acme: Tenant, owner: psycopg.Connection
) -> None:
    assert (await operator.send("POST", "/api/plans/gold", GOLD | {"retentionDays": 90})).status == 201
    assert retention_of(owner, acme) == (400,)
    given = await operator.send("POST", "/api/tenants/acme/plan", {"plan": "gold", "atOnce": True})
    assert (given.json["retentionDays"], given.json["keptSince"]) == (90, None)
    assert retention_of(owner, acme) == (90,)
    for days, shown, holds in ((30, 30, 30), (None, None, 90)):
        changed = await operator.send("PATCH", "/api/tenants/acme", {"retentionDays": days})
        assert (changed.status, changed.json["retentionDays"]) == (200, shown)
        assert (await operator.get("/api/tenants/acme/plan")).json["retentionDays"] == holds
        assert retention_of(owner, acme) == (holds,)
    untouched = await operator.send("PATCH", "/api/tenants/acme", {"name": "Acme"})
    assert untouched.json["retentionDays"] is None
    for invalid in (0, 36501, "x"):
        refused = await operator.send("PATCH", "/api/tenants/acme", {"retentionDays": invalid})
        assert [e["path"] for e in assert_problem(refused, 422, "invalid")["errors"]] == ["retentionDays"]
    query = "select change -> 'after' -> 'retention_days' from signalops.audit_log where change -> 'after' ? 'retention_days' "
    assert owner.execute((query + "and action = 'tenant.changed' order by id").encode()).fetchall() == [(30,), (None,)]
