"""Batches as the API stores them, and the bodies of the jobs as a worker has them."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.ingest import store
from signalops.ingest.model import EventIn, incoming
from signalops.journey import Journey
from signalops.send import Sender
from signalops.terms import BatchId
from tests.people import Tenant


class World:
    """What the tests of this station do and look at."""

    def __init__(self, api: db.Pool, journey: Journey, owner: psycopg.Connection) -> None:
        self.api = api
        self.journey = journey
        self.owner = owner

    async def accept(self, *events: tuple[Tenant, dict[str, Any]]) -> BatchId:
        """Store events of one type with these payloads in one flush; return its batch."""
        batch = BatchId(clock.new_id())
        rows = [incoming(t.id, EventIn(type="user.signup", payload=payload)) for t, payload in events]
        async with self.api.connection() as connection:
            await store.accept(connection, rows, batch, 0)
        return batch

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query answers."""
        return self.owner.execute(query.encode(), parameters).fetchall()

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
async def world(
    api_pool: db.Pool, worker_pool: db.Pool, settings: Settings, owner: psycopg.Connection
) -> AsyncIterator[World]:
    sender = Sender(worker_pool, settings)
    yield World(api_pool, Journey(worker_pool, sender), owner)
    await sender.close()
