"""Finds and locks the tenant of a path or a command, and changes its status."""

from collections.abc import Awaitable, Callable

from signalops import db, telemetry
from signalops.endpoint import Lock
from signalops.errors import Conflict, NotFound
from signalops.tenants import tenant_queries
from signalops.types import FoundTenant, TenantStatus

_FROM: dict[TenantStatus, set[TenantStatus]] = {
    "suspended": {"active"},
    "active": {"suspended"},
    "closed": {"active", "suspended"},
}


async def find(connection: db.Connection, slug_or_id: str) -> FoundTenant:
    """Return the tenant of an id or a slug, with the transaction acting for it; NotFound."""
    found = await tenant_queries.find_tenant(connection, slug_or_id)
    if found is None:
        raise _unknown()
    await db.set_tenant(connection, found.id)
    return found


async def lock_tenant(connection: db.Connection, slug_or_id: str) -> FoundTenant:
    """Find a tenant to change something of it: of two who do, the second waits. Conflict while it is deleted."""
    found = await find(connection, slug_or_id)
    # By itself, after the look-up: who has waited must see what the other has made of it.
    status = await tenant_queries.lock_tenant(connection, found.id)
    if status is None:
        raise _unknown()
    if status == "deleting":
        raise Conflict("The tenant is being deleted: nothing of it can be changed.")
    return found._replace(status=status)


async def lock_open_tenant(connection: db.Connection, slug_or_id: str) -> FoundTenant:
    """Find a tenant to give it something new; Conflict also when it is closed."""
    locked = await lock_tenant(connection, slug_or_id)
    if locked.status == "closed":
        raise Conflict("The tenant is closed permanently: make another tenant.")
    return locked


FIND: dict[Lock, Callable[[db.Connection, str], Awaitable[FoundTenant]]] = {
    "none": find,
    "tenant": lock_tenant,
    "open tenant": lock_open_tenant,
}
"""By what is locked of the tenant that an operator's request or command names."""


async def move(connection: db.Connection, locked: FoundTenant, status: TenantStatus, reason: str | None = None) -> None:
    """Change the status of a locked tenant; Conflict when the transition is not allowed."""
    if locked.status not in _FROM[status]:
        possible = " or ".join(sorted(_FROM[status]))
        already = " already" if locked.status == status else ""
        raise Conflict(f"The tenant is {locked.status}{already}: a tenant becomes {status} from {possible}.")
    await tenant_queries.move_tenant(connection, locked.id, status, reason)
    telemetry.emit("tenant.status_changed", tenant=locked.id, status=status, reason=reason)


def _unknown() -> NotFound:
    return NotFound("There is no such tenant: check its id or slug.")
