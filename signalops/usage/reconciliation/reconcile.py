"""Runs a whole reconciliation."""

from collections.abc import Mapping
from datetime import date

from signalops import db
from signalops.types import TenantId
from signalops.usage.reconciliation import reconciliation_queries
from signalops.usage.reconciliation.reconciliation_models import Checked, Difference, Report
from signalops.usage.reconciliation.recount import Recount
from signalops.usage.reconciliation.reprice import mispriced


async def audit(
    connection: db.Connection, tenants: Mapping[TenantId, str], period: date | None = None, is_whole: bool = False
) -> Report:
    """Audit tenants (by id, with their slugs), one after another, as the owner; `is_whole`: the operator's numbers as well.

    Each is a transaction that sees one state: a long one over all would keep the dead rows of busy tables.
    """
    report = Report(checked=Checked(tenants=len(tenants)), differences=[])
    for tenant, slug in tenants.items():
        await reconciliation_queries.begin(connection)
        await _audit_one(connection, await reconciliation_queries.audited(connection, tenant, slug, period), report)
    if is_whole:
        await reconciliation_queries.begin(connection)
        report.differences += [Difference.of(None, row) for row in await reconciliation_queries.number_gaps(connection)]
    return report


async def _audit_one(connection: db.Connection, what: reconciliation_queries.Audited, report: Report) -> None:
    report.checked.add(await reconciliation_queries.counts(connection, what))
    report.differences += [Difference.of(what.slug, row) for row in await reconciliation_queries.differences(connection, what)]
    report.differences += [difference async for difference in mispriced(connection, what)]
    counted = (
        await reconciliation_queries.all_meters(connection, what.tenant),
        await reconciliation_queries.limited_months(connection, what.tenant),
    )
    recount = Recount(connection, what, *counted)
    report.differences += [difference async for difference in recount.differences()]
    report.checked.recounted += recount.recounted
