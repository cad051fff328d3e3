"""What the audit log is asked: one named query each. db.Row-level security tells whose actions are seen."""

from typing import Any
from uuid import UUID

from signalops import db

SQL = db.queries("watch/actions")
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


async def list_actions(connection: db.Connection, limit: int, **wanted: Any) -> list[db.Row]:
    """Return the newest actions; wanted: tenant, id, actor, action (how it begins), target (its id); a page's bounds."""
    return await db.rows(connection, SQL["list-actions"], {**_ANY, "limit": limit, **wanted})
