"""signalops silence: time ranges in which matching events send no notification."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import moment, show_json
from signalops.cli.rule_args import read_object
from signalops.cli.times import ahead
from signalops.http import validated
from signalops.rules.silences import silence_endpoints, silence_service
from signalops.rules.silences.silence_models import NewSilence, SilenceShown
from signalops.types import TenantId

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "silence")
commands.add(silence_endpoints.list_silences, "list", columns="state startsAt endsAt reason id")
commands.add(silence_endpoints.get_silence, "show")
commands.add(silence_endpoints.end_silence, "end", done="Silence {id} is over since {endsAt}.")


@app.command(
    epilog="""Example: signalops silence create --tenant acme --pattern '{"source": ["db-3"]}' --for 2h --reason 'new disk'"""
)
def create(
    tenant: TenantSlug,
    pattern: Annotated[str, typer.Option(help="Which events: an event pattern (JSON), or @FILE.")],
    reason: Annotated[str, typer.Option(help="For those who wonder where their notification is.")],
    duration: Annotated[str | None, typer.Option("--for", help="How long, such as 90s, 2h or 7d.")] = None,
    until: Annotated[str | None, typer.Option(parser=ahead, metavar="TIME", help="Instead: until when.")] = None,
    start: Annotated[str | None, typer.Option("--from", parser=ahead, metavar="TIME", help="From when on; default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Suppress the notifications of matching events for a time range."""
    options = {"startsAt": start, "endsAt": until, "duration": duration, "reason": reason}
    content = {name: value for name, value in options.items() if value is not None}
    new = validated(NewSilence, {"pattern": read_object(pattern)} | content)

    async def adding(connection: db.Connection, tenant_id: TenantId) -> SilenceShown:
        return await silence_service.show(connection, tenant_id, await silence_service.add(connection, tenant_id, new))

    silence = for_tenant(tenant, adding)
    if as_json:
        show_json(silence.model_dump(mode="json"))
    else:
        typer.echo(f"Silence {silence.id} is active from {moment(silence.starts_at)} to {moment(silence.ends_at)}.")
