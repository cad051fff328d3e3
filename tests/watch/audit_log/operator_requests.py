"""Every operation by which an operator manages tenants, once, in an order in which they can follow one another."""

from typing import Any
from uuid import UUID

import psycopg

from signalops import clock
from tests.support.rows import insert
from tests.support.tenant_rows import rows_of
from tests.watch.audit_log.tenant_requests import Step

_OF = "/api/tenants/{tenant}"
_LIMIT = f"{_OF}/limits/{{meter}}"
_INVOICE = f"{_OF}/invoices/{{invoice}}"
PLAN: dict[str, Any] = {"name": "Pro", "currency": "USD", "baseFee": "10", "limits": [{"meter": "events", "hard": "9"}]}
KEY = {"label": "first", "scopes": ["events:write"]}
OFF = {"meter": "events", "quantity": "-3", "reason": "counted twice", "author": "ann"}
MADE = {"slug": "initech", "name": "Initech"}

STEPS = [
    Step("createTenant", "POST", "/api/tenants", "tenant.created", "tenant", MADE, after=MADE, keeps="tenant"),
    Step(
        *("changeTenant", "PATCH", _OF, "tenant.changed", "tenant", {"name": "New"}),
        before={"name": "Initech"},
        after={"name": "New"},
    ),
    Step("createTenantKey", "POST", f"{_OF}/keys", "key.created", "key", KEY, after=KEY, keeps="key"),
    Step(
        *("patchTenantKey", "PATCH", f"{_OF}/keys/{{key}}", "key.changed", "key", {"label": "shop"}),
        before={"label": "first"},
        after={"label": "shop"},
    ),
    Step(
        *("rotateTenantKey", "POST", f"{_OF}/keys/{{key}}/rotate", "key.rotated", "successor", {}),
        besides=("key.changed",),
        keeps="successor",
    ),
    Step("revokeTenantKey", "DELETE", f"{_OF}/keys/{{successor}}", "key.revoked", "successor"),
    Step("setTenantLimit", "PUT", _LIMIT, "limit.created", "meter", {"hard": "100"}, after={"hard": 100}),
    Step(
        *("patchTenantLimit", "PATCH", _LIMIT, "limit.changed", "meter", {"hard": "200"}),
        before={"hard": 100},
        after={"hard": 200},
    ),
    Step("removeTenantLimit", "DELETE", _LIMIT, "limit.deleted", "meter", before={"hard": 200}),
    Step(
        *("adjustTenantUsage", "POST", f"{_OF}/adjustments", "adjustment.created", "adjustment", OFF),
        after={"quantity": -3, "author": "olga"},
        keeps="adjustment",
    ),
    Step("addPlanVersion", "POST", "/api/plans/{plan}", "plan.created", "plan", PLAN),
    Step(
        *("setTenantPlan", "POST", f"{_OF}/plan", "subscription.created", "*", {"plan": "{plan}"}),
        after={"plan": "pro", "version": 1},
    ),
    Step(
        *("grantCredit", "POST", f"{_OF}/credits", "credit.created", "credit"),
        {"amount": "5", "currency": "EUR", "reason": "a gift"},
        after={"amount": 5, "reason": "a gift"},
        keeps="credit",
    ),
    Step(
        *("voidInvoice", "POST", f"{_INVOICE}/void", "invoice.voided", "invoice", {"reason": "wrong"}),
        after={"void_reason": "wrong"},
    ),
    Step(
        *("reissueInvoice", "POST", f"{_INVOICE}/reissue", "invoice.created", "invoice", {"reason": "right"}),
        after={"kind": "invoice"},
        keeps="invoice",
    ),
    Step(
        *("creditInvoice", "POST", f"{_INVOICE}/credit-notes", "invoice.created", "note"),
        {"reason": "kind", "amount": "0.50"},
        after={"kind": "credit_note", "reason": "kind"},
        keeps="note",
    ),
    Step(
        *("suspendTenant", "POST", f"{_OF}/suspend", "tenant.suspended", "tenant", {"reason": "unpaid"}),
        before={"status": "active"},
        after={"status": "suspended", "status_reason": "unpaid"},
    ),
    Step("resumeTenant", "POST", f"{_OF}/resume", "tenant.resumed", "tenant", {}, after={"status": "active"}),
    Step(
        *("closeTenant", "POST", f"{_OF}/close", "tenant.closed", "tenant", {"reason": "gone"}),
        after={"status": "closed"},
        besides=("subscription.deleted",),
    ),
    Step("deleteTenant", "DELETE", f"{_OF}?confirm=initech", "tenant.deleting", "tenant", after={"status": "deleting"}),
]
OF_THE_INSTALLATION = {"addPlanVersion"}
"""What is done to no tenant."""


def bill(owner: psycopg.Connection, tenant: UUID) -> str:
    """Store a closed period with its invoice; return the invoice's id."""
    rows = rows_of(tenant, clock.now())
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        for table in ("billing_periods", "invoices", "invoice_lines"):
            insert(owner, table, rows[table])
        owner.execute("update signalops.billing_periods set barrier = 1, closed_at = now()")
        owner.execute("insert into signalops.invoice_numbers (series, last) values ('invoice', 1)")
    return str(tenant)
