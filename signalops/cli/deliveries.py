"""signalops delivery: what became of notifications."""

from typing import Annotated, Any
from uuid import UUID

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.send.deliveries import manage, store
from signalops.send.deliveries.model import DeliveryDetail, DeliveryShown
from signalops.send.manage import registry
from signalops.terms import DeliveryId, DeliveryStatus, TenantId

app = typer.Typer(no_args_is_help=True, help="List notifications, look at their attempts, retry and cancel them.")

Delivery = Annotated[UUID, typer.Argument(help="The delivery's id.")]
ChannelOption = Annotated[str | None, typer.Option(help="Only through this channel (name or id).")]
RuleOption = Annotated[UUID | None, typer.Option(help="Only those that this rule asked for (id).")]
Most = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]
_EVERY_ID = {"lower": UUID(int=0), "upper": UUID(int=2**128 - 1), "upwards": False}


@app.command("list", epilog="Example: signalops delivery list --tenant acme --status dead")
def list_(
    tenant: TenantSlug,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only those in this state.")] = None,
    channel: ChannelOption = None,
    rule: RuleOption = None,
    event: Annotated[UUID | None, typer.Option(help="Only those of this event (id).")] = None,
    most: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List a tenant's deliveries, newest first."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        named = (await registry.find(connection, tenant_id, channel)).id if channel else None
        wanted = {"status": status, "channel": named, "rule": rule, "event": event, "limit": most}
        picked = await store.pick_deliveries(connection, tenant_id, **wanted, **_EVERY_ID)
        rows = await store.read_deliveries(connection, tenant_id, picked)
        return [DeliveryShown.model_validate(row).model_dump(mode="json") for row in rows]

    rows = for_tenant(tenant, listing)
    if not as_json:
        rows = [row | {"rule": row["rule"]["name"], "channel": row["channel"]["name"]} for row in rows]
    show_rows(rows, ("status", "attempts", "nextAttemptAt", "rule", "channel", "error", "id"), as_json)


@app.command(epilog="Example: signalops delivery show --tenant acme 01a20862-10b6-70f7-a960-f844b7ad550a")
def show(tenant: TenantSlug, delivery: Delivery) -> None:
    """Show a delivery with its attempts, as JSON."""
    found = for_tenant(tenant, lambda connection, tenant_id: manage.show(connection, tenant_id, DeliveryId(delivery)))
    show_json(found.model_dump(mode="json"))


@app.command(epilog="Example: signalops delivery retry --tenant acme 01a20862-10b6-70f7-a960-f844b7ad550a")
def retry(tenant: TenantSlug, delivery: Delivery) -> None:
    """Have a delivery that is dead or waits tried now."""

    async def retrying(connection: db.Connection, tenant_id: TenantId) -> DeliveryDetail:
        return await manage.retry(connection, tenant_id, DeliveryId(delivery))

    done = for_tenant(tenant, retrying)
    typer.echo(f"Delivery {done.id} is tried again now, through {done.channel.name}.")


@app.command(epilog="Example: signalops delivery cancel --tenant acme 01a20862-10b6-70f7-a960-f844b7ad550a")
def cancel(tenant: TenantSlug, delivery: Delivery) -> None:
    """Cancel a delivery that waits."""

    async def cancelling(connection: db.Connection, tenant_id: TenantId) -> DeliveryDetail:
        return await manage.cancel(connection, tenant_id, DeliveryId(delivery))

    typer.echo(f"Delivery {for_tenant(tenant, cancelling).id} is cancelled.")
