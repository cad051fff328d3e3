"""signalops silence: times in which nobody is notified of some events."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.cli.drafts import read_object
from signalops.rules import store
from signalops.rules.silences import manage
from signalops.rules.silences.model import NewSilence, SilenceShown
from signalops.terms import TenantId

app = typer.Typer(no_args_is_help=True, help="Notify nobody of some events for a time; they are counted all the same.")


@app.command(
    epilog="""Example: signalops silence add --tenant acme --pattern '{"source": ["db-3"]}' --for 2h --reason 'new disk'"""
)
def add(
    tenant: TenantSlug,
    pattern: Annotated[str, typer.Option(help="Which events: an event pattern (JSON), or @FILE.")],
    reason: Annotated[str, typer.Option(help="For those who wonder where their notification is.")],
    duration: Annotated[str | None, typer.Option("--for", help="How long, such as 90s, 2h or 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="Instead: until when (RFC 3339).")] = None,
    start: Annotated[str | None, typer.Option("--from", help="From when on (RFC 3339); default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Notify nobody of the events of a pattern for a time."""
    given = {"startsAt": start, "endsAt": until, "duration": duration, "reason": reason}
    wanted = {name: value for name, value in given.items() if value is not None}
    new = NewSilence.model_validate({"pattern": read_object(pattern)} | wanted)

    async def adding(connection: db.Connection, tenant_id: TenantId) -> SilenceShown:
        return await manage.show(connection, tenant_id, await manage.add(connection, tenant_id, new))

    silence = for_tenant(tenant, adding)
    if as_json:
        show_json(silence.model_dump(mode="json"))
    else:
        typer.echo(f"Silence {silence.id} holds from {_minute(silence.startsAt)} to {_minute(silence.endsAt)}.")


@app.command("list", epilog="Example: signalops silence list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's silences, newest first, also those that are over."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        rows = await store.list_silences(connection, tenant_id)
        return [SilenceShown.model_validate(row).model_dump(mode="json") for row in rows]

    show_rows(for_tenant(tenant, listing), ("state", "startsAt", "endsAt", "pattern", "reason", "id"), as_json)


@app.command(epilog="Example: signalops silence end --tenant acme 01a20862-10b6-70f7-a960-f844b7ad550a")
def end(tenant: TenantSlug, silence: Annotated[UUID, typer.Argument(help="The silence's id.")]) -> None:
    """End a silence now; it stays on record."""
    ended = for_tenant(tenant, lambda connection, tenant_id: manage.end(connection, tenant_id, silence))
    typer.echo(f"Silence {silence} is over since {_minute(ended.endsAt)}.")


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
