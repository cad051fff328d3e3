"""Reads usage, for the API and the command line alike."""

from datetime import date

from signalops import db
from signalops.terms import TenantId
from signalops.usage import store
from signalops.usage.model import Usage


async def usage(connection: db.Connection, tenant: TenantId, period: date) -> Usage:
    """Return the usage of the month that begins with `period`; in a transaction of the tenant."""
    row = await store.usage_of_month(connection, tenant, period)
    return Usage(
        period=f"{period:%Y-%m}",
        accepted=row["accepted"],
        processed=row["processed"],
        softLimit=row["soft_limit"],
        hardLimit=row["hard_limit"],
        days=row["days"],
    )
