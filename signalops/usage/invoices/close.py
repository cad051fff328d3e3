"""Closes ended billing periods: freezes, seals and invoices them, by any number of workers at once.

A transaction of its own freezes a period first: usage counted afterwards is late. A worker that read the tenant before may still
count into the period, so the period is closed when every transaction has ended that began before the freeze was committed. Nobody
waits for that: the next run of the job finds the period. Sealing, the invoice, its number and its credit are one transaction, so
after a crash the next run finds a period that is either closed or not.
"""

import time
from datetime import date, timedelta

from signalops import db, telemetry
from signalops.types import TenantId
from signalops.usage.credits import credit_grants as credits
from signalops.usage.invoices import invoice_queries
from signalops.usage.invoices.issue import Issued, drafts_of, issue

MAX_PERIODS = 200
"""Tenants that are frozen in one transaction, and periods that a worker looks for at once."""
CLOSING_AFTER = timedelta(hours=24)


class Closer:
    """Closes what is due, of all tenants."""

    def __init__(self, connections: db.Pool, closing_after: timedelta = CLOSING_AFTER) -> None:
        self._connections = connections
        self._closing_after = closing_after

    async def run(self) -> int:
        """Freeze the periods that have ended and close those that no transaction can count into any more; return how many were
        closed."""
        closed, moved = 0, True
        while moved:
            frozen = await self._freeze()
            # One that fails stays for the next run: it must not keep this one busy.
            done = sum([await self._attempt(*ready) for ready in await self._ready()])
            closed, moved = closed + done, bool(frozen or done)
        await self._expire()
        return closed

    async def close(self, tenant: TenantId, period: date) -> list[Issued] | None:
        """Seal a frozen period and issue what is to be billed of it; None: another worker does, or did."""
        async with db.as_tenant(self._connections, tenant) as connection:
            if not await invoice_queries.seal_period(connection, tenant, period):
                return None
            return [await issue(connection, tenant, draft) for draft in await drafts_of(connection, tenant, period)]

    async def _freeze(self) -> int:
        async with self._connections.connection() as connection:
            frozen = await invoice_queries.freeze_periods(connection, self._closing_after, MAX_PERIODS)
            await invoice_queries.record_barriers(connection)
        if frozen:
            telemetry.emit("periods.frozen", periods=frozen)
        return frozen

    async def _ready(self) -> list[tuple[TenantId, date]]:
        async with self._connections.connection() as connection:
            return await invoice_queries.periods_ready(connection, MAX_PERIODS)

    async def _attempt(self, tenant: TenantId, period: date) -> bool:
        """Close a period and emit an event; False if another worker did, or if it failed: that must not stop other tenants."""
        began = time.perf_counter()
        try:
            issued = await self.close(tenant, period)
        except db.OUTAGE:
            raise
        except Exception as error:
            telemetry.emit("period.close_failed", tenant=tenant, period=period, error=db.redact(error))
            return False
        if issued is None:
            return False
        spent = (time.perf_counter() - began) * 1000
        telemetry.emit("period.closed", tenant=tenant, period=period, invoices=len(issued), duration_ms=spent)
        return True

    async def _expire(self) -> None:
        async with self._connections.connection() as connection:
            while await credits.expire_credits(connection, MAX_PERIODS) == MAX_PERIODS:
                pass
