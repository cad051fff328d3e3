"""Re-enqueues the jobs of workers that died."""

from procrastinate.jobs import Status
from procrastinate.manager import JobManager

from signalops import telemetry
from signalops.queue.retry import AT_ONCE

MAX_ATTEMPTS = 50
"""A job that was cut off as often kills its workers: it ends as failed, for a person to look at."""


async def rescue_stalled(manager: JobManager, stalled_after: float) -> None:
    """Requeue every job whose worker has sent no heartbeat for some seconds; without this a killed worker's jobs stay `doing`."""
    rescued = 0
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=stalled_after):
        if job.attempts < MAX_ATTEMPTS:
            await manager.retry_job(job, retry_at=AT_ONCE)
        else:
            await manager.finish_job(job, Status.FAILED, delete_job=False)
        rescued += 1
    if rescued:
        telemetry.emit("jobs.rescued", jobs=rescued)
