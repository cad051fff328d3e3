"""Batches as the API stores them, and the bodies of the jobs as a worker has them."""

from typing import Any

import psycopg
import pytest

from signalops import db
from signalops.job_handlers import JobHandlers
from signalops.types import BatchId
from tests.support.tenants import Tenant
from tests.support.worlds.base import World, accept, event_of


class Pipeline(World):
    """From the API's flush to the worker's batch, and the jobs in between."""

    def __init__(self, api: db.Pool, handlers: JobHandlers, owner: psycopg.Connection) -> None:
        super().__init__(owner)
        self.api = api
        self.handlers = handlers

    async def accept(self, *events: tuple[Tenant, dict[str, Any]]) -> BatchId:
        """Store events of one type with these payloads in one flush; return its batch."""
        return await accept(self.api, [event_of(tenant, payload, "user.signup") for tenant, payload in events])

    def jobs(self, task: str) -> list[dict[str, str]]:
        """Return the arguments of the jobs of a task that can run; deliveries that share a job one by one."""
        query = """
            select one from procrastinate.procrastinate_jobs, lateral (
              select args - 'more' as one union all select m from jsonb_array_elements(args -> 'more') m) as told
            where status = 'todo' and task_name = %s order by id"""
        return [args for (args,) in self.rows(query, task)]

    def used(self, tenant: Tenant) -> int:
        """Return a tenant's usage of all hours."""
        query = "select coalesce(sum(events), 0)::int from signalops.usage_counters where meter = 'events' and tenant_id = %s"
        return int(self.rows(query, tenant.id)[0][0])


@pytest.fixture
def pipeline(api_pool: db.Pool, handlers: JobHandlers, owner: psycopg.Connection) -> Pipeline:
    return Pipeline(api_pool, handlers, owner)
