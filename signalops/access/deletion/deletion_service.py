"""Requests and shows deletions, for HTTP and the command line."""

from signalops import db
from signalops.access.deletion import deletion_queries
from signalops.access.deletion.deletion_models import DeletionShown
from signalops.errors import Conflict, Invalid, NotFound

_UNKNOWN = "There is no such tenant: check the id or the slug."


async def begin(connection: db.Connection, slug_or_id: str, confirmed: str) -> DeletionShown:
    """Begin to delete a closed tenant, or find that this is going on; the workers do it.

    NotFound: there is no such tenant. Invalid: what was confirmed is not its slug. Conflict: it is not closed.
    """
    verdict = await deletion_queries.begin(connection, slug_or_id, confirmed)
    if verdict is None:
        raise NotFound(_UNKNOWN)
    if verdict == "unconfirmed":
        raise Invalid.at("confirm", "must be the slug of the tenant that is to be deleted")
    if verdict != "deleting":
        raise Conflict(f"The tenant is {verdict}: close it first; only what is closed can be deleted.")
    return await show(connection, slug_or_id)


async def show(connection: db.Connection, slug_or_id: str) -> DeletionShown:
    """Return the deletion of a tenant, named by the id or the slug that it had; NotFound: it was not asked for."""
    row = await deletion_queries.find(connection, slug_or_id)
    if row is None:
        raise NotFound("No deletion of such a tenant was asked for: check the id or the slug.")
    return DeletionShown.of(row)
