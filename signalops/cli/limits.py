"""signalops limit: the monthly limits of a tenant's meters."""

from typing import Annotated

import typer

from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_done, show_json
from signalops.errors import Invalid
from signalops.http import validated
from signalops.usage.limits import limit_endpoints, limit_service
from signalops.usage.meters.meter_models import DEFAULT
from signalops.usage.plans.plan_models import LimitTerms

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "limit")
commands.add(limit_endpoints.list_limits, "list", columns="meter origin soft hard accepted percent")
Meter = Annotated[str, typer.Option(help="The key of a meter that counts or sums; events: all events.")]


@app.command(
    "set",
    epilog="Example: signalops limit set --tenant acme --meter events --soft 100000 --hard 120000 "
    "--thresholds 50,80,100 --overage refuse",
)
def set_(
    tenant: TenantSlug,
    meter: Meter = DEFAULT,
    soft: Annotated[str | None, typer.Option(help="The amount at which a notice is emitted.")] = None,
    hard: Annotated[str | None, typer.Option(help="The amount beyond which events are refused, or marked.")] = None,
    thresholds: Annotated[
        str, typer.Option(help="Percentages of hard (of soft, without hard) at which notices are emitted.")
    ] = "",
    overage: Annotated[str, typer.Option(help="What becomes of events beyond hard: refuse or accept.")] = "refuse",
    as_json: AsJson = False,
) -> None:
    """Set a tenant's own limit, which takes precedence over its plan's. It takes effect immediately."""
    content = {"meter": meter, "soft": soft, "hard": hard, "thresholds": _percentages(thresholds), "overage": overage}
    terms = validated(LimitTerms, content)
    for_tenant(tenant, lambda connection, tenant_id: limit_service.set_limit(connection, tenant_id, terms))
    if as_json:
        show_json(terms.model_dump(mode="json"))
    else:
        typer.echo(f"The limit on {meter} is in effect from now on.")


@app.command(epilog="Example: signalops limit delete --tenant acme --meter events")
def delete(tenant: TenantSlug, meter: Meter = DEFAULT, as_json: AsJson = False) -> None:
    """Remove a tenant's own limit: its plan's limit, if any, takes effect immediately."""
    for_tenant(tenant, lambda connection, tenant_id: limit_service.remove_limit(connection, tenant_id, meter))
    show_done(f"The tenant's own limit on {meter} is deleted.", {"meter": meter}, as_json)


def _percentages(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise Invalid("thresholds: write whole percentages with commas between, such as 50,80,100.") from None
