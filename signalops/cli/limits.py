"""signalops limit: how much of a meter a tenant may have accepted in a month."""

from typing import Annotated, Any

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.errors import Invalid
from signalops.terms import TenantId
from signalops.usage.limits import manage
from signalops.usage.meters.model import DEFAULT
from signalops.usage.plans.model import LimitTerms

app = typer.Typer(no_args_is_help=True, help="Limit what a tenant may have accepted in a month.")
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
    """Set a limit of the tenant's own, which goes before its plan's; it holds at once."""
    said = {"meter": meter, "soft": soft, "hard": hard, "thresholds": _percentages(thresholds), "overage": overage}
    terms = LimitTerms.model_validate(said)
    for_tenant(tenant, lambda connection, tenant_id: manage.set_limit(connection, tenant_id, terms))
    if as_json:
        show_json(terms.model_dump(mode="json"))
    else:
        typer.echo(f"The limit on {meter} holds from now on.")


@app.command("list", epilog="Example: signalops limit list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List the limits that hold, and how much of them is used this month."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        return [limit.model_dump(mode="json") for limit in await manage.list_limits(connection, tenant_id)]

    columns = ("meter", "origin", "soft", "hard", "thresholds", "overage", "period", "accepted", "percent", "told")
    show_rows(for_tenant(tenant, listing), columns, as_json)


@app.command(epilog="Example: signalops limit remove --tenant acme --meter events")
def remove(tenant: TenantSlug, meter: Meter = DEFAULT) -> None:
    """Take a limit of the tenant's own away: its plan's holds at once, if it has one."""
    for_tenant(tenant, lambda connection, tenant_id: manage.remove_limit(connection, tenant_id, meter))
    typer.echo(f"The tenant's own limit on {meter} is removed.")


def _percentages(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise Invalid("thresholds: write whole percentages with commas between, such as 50,80,100.") from None
