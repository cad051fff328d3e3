"""signalops audit-log list: who changed which object."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import show_json, show_rows
from signalops.cli.times import Since
from signalops.errors import Unusable
from signalops.http import validated
from signalops.tenants.tenant_queries import find_tenant
from signalops.types import JsonObject
from signalops.watch.audit_log.audit_log_endpoints import read_actions
from signalops.watch.audit_log.audit_log_models import ActionsPage, PlatformAction

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the group: a program of one command would be that command."""


@app.command("list", epilog="Example: signalops audit-log list --tenant acme --action rule. --since 2026-11-01")
def list_(
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="The tenant's slug or id; default: the whole installation.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="Only actions with this prefix, such as rule. or key.created.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only of this key (its id), subject or login.")] = None,
    target: Annotated[str | None, typer.Option(help="Only actions on this object, by its id.")] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of entries.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who did what to what people manage, newest first; --json has what it changed."""
    filters = {"action": action, "actor": actor, "target": target, "from": since}
    parameters = validated(ActionsPage, filters).filters() | {"limit": limit}

    async def reading(connection: db.Connection) -> list[JsonObject]:
        found = await find_tenant(connection, tenant) if tenant else None
        if tenant and found is None:
            raise Unusable(f"There is no tenant {tenant!r}: see `signalops tenant list`.")
        return await read_actions(connection, tenant=found and found.id, **parameters)

    actions = [PlatformAction.of(row) for row in as_owner(reading)]
    if as_json:
        show_json([one.model_dump(mode="json") for one in actions])
    else:
        columns = ("at", "actor", "action", "target", "id")
        show_rows([_line(one) for one in actions], columns, as_json=False)


def _line(one: PlatformAction) -> JsonObject:
    named = one.model_dump(include={"address", "operation", "action", "id"})
    target = one.target and (one.target.name or one.target.id)
    return {**named, "at": one.at, "actor": f"{one.actor.kind} {one.actor.name}", "target": target}
