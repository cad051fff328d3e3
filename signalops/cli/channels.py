"""signalops channel: where notifications can go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.cli.drafts import read_object
from signalops.config import settings
from signalops.errors import Unusable
from signalops.send import ChannelRegistry, NewChannel
from signalops.send.manage import registry, store
from signalops.send.manage.model import SecretRotation, StoredChannel, TrialResult
from signalops.send.manage.registry import Added, Opened
from signalops.send.manage.trial import try_out
from signalops.send.transport import Transport
from signalops.terms import ChannelId, ChannelKind, TenantId

app = typer.Typer(no_args_is_help=True, help="Add, try and list where notifications can go.")

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name or id.")]
Change = Callable[[db.Connection, TenantId, ChannelId], Awaitable[Any]]


@app.command(
    epilog="""Example: signalops channel add --tenant acme hook --kind http --config '{"url": "https://example.com/hook"}'"""
)
def add(
    tenant: TenantSlug,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    email: Annotated[str | None, typer.Option(help="Notify by mail to this address.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Notify by POST to this URL, signed (Standard Webhooks).")] = None,
    kind: Annotated[ChannelKind | None, typer.Option(help="Or: the kind, with --config.")] = None,
    config: Annotated[str | None, typer.Option(help="What the kind needs: JSON, or @FILE.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="Token, password or the like; - asks for it.", envvar="SIGNALOPS_CHANNEL_SECRET")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a channel; a secret that is made here, such as a webhook's, is shown this once."""
    if (email is not None) + (webhook is not None) + (kind is not None) != 1:
        raise Unusable("A channel is of one kind: give either --email, --webhook, or --kind with --config.")
    named: tuple[ChannelKind, dict[str, Any]]
    if kind is not None:
        named = kind, read_object(config or "{}")
    else:
        named = ("email", {"to": email}) if email is not None else ("webhook", {"url": webhook})
    new = NewChannel(name=name, kind=named[0], config=named[1], secret=_secret(secret))

    async def adding(connection: db.Connection, tenant_id: TenantId) -> Added:
        return await ChannelRegistry(settings()).add(connection, tenant_id, new)

    added = for_tenant(tenant, adding)
    if as_json:
        show_json({"id": added.id, "name": name, "kind": new.kind, "secret": added.secret})
    else:
        once = f" Its signing secret, shown this once: {added.secret}" if added.secret else ""
        typer.echo(f"Channel {name} is added.{once}")


@app.command("list", epilog="Example: signalops channel list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's channels, without their secrets."""

    async def rows(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        found = await store.list_channels(connection, tenant_id)
        return [StoredChannel.model_validate(row).model_dump(mode="json") for row in found]

    found = sorted(for_tenant(tenant, rows), key=lambda row: str(row["name"]))
    show_rows(found, ("name", "kind", "config", "enabled", "disabledBecause", "id"), as_json)


@app.command(epilog="Example: signalops channel show --tenant acme hook")
def show(tenant: TenantSlug, channel: ChannelName) -> None:
    """Show a channel whole, as JSON, without its secret."""
    found = for_tenant(tenant, lambda connection, tenant_id: registry.find(connection, tenant_id, channel))
    show_json(found.model_dump(mode="json"))


@app.command("test", epilog="Example: signalops channel test --tenant acme hook")
def try_now(tenant: TenantSlug, channel: ChannelName, as_json: AsJson = False) -> None:
    """Send a test notification now, from this machine; exit code 1 when it fails."""

    async def opening(connection: db.Connection, tenant_id: TenantId) -> tuple[TenantId, Opened]:
        found = await registry.find(connection, tenant_id, channel)
        return tenant_id, await ChannelRegistry(settings()).open(connection, tenant_id, ChannelId(found.id))

    result = asyncio.run(_tried(*for_tenant(tenant, opening)))
    if as_json:
        show_json(result.model_dump())
    else:
        said = "" if result.statusCode is None else f", answered {result.statusCode}"
        typer.echo(f"{result.outcome} in {result.milliseconds} ms{said}. {result.error or ''}".rstrip())
    if result.outcome != "sent":
        raise typer.Exit(1)


@app.command(epilog="Example: signalops channel disable --tenant acme hook")
def disable(tenant: TenantSlug, channel: ChannelName) -> None:
    """Let a channel send nothing until it is enabled again: what would go through it becomes a dead letter."""
    done = _changed(tenant, channel, registry.disable)
    typer.echo(f"Channel {done.name} is disabled.")


@app.command(epilog="Example: signalops channel enable --tenant acme hook")
def enable(tenant: TenantSlug, channel: ChannelName) -> None:
    """Let a channel send, also one that SignalOps itself had disabled."""
    done = _changed(tenant, channel, registry.enable)
    typer.echo(f"Channel {done.name} is enabled. What died meanwhile: signalops dead-letter list --channel {done.id}")


@app.command(epilog="Example: signalops channel delete --tenant acme hook")
def delete(tenant: TenantSlug, channel: ChannelName) -> None:
    """Delete a channel and its secret; refused while enabled rules notify through it."""
    done = _changed(tenant, channel, registry.delete)
    typer.echo(f"Channel {done.name} is deleted.")


@app.command(epilog="Example: signalops channel rotate --tenant acme hook --overlap 3600")
def rotate(
    tenant: TenantSlug,
    channel: ChannelName,
    secret: Annotated[str | None, typer.Option(help="The new secret; - asks for it; default: one is made.")] = None,
    overlap: Annotated[
        int | None, typer.Option(help="Seconds for which the old one signs as well; default: a day.")
    ] = None,
) -> None:
    """Replace a webhook's signing secret; the new one is shown this once."""
    given = {} if overlap is None else {"overlapSeconds": overlap}
    rotation = SecretRotation.model_validate({"secret": _secret(secret), **given})

    async def rotating(connection: db.Connection, tenant_id: TenantId) -> tuple[str | None, Any]:
        found = await registry.find(connection, tenant_id, channel)
        return await ChannelRegistry(settings()).rotate(connection, tenant_id, ChannelId(found.id), rotation)

    made, until = for_tenant(tenant, rotating)
    typer.echo(f"The old secret of {channel} signs as well until {until.isoformat(timespec='seconds')}.")
    if made:
        typer.echo(f"The new one, shown this once: {made}")


def _changed(tenant: str, channel: str, change: Change) -> StoredChannel:
    """Change the channel of a name, and return it as it was."""

    async def changing(connection: db.Connection, tenant_id: TenantId) -> StoredChannel:
        found = await registry.find(connection, tenant_id, channel)
        await change(connection, tenant_id, ChannelId(found.id))
        return found

    return for_tenant(tenant, changing)


async def _tried(tenant: TenantId, opened: Opened) -> TrialResult:
    transport = Transport(settings())
    try:
        return await try_out(tenant, opened, transport)
    finally:
        await transport.close()


def _secret(given: str | None) -> SecretStr | None:
    """Read a secret: as an argument everybody on the machine may see it, so - asks."""
    if given == "-":
        given = typer.prompt("Secret", hide_input=True)
    return None if given is None else SecretStr(given)
