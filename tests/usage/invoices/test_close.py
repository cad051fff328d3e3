"""A period is closed once, by any of several workers, when no transaction can count into it any more; all or nothing."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.job_handlers import JobHandlers
from signalops.send import Sender
from signalops.usage.invoices import invoice_queries
from tests.support.api import Blocked, capture_log
from tests.support.rows import add_meter
from tests.support.tenants import Tenant
from tests.support.worlds.billing import APRIL, MARCH, Billing, plan

PRO = plan({"model": "per_unit", "unitAmount": "0.5", "included": "10"}, fee="49.00")
FREE = plan()


@pytest.fixture
def worker(settings: Settings) -> Iterator[psycopg.Connection]:
    """One worker's session, which begins transactions."""
    with psycopg.connect(db.dsn(settings, "worker")) as connection:
        yield connection


def wait(billing: Billing, tenant: Tenant) -> None:
    """Have an event wait in the inbox that came in March."""
    billing.owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch) values (%s, signalops.uuid7_floor('2025-03-20'), %s)",
        [tenant.id, clock.new_id()],
    )


async def test_a_period_is_sealed_and_invoiced_once(billing: Billing) -> None:
    acme = billing.tenant("one", PRO)
    billing.count(acme, "2025-03-05 07:30", 25)
    assert await billing.close(MARCH) == 1
    assert await billing.close(MARCH) == 0
    (invoice,) = billing.invoices(acme)
    assert (invoice["kind"], invoice["number"], invoice["customer"], invoice["author"]) == ("invoice", 1, "One", "signalops")
    assert [(line["kind"], line["quantity"], line["amount"]) for line in invoice["lines"]] == [
        ("base", None, Decimal("49.00")),
        ("usage", 25, Decimal("7.50")),
    ]
    assert (invoice["subtotal"], invoice["credited"], invoice["total"]) == (Decimal("56.50"), 0, Decimal("56.50"))
    (invoice_notices,) = billing.invoice_notices(acme, "issued")
    assert invoice_notices == {
        **{"invoice": str(invoice["id"]), "number": 1, "period": "2025-03", "currency": "USD"},
        **{"total": "56.50", "credited": "0.00"},
    }


async def test_a_worker_closes_what_is_due_and_writes_off_expired_credit(
    billing: Billing, settings: Settings, worker_pool: db.Pool
) -> None:
    acme = billing.tenant("one", PRO)
    billing.owner.execute(
        "select signalops.grant_credit(t.id, 30, 'USD', 'prepaid', 'ann', expires_at => now()) "
        "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
        [acme.id],
    )
    sender = Sender(worker_pool, settings)
    await JobHandlers(worker_pool, sender, billing.closing_after(APRIL)).close_periods()
    await sender.close()
    assert [(invoice["period"], invoice["credited"]) for invoice in billing.invoices(acme)] == [(MARCH, 0)]
    assert billing.dicts("select kind from signalops.credit_entries order by id")[1:] == [{"kind": "expired"}]


async def test_workers_share_the_periods_of_many_tenants(billing: Billing) -> None:
    tenants = [billing.tenant(f"t{n}", PRO) for n in range(12)]
    closers = [billing.closer(since=APRIL) for _ in range(4)]
    assert sum(await asyncio.gather(*(closer.run() for closer in closers))) == len(tenants)
    numbers = sorted(invoice["number"] for tenant in tenants for invoice in billing.invoices(tenant))
    assert numbers == list(range(1, 13))


async def test_a_period_is_closed_only_so_long_after_its_end(billing: Billing) -> None:
    acme = billing.tenant("one", PRO)
    assert await billing.closer(since=MARCH.replace(day=31)).run() == 0
    assert billing.dicts("select from signalops.billing_periods where tenant_id = %s", acme.id) == []


async def test_it_waits_for_what_came_in_before_its_end(billing: Billing) -> None:
    acme, other = billing.tenant("one", PRO), billing.tenant("two", PRO)
    wait(billing, acme)
    assert await billing.close(MARCH) == 1
    assert billing.invoices(acme) == []
    assert len(billing.invoices(other)) == 1
    billing.owner.execute("delete from signalops.inbox where tenant_id = %s", [acme.id])
    assert await billing.close(MARCH) == 1


async def test_without_anything_to_bill_there_is_a_seal_and_no_invoice(billing: Billing) -> None:
    acme = billing.tenant("one", FREE)
    billing.count(acme, "2025-03-05 07:30", 25)
    assert await billing.close(MARCH) == 1
    assert billing.invoices(acme) == []
    assert [(row["days"], row["previous"]) for row in billing.dicts("select * from signalops.usage_hash_chain")] == [(1, None)]


async def test_periods_are_closed_in_order_and_chained(billing: Billing) -> None:
    acme = billing.tenant("one", FREE, zone="America/New_York")
    billing.count(acme, "2025-03-31 23:30", 2, group_key='["ü"]')
    billing.count(acme, "2025-03-31 22:30", 3, group_key='["ü"]')
    billing.count(acme, "2025-04-01 00:30", 5)
    assert await billing.close(APRIL) == 2
    before = b""
    for row in billing.dicts("select * from signalops.usage_hash_chain order by period"):
        days = billing.dicts(
            "select day, meter, group_key, is_late, aggregation, events, quantity::text from signalops.usage_daily"
            ' where period = %s order by day, meter, group_key collate "C"',
            row["period"],
        )
        lines = [[str(acme.id), str(row["period"])], *([str(day.pop("day")), *day.values()] for day in days)]
        text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        assert row["digest"] == hashlib.sha256(before + text.encode()).digest()
        assert (row["previous"] or b"") == before
        before = row["digest"]
    sealed = billing.dicts("select period, day, quantity from signalops.usage_daily order by day")
    assert [tuple(row.values()) for row in sealed] == [(MARCH, MARCH.replace(day=31), 5), (APRIL, APRIL, 5)]
    bounds = billing.dicts("select starts_at::text, ends_at::text from signalops.billing_periods order by period")
    assert [tuple(row.values()) for row in bounds] == [
        ("2025-03-01 05:00:00+00", "2025-04-01 04:00:00+00"),  # the clock is put forward on the 9th
        ("2025-04-01 04:00:00+00", "2025-05-01 04:00:00+00"),
    ]


async def test_the_time_zone_is_fixed_once_a_period_is_closed(billing: Billing) -> None:
    acme = billing.tenant("one", FREE)
    await billing.close(MARCH)
    with pytest.raises(psycopg.errors.CheckViolation, match="fixed"):
        billing.owner.execute("update signalops.tenants set time_zone = 'Asia/Tokyo' where id = %s", [acme.id])


async def test_usage_from_before_the_tenant_was_made_is_closed_first(billing: Billing) -> None:
    acme = billing.tenant("one", FREE, since=APRIL)
    billing.count(acme, "2025-03-31 12:00", 2)
    assert await billing.close(APRIL) == 2


async def freeze(billing: Billing, with_barrier: bool = True) -> None:
    """Do the first half of closing, as a worker that dies then."""
    async with billing.workers.connection() as connection:
        await invoice_queries.freeze_periods(connection, billing.closing_after(APRIL), 10)
        if with_barrier:
            await invoice_queries.record_barriers(connection)


@contextmanager
def counting(worker: psycopg.Connection, tenant: Tenant) -> Iterator[None]:
    """A batch that has read the tenant, and counts ten events of March before it commits."""
    worker.execute("select signalops.take_batch(%s, 0, 0)", [clock.new_id()])
    worker.execute("select pg_current_xact_id()")  # as taking a batch of any events does
    worker.execute("select signalops.set_tenant(%s)", [tenant.id])
    assert worker.execute("select closed_until::text from signalops.tenants").fetchone() == ("-infinity",)
    yield
    worker.execute(
        "insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value)"
        " values (%s, 'events', '2025-03-31 23:00Z', '[]', %s, 'count', false, 10, 10)",
        [tenant.id, MARCH],
    )
    worker.commit()


async def test_a_batch_in_flight_that_read_the_period_as_open_is_waited_for(billing: Billing, worker: psycopg.Connection) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    with counting(worker, acme):
        assert await billing.close(MARCH) == 0
        assert len(billing.dicts("select from signalops.billing_periods where barrier is not null and closed_at is null")) == 1
        assert await billing.close(MARCH) == 0
    assert await billing.close(MARCH) == 1
    (invoice,) = billing.invoices(acme)
    assert invoice["total"] == 10


async def test_so_is_one_that_began_while_the_freezing_was_not_committed(
    billing: Billing, worker: psycopg.Connection, settings: Settings
) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    with psycopg.connect(db.dsn(settings, "worker")) as freezing:
        freezing.execute("select signalops.freeze_periods(%s, 10)", [billing.closing_after(APRIL)])
        with counting(worker, acme):  # its transaction is the younger one, and still reads the old state
            freezing.commit()
            assert await billing.close(MARCH) == 0
    assert await billing.close(MARCH) == 1
    assert billing.invoices(acme)[0]["total"] == 10


async def test_a_barrier_is_noted_in_a_transaction_after_the_freezing_alone(billing: Billing, worker: psycopg.Connection) -> None:
    billing.tenant("one", PRO)
    worker.execute("select signalops.freeze_periods(interval '1 day', 10)")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction, match="commit first"):
        worker.execute("select signalops.record_barriers()")


@pytest.mark.parametrize("died", ["before the barrier", "after it"])
async def test_a_period_whose_worker_died_after_the_freezing_is_closed_by_the_next(billing: Billing, died: str) -> None:
    acme = billing.tenant("one", PRO)
    await freeze(billing, with_barrier=died == "after it")
    assert await billing.close(MARCH) == 1
    assert len(billing.invoices(acme)) == 1


async def test_a_worker_that_dies_while_issuing_leaves_nothing_and_no_gap(
    billing: Billing, owner: psycopg.Connection, blocked_backend: Blocked
) -> None:
    acme, other = billing.tenant("one", PRO), billing.tenant("two", PRO)
    await freeze(billing)
    with owner.transaction():
        # Somebody else is about to take the first number: the closing comes to a halt where it takes its own.
        owner.execute("insert into signalops.invoice_numbers values ('invoice', 1)")
        closing = asyncio.create_task(billing.close(MARCH))
        pid = await blocked_backend()
        owner.execute("select pg_terminate_backend(%s)", [pid])
        with pytest.raises(psycopg.OperationalError):
            await closing
        owner.execute("delete from signalops.invoice_numbers")
    for table in ("usage_hash_chain", "invoices", "invoice_lines", "invoice_numbers"):
        assert billing.dicts(f"select from signalops.{table}") == []
    assert await billing.close(MARCH) == 2
    assert sorted(i["number"] for t in (acme, other) for i in billing.invoices(t)) == [1, 2]


async def test_numbers_have_no_gap_when_transactions_are_undone(billing: Billing) -> None:
    tenants = [billing.tenant(f"t{n}", PRO) for n in range(3)]
    closer = billing.closer(since=APRIL)
    # A line that can't be stored: the transaction is undone after everything else was done.
    billing.owner.execute(
        "create function signalops.fail() returns trigger language plpgsql as $$ begin"
        " if new.tenant_id = (select id from signalops.tenants where slug = 't1') then raise 'full'; end if; return new; end $$"
    )
    billing.owner.execute(
        "create trigger fail after insert on signalops.invoice_lines for each row execute function signalops.fail()"
    )
    with capture_log("period.close_failed") as stuck, capture_log("period.closed") as closed:
        await closer.run()
        assert (stuck.get_nowait()["tenant"], closed.qsize()) == (tenants[1].id, 2)
    billing.owner.execute("drop trigger fail on signalops.invoice_lines")
    assert await closer.run() == 1
    assert billing.invoices(tenants[1])[0]["number"] == 3


async def test_a_tenant_whose_terms_can_not_be_read_keeps_nobody_from_an_invoice(billing: Billing) -> None:
    broken: dict[str, Any] = PRO | {"prices": [{"meter": "events", "model": "unheard-of"}]}
    stuck_one, other = billing.tenant("one", broken), billing.tenant("two", PRO)
    with capture_log("period.close_failed") as stuck:
        assert await billing.close(MARCH) == 1
        assert stuck.get_nowait()["tenant"] == stuck_one.id
    assert len(billing.invoices(other)) == 1
    assert billing.dicts("select from signalops.billing_periods where closed_at is null and tenant_id = %s", stuck_one.id)


async def test_meters_that_only_a_plan_of_the_past_has_end(billing: Billing) -> None:
    meter = {"key": "calls", "name": "Calls", "pattern": {"type": ["api.call"]}}
    acme = billing.tenant("one", plan(meters=[meter]))
    add_meter(billing.owner, acme.id, "calls", first_version=0, origin="plan")
    billing.subscribe(acme, FREE, APRIL, "free")
    assert await billing.close(MARCH) == 1
    assert len(billing.dicts("select from signalops.meters where ended_at is not null")) == 1


async def test_a_meter_of_a_plan_that_is_given_meanwhile_goes_on(billing: Billing, blocked_backend: Blocked) -> None:
    meter = {"key": "calls", "name": "Calls", "aggregation": "count", "pattern": {"type": ["api.call"]}}
    terms = plan(meters=[meter])
    acme = billing.tenant("one", terms)
    billing.owner.execute("insert into signalops.plans values ('team', 1, 2, %s)", [json.dumps(terms)])
    billing.owner.execute("select signalops.add_plan_meters(%s, %s, 2::smallint)", [acme.id, json.dumps(terms)])
    billing.subscribe(acme, FREE, APRIL, "free")
    await freeze(billing)
    with billing.owner.transaction():
        billing.owner.execute(
            "select signalops.subscribe(t.id, 'team', true, 'ann') "
            "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
            [acme.id],
        )
        closing = asyncio.create_task(billing.close(MARCH))
        await blocked_backend()
    await closing
    assert billing.dicts("select end_version from signalops.meters") == [{"end_version": None}]
