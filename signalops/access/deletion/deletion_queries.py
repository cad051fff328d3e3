"""The SQL queries of tenant deletion."""

from signalops import db
from signalops.types import TenantId

SQL = db.queries("access/deletion")


async def begin(connection: db.Connection, slug_or_id: str, confirmed: str) -> str | None:
    """Begin to delete a tenant, named by id or slug; return the verdict of signalops.begin_deletion, None: there is none."""
    found = await db.row(connection, SQL["begin-deletion"], _texts(slug_or_id=slug_or_id, confirmed=confirmed))
    return found["verdict"] if found else None


async def find(connection: db.Connection, slug_or_id: str) -> db.Row | None:
    """Return the newest deletion of what has or had an id or a slug."""
    return await db.row(connection, SQL["find-deletion"], _texts(slug_or_id=slug_or_id))


async def delete_slice(connection: db.Connection, tenant: TenantId, at_most: int) -> int:
    """Delete up to about `at_most` rows of a tenant; return how many."""
    return int(await db.value(connection, SQL["delete-slice"], {"tenant": tenant, "at_most": at_most}) or 0)


async def running_transactions(connection: db.Connection) -> set[str]:
    """Return the transactions of this database that run now."""
    return set(await db.value(connection, SQL["running-transactions"]) or ())


async def finish(connection: db.Connection, tenant: TenantId) -> int | None:
    """Delete the tenant itself when no rows of it are left; return the total of deleted rows, or None if some are left."""
    found: int | None = await db.value(connection, SQL["finish-deletion"], {"tenant": tenant})
    return found


async def enqueue_unfinished(connection: db.Connection) -> None:
    """Give a job to deletions that have none."""
    await connection.execute(SQL["enqueue-deletions"])


def _texts(**values: str) -> dict[str, str]:
    """Return what PostgreSQL takes as text; nothing is called by a name with a NUL."""
    return {name: value.replace("\0", "") for name, value in values.items()}
