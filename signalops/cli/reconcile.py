"""signalops usage reconcile: checks every figure of usage and invoices against its events."""

from datetime import date
from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import show_json, show_rows
from signalops.errors import Unusable
from signalops.tenants.tenant_queries import every_tenant
from signalops.usage.reconciliation.reconcile import audit as run
from signalops.usage.reconciliation.reconciliation_models import Report

_MAX_SHOWN = 200
"""Differences that are printed; --json has all."""


def register(app: typer.Typer) -> None:
    """Add the command to the group `usage`."""
    app.command(epilog="Example: signalops usage reconcile --tenant acme --period 2026-11")(reconcile)


def reconcile(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="The tenant's slug; default: all.")] = None,
    period: Annotated[str | None, typer.Option(help="A billing period, such as 2026-11; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check every figure of usage against the events it is made of; exits with 1 when one differs."""
    month = None if period is None else _month(period)

    async def auditing(connection: db.Connection) -> Report:
        tenants = dict(await every_tenant(connection))
        if tenant is not None and tenant not in tenants.values():
            raise Unusable(f"There is no tenant {tenant!r}: see `signalops tenant list`.")
        chosen = {known: slug for known, slug in tenants.items() if tenant in (None, slug)}
        return await run(connection, chosen, month, is_whole=tenant is None and month is None)

    report = as_owner(auditing)
    if as_json:
        show_json(report.model_dump())
    else:
        _show(report)
    raise typer.Exit(1 if report.differences else 0)


def _show(report: Report) -> None:
    checked = ", ".join(f"{count} {name}" for name, count in report.checked.model_dump().items())
    typer.echo(f"Checked: {checked}.")
    if not report.differences:
        typer.echo("Every figure is proven.")
        return
    typer.echo(f"{len(report.differences)} differences:")
    rows = [difference.model_dump() for difference in report.differences[:_MAX_SHOWN]]
    show_rows(rows, ("tenant", "period", "check", "subject", "expected", "found"), as_json=False)
    if len(report.differences) > _MAX_SHOWN:
        typer.echo(f"... and {len(report.differences) - _MAX_SHOWN} more: see --json.")


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Unusable(f"{text!r} is no billing period: write it like 2026-11.") from None
