"""The table of jobs, and what else names queues."""

import re

from signalops.job_handlers import JobHandlers
from signalops.jobs import jobs_of
from signalops.queue.jobs import MAINTENANCE, Job
from tests.support.paths import ROOT


def queues(handlers: JobHandlers) -> set[str]:
    return {job.queue for job in jobs_of(handlers) if isinstance(job, Job)} | {MAINTENANCE}


def test_each_job_has_a_name_of_its_own(handlers: JobHandlers) -> None:
    names = [job.name for job in jobs_of(handlers)]
    assert len(names) == len(set(names)) > 10


def test_the_workers_of_compose_serve_every_queue(handlers: JobHandlers) -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    served = [name.strip(' "') for names in re.findall(r"--queues, ([^\]]+)\]", text) for name in names.split(",")]
    assert set(served) == queues(handlers)
    assert len(served) == len(set(served))


def test_every_job_that_sql_enqueues_is_in_the_table(handlers: JobHandlers) -> None:
    sql = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "sql" / "functions").rglob("*.sql"))
    enqueued = set(re.findall(r"'(\w+)', '(\w+)', (?:signalops\.priority_|j\.priority|priority)", sql))
    table = {(job.queue, job.name) for job in jobs_of(handlers) if isinstance(job, Job)}
    assert enqueued <= table
    assert len(enqueued) > 2
