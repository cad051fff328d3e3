"""signalops channel: add and list where notifications can go."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.config import settings
from signalops.errors import Unusable
from signalops.send import Keyring, NewChannel, add_channel, list_channels
from signalops.terms import TenantId

app = typer.Typer(no_args_is_help=True, help="Add and list where notifications can go.")


@app.command(epilog="Example: signalops channel add --tenant acme ops --email ops@example.com")
def add(
    tenant: TenantSlug,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    email: Annotated[str | None, typer.Option(help="Notify by mail to this address.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Notify by POST to this URL, signed (Standard Webhooks).")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a channel; a webhook's signing secret is shown, this once."""
    if (email is None) == (webhook is None):
        raise Unusable("A channel is one of two kinds: give either --email or --webhook.")
    new = NewChannel(name, "email", {"to": email}) if email else NewChannel(name, "webhook", {"url": webhook})

    async def adding(connection: db.Connection, tenant_id: TenantId) -> tuple[object, str | None]:
        return await add_channel(connection, tenant_id, Keyring(settings()), new)

    channel, secret = for_tenant(tenant, adding)
    if as_json:
        show_json({"id": channel, "name": name, "kind": new.kind, "secret": secret})
    else:
        typer.echo(f"Channel {name} is added." + (f" Its signing secret, shown this once: {secret}" if secret else ""))


@app.command("list", epilog="Example: signalops channel list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's channels, without their secrets."""

    async def rows(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, object]]:
        found = await list_channels(connection, tenant_id)
        return [{"name": c.name, "kind": c.kind, "config": c.config, "enabled": c.enabled, "id": c.id} for c in found]

    show_rows(for_tenant(tenant, rows), ("name", "kind", "config", "enabled", "id"), as_json)
