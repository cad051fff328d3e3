"""The SQL queries of tenants, as the owner or for an operator."""

from typing import Any

from signalops import db
from signalops.tenants.tenant_models import id_in
from signalops.types import FoundTenant, TenantId, TenantStatus

SQL = db.queries("tenants")


async def add_tenant(connection: db.Connection, **fields: Any) -> None:
    """Make a tenant; the fields are id, slug and name, and time_zone when it is not UTC. Conflict: the slug is taken."""
    await connection.execute(SQL["add-tenant"], {"time_zone": "UTC", **fields})


async def find_tenant(connection: db.Connection, slug_or_id: str) -> FoundTenant | None:
    """Return the tenant of an id or a slug."""
    fields = {"id": id_in(slug_or_id), "slug": slug_or_id.replace("\0", "")}
    return await db.record(connection, FoundTenant, SQL["find-tenant"], fields)


async def lock_tenant(connection: db.Connection, tenant: TenantId) -> TenantStatus | None:
    """Return a tenant's status, which stays as it is until the end of the transaction; None when it is gone."""
    found: TenantStatus | None = await db.value(connection, SQL["lock-tenant"], {"id": tenant})
    return found


async def read_tenant(connection: db.Connection, tenant: TenantId) -> db.Row:
    """Return a tenant with the fields of TenantSummary."""
    return await db.the_row(connection, SQL["read-tenant"], {"id": tenant})


async def every_tenant(connection: db.Connection) -> list[tuple[TenantId, str]]:
    """Return id and slug of every tenant, by slug; as the owner."""
    return await db.tuples(connection, SQL["every-tenant"])


async def list_tenants(connection: db.Connection, **filters: Any) -> list[db.Row]:
    """Return tenants with the fields of TenantSummary; filters: status (None: any), the window of a page and upwards."""
    return await db.rows(connection, SQL["list-tenants"], filters)


async def change_tenant(connection: db.Connection, tenant: TenantId, changes: db.Row) -> None:
    """Set columns of a tenant: name, time_zone, rate_per_second, rate_burst, retention_days. Conflict: its time zone is fixed."""
    await connection.execute(SQL["change-tenant"], {"id": tenant, "changes": db.Jsonb(changes)})


async def move_tenant(connection: db.Connection, tenant: TenantId, status: TenantStatus, reason: str | None) -> None:
    """Set a tenant's status, and the reason."""
    await connection.execute(SQL["move-tenant"], {"id": tenant, "status": status, "reason": reason})


async def accepted_events(connection: db.Connection, tenant: TenantId) -> db.Row:
    """Return the present period of a tenant, and how many events were accepted in it."""
    return await db.the_row(connection, SQL["accepted-events"], {"id": tenant})
