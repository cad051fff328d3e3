"""The definition of a job. `signalops/jobs.py` is the table of all jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MAINTENANCE = "maintenance"
"""The queue of the jobs that run by the clock."""


@dataclass(frozen=True)
class Job:
    """A job that a transaction enqueues: `run` takes the job's id and its arguments, by their names.

    Where `run` returns a number of processed events, the job was deleted by its own transaction: nothing is left to finish.

    Name and arguments are a contract with the jobs that wait in the table, and with the workers of the release before: only add.
    """

    name: str
    queue: str
    run: Callable[..., Awaitable[int | None]]


@dataclass(frozen=True)
class Periodic:
    """A periodic job: `cron` has six fields, the last being seconds.

    is_recorded: its last success and failure are stored in signalops.maintenance_runs, because otherwise a failure would go
    unnoticed for days.
    """

    name: str
    cron: str
    run: Callable[[], Awaitable[None]]
    is_recorded: bool = False
