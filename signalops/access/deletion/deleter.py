"""Runs a deletion in slices, each a transaction, until no row is left; then removes the tenant and stores the proof.

A transaction that began before the deletion may still insert rows after the last slice. So the tenant is removed only when every
transaction that ran at the last slice has ended, and only if there are still no rows. Later transactions don't find the tenant.
"""

import asyncio
import time

from signalops import db, telemetry
from signalops.access.deletion import deletion_queries
from signalops.types import TenantId

SLICE = 5000
"""Rows of one transaction, about."""
_PATIENCE = 5.0
"""Seconds to wait for other transactions; after that the next job, which the sweep enqueues, waits again."""
_LOOK = 0.05


class Deleter:
    """Deletes tenants, one for each job."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def run(self, tenant: TenantId) -> None:
        """Delete a tenant that is being deleted, or as much of it as is possible now."""
        began = time.perf_counter()
        async with self._connections.connection() as connection:
            while await deletion_queries.delete_slice(connection, tenant, SLICE):
                pass
            if not await self._others_have_ended(connection):
                return
            removed = await deletion_queries.finish(connection, tenant)
        if removed is not None:
            milliseconds = (time.perf_counter() - began) * 1000
            telemetry.emit("tenant.deleted", tenant=tenant, rows=removed, duration_ms=milliseconds)

    async def sweep(self) -> None:
        """Give a job to the deletions that have none."""
        async with self._connections.connection() as connection:
            await deletion_queries.enqueue_unfinished(connection)

    async def _others_have_ended(self, connection: db.Connection) -> bool:
        """Wait for the transactions that run now; False when one goes on for long, a dump for instance."""
        running, until = await deletion_queries.running_transactions(connection), time.monotonic() + _PATIENCE
        while running and time.monotonic() < until:
            await asyncio.sleep(_LOOK)
            running &= await deletion_queries.running_transactions(connection)
        return not running
