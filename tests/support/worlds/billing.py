"""Tenants with plans and usage of some past months, and the closing of these."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from signalops import clock, db
from signalops.usage.invoices.close import Closer
from signalops.usage.plans.plan_models import PlanDocument
from tests.support.rows import add_subscription
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.base import Row, World

MARCH, APRIL = date(2025, 3, 1), date(2025, 4, 1)
GRADUATED = {"model": "graduated", "tiers": [{"upTo": "100", "unitAmount": "0.10"}, {"upTo": None, "unitAmount": "0.05"}]}


def plan(*prices: Mapping[str, object], fee: str = "0", currency: str = "USD", meters: Sequence[Row] = ()) -> Row:
    """Return the document of a plan, as it is stored with subscriptions; prices are of events unless they say otherwise."""
    of_events = [{"meter": "events", **price} for price in prices]
    body = {"name": "Pro", "currency": currency, "baseFee": fee, "prices": of_events, "meters": list(meters)}
    return PlanDocument.model_validate(body).model_dump(mode="json")


class Billing(World):
    """Tenants with plans and usage of past months, and their invoices."""

    def __init__(self, owner: psycopg.Connection, workers: db.Pool) -> None:
        super().__init__(owner)
        self.workers = workers

    def tenant(self, slug: str, terms: Row, zone: str = "UTC", since: date = MARCH) -> Tenant:
        """Make a tenant that was there, and had a plan, since the first day of a month."""
        tenant = make_tenant(self.owner, slug)
        self.owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, tenant.id])
        self.owner.execute(
            "update signalops.tenants set created_at = signalops.period_start(%s, time_zone) + interval '1 hour' where id = %s",
            [since, tenant.id],
        )
        self.owner.execute("delete from signalops.subscriptions where tenant_id = %s", [tenant.id])
        self.subscribe(tenant, terms, since)
        return tenant

    def subscribe(self, tenant: Tenant, terms: Row, day: date, plan: str = "pro") -> None:
        """Give a tenant a plan from a day on."""
        add_subscription(self.owner, tenant.id, plan, terms, day)

    def count(self, tenant: Tenant, at: str, events: int, late: date | None = None, **more: object) -> None:
        """Count events of a local time, late when the period that bills them is named; more: columns of the counter."""
        counted = {"meter": "events", "aggregation": "count", "group_key": "[]", "value": events, **more}
        self.owner.execute(
            """
            insert into signalops.usage_counters (tenant_id, hour, period, is_late, events, meter, aggregation, group_key, value)
            select t.id, date_trunc('hour', %(at)s::timestamp at time zone t.time_zone, t.time_zone),
              coalesce(%(late)s, date_trunc('month', %(at)s::timestamp)::date), %(late)s::date is not null, %(events)s,
              %(meter)s, %(aggregation)s, %(group_key)s, %(value)s
            from signalops.tenants t where t.id = %(tenant)s""",
            {"tenant": tenant.id, "at": at, "late": late, "events": events, **counted},
        )

    def closing_after(self, day: date) -> timedelta:
        """Return how long ago it was noon of a day: what ended before is due."""
        return clock.now() - datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    def closer(self, *, since: date) -> Closer:
        """Return what closes the periods that ended before noon of a day, as a worker does."""
        return Closer(self.workers, self.closing_after(since))

    async def close(self, month: date) -> int:
        """Close all periods until a month, that included, in whatever zone; return how many there were."""
        following = date(month.year + month.month // 12, month.month % 12 + 1, 2)
        return await self.closer(since=following).run()

    def invoices(self, tenant: Tenant) -> list[Row]:
        """Return a tenant's invoices and credit notes in the order of issue, each with its lines."""
        invoices = self.dicts("select * from signalops.invoices where tenant_id = %s order by id", tenant.id)
        lines = "select * from signalops.invoice_lines where invoice_id = %s order by position"
        return [invoice | {"lines": self.dicts(lines, invoice["id"])} for invoice in invoices]

    def invoice_notices(self, tenant: Tenant, event: str) -> list[Row]:
        """Return the payloads of operational events of a tenant."""
        query = "select payload from signalops.events where tenant_id = %s and type = %s order by id"
        return [row["payload"] for row in self.dicts(query, tenant.id, f"signalops.invoice.{event}")]


@pytest.fixture
def billing(owner: psycopg.Connection, worker_pool: db.Pool) -> Billing:
    return Billing(owner, worker_pool)
