"""The table of jobs: name, queue, period, arguments and handler. Everything else about jobs is derived from it.

`ops.queues()` and compose.yaml name the same queues; a test compares.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from signalops.job_handlers import JobHandlers
from signalops.queue.jobs import Job, Periodic
from signalops.types import BatchId, DeliveryId, TenantId


def jobs_of(handlers: JobHandlers) -> list[Job | Periodic]:
    """Return the table of jobs, run by the job handlers."""

    async def process_batch(job: int, batch: str) -> int:
        return await handlers.process_batch(BatchId(UUID(batch)), job)

    async def send_delivery(_: int, tenant: str, delivery: str, more: Sequence[Mapping[str, str]] = ()) -> None:
        # The first has arguments of its own for the workers of a release before: they run a job that has no more.
        deliveries = [{"tenant": tenant, "delivery": delivery}, *more]
        await handlers.send_deliveries([(TenantId(UUID(one["tenant"])), DeliveryId(UUID(one["delivery"]))) for one in deliveries])

    async def run_backtest(_: int, tenant: str, backtest: str) -> None:
        await handlers.run_backtest(TenantId(UUID(tenant)), UUID(backtest))

    async def delete_tenant(_: int, tenant: str) -> None:
        await handlers.delete_tenant(TenantId(UUID(tenant)))

    return [
        Job("process_batch", "events", process_batch),
        Job("send_delivery", "deliveries", send_delivery),
        Job("run_backtest", "backtests", run_backtest),
        Job("delete_tenant", "deletions", delete_tenant),
        Periodic("enqueue_due", "* * * * * *", handlers.enqueue_due),
        Periodic("fire_due", "* * * * * *", handlers.fire_due),
        Periodic("enqueue_lost", "* * * * * */5", handlers.enqueue_lost),
        Periodic("watch", "* * * * * */15", handlers.watch),
        Periodic("tidy", "* * * * *", handlers.tidy, is_recorded=True),
        Periodic("close_periods", "* * * * *", handlers.close_periods, is_recorded=True),
        Periodic("make_partitions", "7 * * * *", handlers.make_partitions, is_recorded=True),
        Periodic("retain", "37 * * * *", handlers.retain, is_recorded=True),
    ]
