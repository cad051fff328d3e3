"""The endpoint of usage."""

from signalops import db
from signalops.endpoint import endpoint
from signalops.errors import NotFound
from signalops.terms import Caller
from signalops.usage.model import Usage, UsageQuery
from signalops.usage.read import usage


@endpoint(
    "GET /api/usage",
    "getUsage",
    "Show what a meter counted, by hour, day or month",
    "usage:read",
    problems=(NotFound,),
)
async def get_usage(connection: db.Connection, caller: Caller, query: UsageQuery) -> Usage:
    """Show what a meter counted, by the time at which events happened; of a month's events also what was accepted."""
    return await usage(connection, caller.tenant, query)
