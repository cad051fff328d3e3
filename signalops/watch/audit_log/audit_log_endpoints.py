"""The endpoints of the audit log: a tenant reads its own, an operator reads all."""

from typing import Any
from uuid import UUID

from signalops import db
from signalops.endpoint import endpoint, for_operators
from signalops.errors import NotFound
from signalops.http import Response
from signalops.types import Caller, Operator
from signalops.watch.audit_log.audit_log_models import ActionList, ActionShown, ActionsPage, PlatformAction, PlatformActionList

SQL = db.queries("watch/audit_log")
_ANY = {
    "tenant": None,
    "id": None,
    "actor": None,
    "action": None,
    "target": None,
    "lower": UUID(int=0),
    "upper": UUID(int=2**128 - 1),
    "upwards": False,
}


async def read_actions(connection: db.Connection, limit: int, **filters: Any) -> list[db.Row]:
    """Return the newest actions; filters: tenant, id, actor, action (how it begins), target (its id); a page's bounds."""
    return await db.rows(connection, SQL["list-actions"], {**_ANY, "limit": limit, **filters})


@for_operators(
    "/api/tenants/{tenant}/audit-log", "listTenantActions", "List what was done to what a tenant manages, newest first"
)
@endpoint(
    "GET /api/audit-log",
    "listActions",
    "List what was done to what is managed, newest first",
    "audit:read",
    answers={200: ActionList},
)
async def list_actions(connection: db.Connection, caller: Caller, query: ActionsPage) -> Response:
    """List the actions on what a tenant manages, newest first, whoever did them."""
    filters = query.filters(await db.settled(connection))
    return query.listed(await read_actions(connection, tenant=caller.tenant, **filters), ActionShown.of)


@endpoint("GET /api/audit-log/{id}", "getAction", "Show what was done, and what it changed", "audit:read")
async def get_action(connection: db.Connection, caller: Caller, action: UUID) -> ActionShown:
    """Show one action."""
    rows = await read_actions(connection, 1, tenant=caller.tenant, id=action)
    if not rows:
        raise NotFound("There is no such action: check the id.")
    return ActionShown.of(rows[0])


@endpoint(
    "GET /api/platform/audit-log",
    "listAllActions",
    "List what was done in the whole installation, newest first",
    "tenants:read",
    answers={200: PlatformActionList},
)
async def list_all_actions(connection: db.Connection, operator: Operator, query: ActionsPage) -> Response:
    """List what was done in the whole installation, newest first; on connections of operators."""
    return query.listed(await read_actions(connection, **query.filters(await db.settled(connection))), PlatformAction.of)
