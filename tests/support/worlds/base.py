"""What all of these have in common: events stored as an API process stores them, and questions to the database."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from signalops import clock, db
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, Incoming, incoming
from signalops.types import BatchId
from tests.support.tenants import Tenant

Row = dict[str, Any]


class World:
    """A superuser's view of the test's database."""

    def __init__(self, owner: psycopg.Connection) -> None:
        self.owner = owner

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.owner.execute(query.encode(), parameters).fetchall()

    def dicts(self, query: str, *parameters: object) -> list[Row]:
        """Return the rows of a query by the names of their columns."""
        with self.owner.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    def number_of(self, query: str) -> int:
        """Return how many rows a query has."""
        return len(self.rows(query))


async def accept(api: db.Pool, events: Iterable[Incoming]) -> BatchId:
    """Store events in one flush, as an API process does; return the flush's batch."""
    return (await accept_placed(api, events))[0]


async def accept_placed(api: db.Pool, events: Iterable[Incoming]) -> tuple[BatchId, list[UUID]]:
    """Store events in one flush, as an API process does; return the flush's batch, and the ids that were given."""
    batch, flush = BatchId(clock.new_id()), list(events)
    async with api.connection() as connection:
        rows = await event_queries.accept(connection, flush, batch, 0)
    (place,) = (meter for _, verdict, _, meter, _, _ in rows if verdict == "placed")
    return batch, [clock.placed(event.id, place) for event in flush]


def event_of(tenant: Tenant, payload: Row, kind: str = "order.paid", **fields: object) -> Incoming:
    """Return an event of a tenant as the API takes it in."""
    return incoming(tenant.id, EventIn(type=kind, payload=payload).model_copy(update=fields))
