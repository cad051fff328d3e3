"""The SQL queries of the inbox and of the jobs that process it."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

import orjson

from signalops import db
from signalops.contracts import BatchEvent, DeadEvent, GroupRow, MatchRow, MeteredRow, PartRow
from signalops.types import BatchId, TenantId

SQL = db.queries("inbox/inbox")


class Part(NamedTuple):
    """One tenant's events of a batch, with the versions of its rules and meters.

    closed_until: end of the last closed billing period; None: none is closed. size: of the events, in characters of JSON.
    """

    tenant: TenantId
    ruleset_version: int
    events: list[db.Row]
    meters_version: int = 0
    time_zone: str = "UTC"
    closed_until: datetime | None = None
    size: int = 0


@dataclass(slots=True)
class Results:
    """What was decided about a batch, as signalops.record_batch takes it."""

    parts: list[PartRow] = field(default_factory=list)
    matches: list[MatchRow] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    dead: list[DeadEvent] = field(default_factory=list)
    metered: list[MeteredRow] = field(default_factory=list)
    rows: int = 0
    """How many rows are written: for each match one, for five distinct values as well."""

    def add(self, more: "Results") -> None:
        """Add what was decided about further events."""
        self.parts += more.parts
        self.matches += more.matches
        self.groups += more.groups
        self.dead += more.dead
        self.metered += more.metered
        self.rows += more.rows


async def read_batch(connection: db.Connection, batch: BatchId, job: int, at_most: int) -> list[Part]:
    """Take a batch out of the inbox, for this transaction to process, and end its job; empty when another worker did.

    With it come batches whose jobs wait, if all have `at_most` events together.
    """
    rows = await db.tuples(connection, SQL["read-batch"], {"batch": batch, "job": job, "at_most": at_most}, prepare=True)
    return [
        Part(TenantId(tenant), ruleset_version, orjson.loads(events), meters_version, zone, closed, len(events))
        for tenant, ruleset_version, events, meters_version, zone, closed in rows
    ]


async def record_batch(connection: db.Connection, job: int, worker: str, results: Results) -> None:
    """Record matches, deliveries with their jobs, dead events, and usage."""
    parameters = {"job": job, "worker": worker, "results": orjson.dumps(results).decode()}
    await connection.execute(SQL["record-batch"], parameters, prepare=True)


async def wait_briefly(connection: db.Connection) -> None:
    """Have this transaction give up on a lock soon: several tenants are tried in it, one after the other."""
    await connection.execute(SQL["wait-briefly"])


async def requeue_events(
    connection: db.Connection, part: Part, seconds: float, priority: int = 0, batch: BatchId | None = None
) -> None:
    """Leave a part in the inbox, for jobs of its own after some seconds; in a new batch if one is given."""
    events: list[BatchEvent] = [
        {"id": event["id"], "batch": str(batch or event["batch"]), "replay": event["replay"]} for event in part.events
    ]
    written = orjson.dumps(events).decode()
    fields = {"tenant": part.tenant, "events": written, "seconds": seconds, "priority": priority}
    await connection.execute(SQL["requeue-events"], fields)


async def park_events(connection: db.Connection, at_most: int) -> int:
    """Park the due digests and absences of suspended tenants; return the larger of both counts."""
    return int(await db.value(connection, SQL["park-events"], {"at_most": at_most}) or 0)


async def resume(connection: db.Connection, at_most: int) -> bool:
    """Unpark some of a resumed tenant's work; return whether there may be more."""
    return bool(await db.value(connection, SQL["resume"], {"at_most": at_most}))


async def enqueue_due(connection: db.Connection, at_most: int) -> int:
    """Give a job to deliveries whose next attempt is due; return how many."""
    return int(await db.value(connection, SQL["enqueue-due"], {"at_most": at_most}) or 0)


async def enqueue_lost(connection: db.Connection, at_most: int) -> tuple[int, int]:
    """Give a new job to batches and deliveries that have none any more; return how many of each."""
    first, second = await db.the_tuple(connection, SQL["enqueue-lost"], {"at_most": at_most})
    return first, second


async def fire_due(connection: db.Connection, at_most: int) -> tuple[int, int]:
    """Send the digests and the absences that are due; return the number of each."""
    first, second = await db.the_tuple(connection, SQL["fire-due"], {"at_most": at_most})
    return first, second


async def tidy(connection: db.Connection, at_most: int) -> tuple[int, int]:
    """Delete expired rule state, and repair channel schedules; return how many of each."""
    first, second = await db.the_tuple(connection, SQL["tidy"], {"at_most": at_most})
    return first, second


async def limit_cardinality(connection: db.Connection) -> list[tuple[TenantId, date]]:
    """Limit tenants with too many groups and distinct values; return each tenant with the month."""
    rows = await db.tuples(connection, SQL["limit-cardinality"])
    return [(TenantId(tenant), period) for tenant, period in rows]


async def make_partitions(connection: db.Connection) -> list[str]:
    """Make the partitions of this month and the next three; return the new ones."""
    return await db.values(connection, SQL["make-partitions"])
