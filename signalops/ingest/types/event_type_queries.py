"""The SQL queries of event types."""

import orjson

from signalops import db
from signalops.contracts import SeenType
from signalops.types import TenantId

SQL = db.queries("ingest/types")


async def record_event_types(connection: db.Connection, seen: list[SeenType]) -> None:
    """Add to the catalogue: tenant, type, first and last (ids of events), count, fields, cut and example of each type."""
    await connection.execute(SQL["record-event-types"], {"seen": orjson.dumps(seen).decode()})


async def list_types(connection: db.Connection, tenant: TenantId, after: str, limit: int) -> list[db.Row]:
    """Return a page of a tenant's catalogue, by type."""
    return await db.rows(connection, SQL["list-types"], {"tenant": tenant, "after": after, "limit": limit})


async def find_type(connection: db.Connection, tenant: TenantId, event_type: str) -> db.Row | None:
    """Return one type of a tenant's catalogue, or None."""
    return await db.row(connection, SQL["find-type"], {"tenant": tenant, "type": event_type})


async def list_schemas(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return type, mode and schema of each schema of a tenant."""
    return await db.rows(connection, SQL["list-schemas"], {"tenant": tenant})


async def find_schema(connection: db.Connection, tenant: TenantId, event_type: str) -> db.Row | None:
    """Return the schema of a type, or None."""
    return await db.row(connection, SQL["find-schema"], {"tenant": tenant, "type": event_type})


async def other_schemas(connection: db.Connection, tenant: TenantId, event_type: str) -> tuple[int, int]:
    """Return how many schemas a tenant has for other types, and their bytes."""
    parameters = {"tenant": tenant, "type": event_type}
    first, second = await db.the_tuple(connection, SQL["other-schemas"], parameters)
    return first, second


async def put_schema(connection: db.Connection, tenant: TenantId, event_type: str, mode: str, schema: db.Row) -> db.Row | None:
    """Write the schema of a type; return it."""
    return await db.row(
        connection,
        SQL["put-schema"],
        {"tenant": tenant, "type": event_type, "mode": mode, "schema": db.Json(schema, orjson.dumps)},
    )


async def delete_schema(connection: db.Connection, tenant: TenantId, event_type: str) -> db.Row | None:
    """Remove the schema of a type; return what it was, or None."""
    return await db.row(connection, SQL["delete-schema"], {"tenant": tenant, "type": event_type})
