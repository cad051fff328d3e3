"""The SQL queries of observability and maintenance."""

from datetime import datetime
from typing import Any, NamedTuple

from signalops import db
from signalops.types import EventId, TenantId

SQL = db.queries("watch/watch")


async def event(connection: db.Connection, tenant: TenantId, event: EventId) -> db.Row | None:
    """Return one event with its status and its processing, or None."""
    return await db.row(connection, SQL["event"], {"tenant": tenant, "event": event})


async def matches(connection: db.Connection, tenant: TenantId, event: EventId) -> list[db.Row]:
    """Return id, name and version of the rules that matched an event."""
    return await db.rows(connection, SQL["matches-of-event"], {"tenant": tenant, "event": event})


async def deliveries(connection: db.Connection, tenant: TenantId, event: EventId) -> list[db.Row]:
    """Return an event's deliveries, each with its attempts."""
    return await db.rows(connection, SQL["deliveries-of-event"], {"tenant": tenant, "event": event})


async def ready(connection: db.Connection) -> None:
    """Return when the database answers."""
    await connection.execute(SQL["ready"])


class TenantRef(NamedTuple):
    """A tenant by id and slug."""

    id: TenantId
    slug: str


async def tenant_of(connection: db.Connection, event: EventId) -> TenantRef | None:
    """Return whose event an id is, or None; as the owner."""
    return await db.record(connection, TenantRef, SQL["tenant-of-event"], {"event": event})


async def newest_event(connection: db.Connection) -> EventId | None:
    """Return the id of the event that was stored last, of any tenant; as the owner."""
    found = await db.value(connection, SQL["newest-event"])
    return None if found is None else EventId(found)


async def examine(connection: db.Connection, query: str) -> tuple[bool, str]:
    """Run a check of doctor.sql; return whether all is well, and what was found."""
    first, second = await db.the_tuple(connection, db.queries("watch/doctor")[query])
    return first, second


async def login(connection: db.Connection) -> tuple[bool, str, str, bool]:
    """Return whether row-level security applies to a connection's login, its role, its name, and whether jit is on."""
    forced, role, name, has_jit = await db.the_tuple(connection, db.queries("watch/doctor")["login"])
    return forced, role, name, has_jit


async def names(connection: db.Connection, query: str) -> list[Any]:
    """Run a check of doctor.sql that returns one array of what it found."""
    return list(await db.value(connection, db.queries("watch/doctor")[query]) or ())


async def room(connection: db.Connection) -> tuple[int, int]:
    """Return how many connections are admitted, and how many workers live."""
    first, second = await db.the_tuple(connection, db.queries("watch/doctor")["connections"])
    return first, second


async def zones(connection: db.Connection) -> list[tuple[str, list[datetime], list[datetime]]]:
    """Return the tenants' zones, each with moments and what the server's clocks show there at each."""
    rows = await db.tuples(connection, db.queries("watch/doctor")["zones"])
    return [(zone, moments, local) for zone, moments, local in rows]


async def notify(connection: db.Connection, channel: str) -> None:
    """Send an empty notification."""
    await connection.execute(db.queries("watch/doctor")["notify"], [channel])


def tls_address(connection: db.Connection) -> tuple[str, int] | None:
    """Return host and port of a connection that is encrypted."""
    return (connection.info.host, connection.info.port) if connection.pgconn.ssl_in_use else None


async def has_tenant(connection: db.Connection, slug: str) -> bool:
    """Return whether there is an active tenant of that slug."""
    return bool(await db.value(connection, db.queries("watch/doctor")["active-tenant"], [slug]))
