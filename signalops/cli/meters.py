"""signalops meter: what of a tenant's events is counted, besides their number."""

from typing import Annotated, Any

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.cli.drafts import read_object
from signalops.config import settings
from signalops.terms import TenantId
from signalops.usage.meters import manage, store
from signalops.usage.meters.model import MeterIn, MeterShown

app = typer.Typer(no_args_is_help=True, help="Count something of events, besides their number.")
Key = Annotated[str, typer.Argument(help="The meter's key, such as api_calls.")]


@app.command(
    epilog="""Example: signalops meter add --tenant acme traffic --pattern '{"type": ["file.sent"]}' """
    "--aggregation sum --field payload.gigabytes --unit GB --group-by payload.region"
)
def add(
    tenant: TenantSlug,
    key: Key,
    pattern: Annotated[str, typer.Option(help="Which events: an event pattern (JSON), or @FILE.")],
    name: Annotated[str | None, typer.Option(help="The name for people; default: the key.")] = None,
    aggregation: Annotated[str, typer.Option(help="count, sum, max, min, avg, latest or unique_count.")] = "count",
    field: Annotated[str | None, typer.Option(help="Of which field, such as payload.bytes; none for count.")] = None,
    group_by: Annotated[list[str] | None, typer.Option(help="Apart for each value of a field; up to 5 times.")] = None,
    unit: Annotated[str | None, typer.Option(help="What it counts in, such as GB.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a meter: it counts from the next batch of events on, and can be ended, not changed."""
    said = {"key": key, "name": name or key, "aggregation": aggregation, "field": field, "unit": unit}
    new = MeterIn.model_validate(said | {"pattern": read_object(pattern), "groupBy": group_by or []})
    most = settings().max_meters
    meter, is_new = for_tenant(tenant, lambda connection, tenant_id: manage.add(connection, tenant_id, new, most))
    if as_json:
        show_json(meter.model_dump(mode="json"))
    else:
        typer.echo(f"Meter {key} counts from now on." if is_new else f"Meter {key} counts already.")


@app.command("list", epilog="Example: signalops meter list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's meters, also those that have ended."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        rows = await store.list_meters(connection, tenant_id)
        return [MeterShown.model_validate(row).model_dump(mode="json") for row in rows]

    columns = ("key", "name", "aggregation", "field", "pattern", "groupBy", "unit", "origin", "createdAt", "endedAt")
    show_rows(for_tenant(tenant, listing), columns, as_json)


@app.command(epilog="Example: signalops meter end --tenant acme traffic")
def end(tenant: TenantSlug, key: Key) -> None:
    """Have a meter count no more; what it has counted stays."""
    for_tenant(tenant, lambda connection, tenant_id: manage.end(connection, tenant_id, key))
    typer.echo(f"Meter {key} counts no more.")
