"""signalops rule backtest and signalops replay: evaluate a rule on past events, or process them again. Needs a running worker."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.output import show_json, show_rows
from signalops.cli.rule_args import find, read_object
from signalops.cli.times import Since, Until, past
from signalops.config import settings
from signalops.errors import Unusable
from signalops.http import validated
from signalops.ingest.replay import start
from signalops.ingest.replay.replay_models import ReplayDryRun, ReplayRequest, ReplayStarted
from signalops.rules.backtest.backtest_models import BacktestRequest
from signalops.rules.backtest.create import OVER, BacktestCreator, Limits, shown
from signalops.rules.backtest.create import find as find_backtest
from signalops.templates import SendTemplates
from signalops.types import JsonObject, TenantId

_POLL = 0.2
From = Annotated[
    str, typer.Option("--since", "--from", parser=past, metavar="TIME", help="Events received at or after this time, or 30d ago.")
]


app = typer.Typer()


def backtest(
    tenant: TenantSlug,
    since: From,
    to: Until = None,
    rule: Annotated[str | None, typer.Option(help="A stored rule, by name or id.")] = None,
    version: Annotated[int | None, typer.Option(help="Which version of it; default: the active one.")] = None,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File of a draft; with --rule: its replacement.")
    ] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")] = None,
    examples: Annotated[int, typer.Option(help="How many of the first and of the last examples to show.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Run a rule on past events and show the notifications it would have sent. Sends nothing."""
    if rule is None and file is None:
        raise Unusable("Name a stored rule (--rule), a draft (--file), or both to compare them.")
    config = settings()
    desk = BacktestCreator(SendTemplates(), Limits(config.max_backtests, config.backtest_events, config.backtest_seconds))

    async def asking(connection: db.Connection, tenant_id: TenantId) -> UUID:
        stored = {"id": (await find(connection, tenant_id, rule)).id} if rule else {}
        chosen = stored | (read_object(file) if file else {"version": version})
        span = {"from": since, "to": to}
        request = validated(BacktestRequest, {"rule": chosen, **span, "types": types or None, "examples": examples})
        return await desk.ask(connection, tenant_id, request)

    found = _wait(tenant, for_tenant(tenant, asking))
    if as_json:
        show_json(found)
    elif found["status"] == "done":
        _print(found["result"])
    else:
        raise Unusable(f"The backtest is {found['status']}: {found['error'] or 'ask for it again'}.")


@app.command(epilog="Example: signalops replay --tenant acme --event ID --reason 'receiver was down'")
def replay(
    tenant: TenantSlug,
    reason: Annotated[str, typer.Option(help="The reason; it is stored.")],
    event: Annotated[list[UUID] | None, typer.Option(help="An event, by its id; repeatable.")] = None,
    since: Since = None,
    to: Until = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule decides, by name or id; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run past events through the rules again: new notifications, marked as a replay. Nothing is billed."""

    async def replaying(connection: db.Connection, tenant_id: TenantId) -> ReplayDryRun | ReplayStarted:
        rules = [(await find(connection, tenant_id, name)).id for name in rule or ()]
        span = {"from": since, "to": to, "type": kind}
        parameters = {"events": event or None, **span, "rules": rules or None, "reason": reason, "dryRun": dry_run}
        most = settings().max_replayed_events
        return await start(connection, tenant_id, validated(ReplayRequest, parameters), most)

    done = for_tenant(tenant, replaying).model_dump(mode="json")
    if as_json:
        show_json(done)
    else:
        row = {"events": done["events"], **done["skipped"], "id": done.get("id")}
        show_rows([row], list(row), as_json=False)


def _wait(tenant: str, backtest: UUID) -> JsonObject:
    """Wait until a backtest has ended, printing its progress; return it."""

    async def waiting(connection: db.Connection, tenant_id: TenantId) -> JsonObject:
        while (found := await find_backtest(connection, tenant_id, backtest))["status"] not in OVER:
            typer.echo(f"{found['status']}: {found['scanned']} events", err=True)
            await asyncio.sleep(_POLL)
        return shown(found)

    return for_tenant(tenant, waiting)


def _print(result: JsonObject) -> None:
    typer.echo(f"{result['scanned']} events, {result['matched']} matches, {result['fired']} notifications.")
    for outcome, count in result["outcomes"].items():
        typer.echo(f"  {outcome}: {count}")
    if compared := result["comparison"]:
        newly, no_longer = compared["newlyMatched"]["count"], compared["noLongerMatched"]["count"]
        typer.echo(f"Version {compared['version']} has {compared['matched']} matches: {newly} are new, {no_longer} are gone.")
    if cut := result["truncated"]:
        typer.echo(f"It ended at {cut['until']}, at the limit of {cut['reason']}: choose a shorter time, or types.")
    for sent in result["messages"]:
        subject = sent["message"]["subject"] if sent["message"] else f"fails: {sent['fault']}"
        typer.echo(f"{sent['at']} {sent['kind']} {subject}")
