"""signalops meter: the meters that count a tenant's events."""

from typing import Annotated

import typer

from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_json
from signalops.cli.rule_args import read_object
from signalops.config import settings
from signalops.http import validated
from signalops.usage.meters import meter_service
from signalops.usage.meters.meter_endpoints import Meters
from signalops.usage.meters.meter_models import MeterIn

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "meter", lambda: Meters(settings().max_meters))
commands.add(Meters.list_meters, "list", columns="key name aggregation field pattern endedAt", example="--ended")
commands.add(Meters.get_meter, "show", example="traffic")
commands.add(Meters.end_meter, "end", done="Meter {key} counts no more.", example="traffic")
Key = Annotated[str, typer.Argument(help="The meter's key, such as api_calls.")]


@app.command(
    epilog="""Example: signalops meter create --tenant acme traffic --pattern '{"type": ["file.sent"]}' """
    "--aggregation sum --field payload.gigabytes --unit GB --group-by payload.region"
)
def create(
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
    content = {"key": key, "name": name or key, "aggregation": aggregation, "field": field, "unit": unit}
    new = validated(MeterIn, content | {"pattern": read_object(pattern), "groupBy": group_by or []})
    most = settings().max_meters
    meter, is_new = for_tenant(tenant, lambda connection, tenant_id: meter_service.add(connection, tenant_id, new, most))
    if as_json:
        show_json(meter.model_dump(mode="json"))
    else:
        typer.echo(f"Meter {key} counts from now on." if is_new else f"Meter {key} counts already.")
