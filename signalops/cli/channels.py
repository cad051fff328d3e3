"""signalops channel: manage the receivers of notifications."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import SecretStr

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import moment, show_done, show_json
from signalops.cli.rule_args import read_object
from signalops.cli.times import seconds
from signalops.config import settings
from signalops.errors import Unusable
from signalops.http import validated
from signalops.send import ChannelRegistry, NewChannel
from signalops.send.channel_admin import channel_service
from signalops.send.channel_admin.channel_endpoints import Channels
from signalops.send.channel_admin.channel_models import ChannelTestResult, SecretRotation
from signalops.send.channel_admin.channel_service import AddedChannel, OpenedChannel
from signalops.send.channel_admin.channel_test import try_out
from signalops.send.transport import Transport
from signalops.types import ChannelId, ChannelKind, JsonObject, TenantId

app = typer.Typer(no_args_is_help=True)


async def channel_id(connection: db.Connection, tenant: TenantId, named: str) -> UUID:
    """Return the id of a channel by its name or id; Unusable."""
    return (await channel_service.find(connection, tenant, named)).id


commands = Commands(app, "channel", lambda: Channels(settings()), {"channel": channel_id})
commands.add(Channels.list_channels, "list", columns="name kind config enabled health")
commands.add(Channels.get_channel, "show", example="hook")
commands.add(
    Channels.patch_channel,
    "update",
    done="Channel {name} is changed.",
    example="hook --max-per-minute 30 --retry-schedule 10,60,300",
)
commands.add(Channels.disable_channel, "disable", done="Channel {name} is disabled.", example="hook")
commands.add(
    Channels.enable_channel,
    "enable",
    done="Channel {name} is enabled. Dead letters of the time before: signalops dead-letter list --channel {id}",
    example="hook",
)
commands.add(
    Channels.delete_channel,
    "delete",
    done="Channel {name} is deleted.",
    example="hook",
    confirm="Delete channel {channel} for good?",
)

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name or id.")]


@app.command(
    epilog="""Example: signalops channel create --tenant acme hook --kind http --config '{"url": "https://example.com/hook"}'"""
)
def create(
    tenant: TenantSlug,
    name: Annotated[str, typer.Argument(help="The channel's name.")],
    email: Annotated[str | None, typer.Option(help="Notify by mail to this address.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Notify by POST to this URL, signed (Standard Webhooks).")] = None,
    kind: Annotated[ChannelKind | None, typer.Option(help="Or: the kind, with --config.")] = None,
    config: Annotated[str | None, typer.Option(help="The configuration of the kind: JSON, or @FILE.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="Token, password or the like; - asks for it.", envvar="SIGNALOPS_CHANNEL_SECRET")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a channel; a secret that is made here, such as a webhook's, is shown this once."""
    if (email is not None) + (webhook is not None) + (kind is not None) != 1:
        raise Unusable("A channel is of one kind: give either --email, --webhook, or --kind with --config.")
    named: tuple[ChannelKind, JsonObject]
    if kind is not None:
        named = kind, read_object(config or "{}")
    else:
        named = ("email", {"to": email}) if email is not None else ("webhook", {"url": webhook})
    new = NewChannel(name=name, kind=named[0], config=named[1], secret=_secret(secret))

    async def adding(connection: db.Connection, tenant_id: TenantId) -> AddedChannel:
        return await ChannelRegistry(settings()).add(connection, tenant_id, new)

    added = for_tenant(tenant, adding)
    if as_json:
        show_json({"id": added.id, "name": name, "kind": new.kind, "secret": added.secret})
    else:
        once = f" Its signing secret, shown this once: {added.secret}" if added.secret else ""
        typer.echo(f"Channel {name} is added.{once}")


@app.command("test", epilog="Example: signalops channel test --tenant acme hook")
def try_now(tenant: TenantSlug, channel: ChannelName, as_json: AsJson = False) -> None:
    """Send a test notification now, from this machine; exit code 1 when it fails."""

    async def opening(connection: db.Connection, tenant_id: TenantId) -> tuple[TenantId, OpenedChannel]:
        found = await channel_service.find(connection, tenant_id, channel)
        return tenant_id, await ChannelRegistry(settings()).open(connection, tenant_id, ChannelId(found.id))

    result = asyncio.run(_tried(*for_tenant(tenant, opening)))
    if as_json:
        show_json(result.model_dump(by_alias=True))
    else:
        answer = "" if result.status_code is None else f", answered {result.status_code}"
        typer.echo(f"{result.outcome} in {result.duration_ms} ms{answer}. {result.error or ''}".rstrip())
    if result.outcome != "sent":
        raise typer.Exit(1)


@app.command(epilog="Example: signalops channel rotate --tenant acme hook --overlap 1h")
def rotate(
    tenant: TenantSlug,
    channel: ChannelName,
    secret: Annotated[str | None, typer.Option(help="The new secret; - asks for it; default: one is made.")] = None,
    overlap: Annotated[str, typer.Option(metavar="DURATION", help="How long the old secret signs as well, such as 1h.")] = "1d",
    as_json: AsJson = False,
) -> None:
    """Replace a webhook's signing secret; the new one is shown this once."""
    options = {"overlapSeconds": seconds(overlap)}
    rotation = validated(SecretRotation, {"secret": _secret(secret), **options})

    async def rotating(connection: db.Connection, tenant_id: TenantId) -> tuple[str | None, Any]:
        found = await channel_service.find(connection, tenant_id, channel)
        return await ChannelRegistry(settings()).rotate(connection, tenant_id, ChannelId(found.id), rotation)

    made, until = for_tenant(tenant, rotating)
    once = f"\nThe new one, shown this once: {made}" if made else ""
    sentence = f"The old secret of {channel} signs as well until {moment(until)}.{once}"
    show_done(sentence, {"secret": made, "oldSecretUntil": until}, as_json)


async def _tried(tenant: TenantId, opened: OpenedChannel) -> ChannelTestResult:
    transport = Transport(settings())
    try:
        return await try_out(tenant, opened, transport)
    finally:
        await transport.close()


def _secret(text: str | None) -> SecretStr | None:
    """Read a secret: an argument is visible to everybody on the machine, so - prompts."""
    if text == "-":
        text = typer.prompt("Secret", hide_input=True)
    return None if text is None else SecretStr(text)
