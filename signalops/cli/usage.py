"""signalops usage: show, adjust and reconcile usage."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli import reconcile
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.output import lines_of, show_json, show_rows
from signalops.cli.rule_args import read_object
from signalops.config import settings
from signalops.http import validated
from signalops.types import JsonObject, TenantId
from signalops.usage.adjustments.adjust import RequestOrigin
from signalops.usage.adjustments.adjust import adjust as correct
from signalops.usage.adjustments.adjustment_models import AdjustmentIn
from signalops.usage.usage_models import Usage, UsageQuery
from signalops.usage.usage_report import usage as read_usage

app = typer.Typer(no_args_is_help=True)
reconcile.register(app)


@app.command(epilog="Example: signalops usage show --tenant acme --period 2026-11")
def show(
    tenant: TenantSlug,
    period: Annotated[
        str | None, typer.Option(help="Calendar month in the tenant's time zone, such as 2026-11; default: this one.")
    ] = None,
    meter: Annotated[str, typer.Option(help="The meter's key; events: the number of events.")] = "events",
    since: Annotated[str | None, typer.Option("--from", help="Instead of a month: from this day or hour (RFC 3339) on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this day or hour.")] = None,
    window: Annotated[str, typer.Option(help="Split by hour, day or month; or none.")] = "day",
    by_group: Annotated[bool, typer.Option("--by-group", help="Split by the meter's groups as well.")] = False,
    group: Annotated[str | None, typer.Option(help="Only this group (JSON), or @FILE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a meter of a tenant counted, by the time at which events happened."""
    query_values = {"meter": meter, "period": period, "from": since, "to": until, "window": window, "groupBy": by_group}
    query = validated(UsageQuery, query_values | ({"group": read_object(group)} if group else {}))

    async def read(connection: db.Connection, tenant_id: TenantId) -> Usage:
        return await read_usage(connection, tenant_id, query)

    found = for_tenant(tenant, read).model_dump(mode="json", by_alias=True)
    if as_json:
        show_json(found)
        return
    windows = found.pop("windows")
    typer.echo("\n".join(lines_of({name: value for name, value in found.items() if value is not None})) + "\n")
    grouped = ["group"] if by_group else []
    show_rows(windows, ["start", "end", *grouped, "quantity", "events"], as_json=False)


@app.command(epilog="Example: signalops usage adjust --tenant acme --quantity -3 --reason 'sent twice' --author ann@example.com")
def adjust(
    tenant: TenantSlug,
    quantity: Annotated[str, typer.Option(help="What is added, in the meter's unit; negative: taken off.")],
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    author: Annotated[str, typer.Option(help="The person responsible.")],
    meter: Annotated[str, typer.Option(help="The meter's key; events: the number of events.")] = "events",
    at: Annotated[str | None, typer.Option(help="The hour that is corrected (RFC 3339); default: this one.")] = None,
    group: Annotated[
        str | None, typer.Option(help="The group that is corrected (JSON), or @FILE; default: none in particular.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A second adjustment with this key corrects nothing more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Correct the usage of an hour; the period that is open bills it when its own is closed."""
    fields: JsonObject = {"quantity": quantity, "meter": meter, "at": at, "reason": reason, "author": author}
    request = validated(AdjustmentIn, fields | ({"group": read_object(group)} if group else {}))
    sent = RequestOrigin(idempotency_key=idempotency_key)

    async def correcting(connection: db.Connection, tenant_id: TenantId) -> JsonObject:
        adjustment, is_new = await correct(connection, tenant_id, request, sent, settings().backfill_days)
        return {"isNew": is_new, **adjustment.model_dump(mode="json")}

    done = for_tenant(tenant, correcting)
    if as_json:
        show_json(done)
        return
    was = "is adjusted" if done["isNew"] else "was adjusted before"
    late = ", late" if done["late"] else ""
    typer.echo(f"{meter} of {tenant} {was} by {done['quantity']}; {done['period']} bills it{late}: {done['id']}")
