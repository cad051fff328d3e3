"""The commands that inspect an installation: event trace, doctor, smoke, psql."""

import asyncio
import os
import subprocess
import sys
from typing import Annotated
from uuid import UUID

import orjson
import typer
from pydantic.alias_generators import to_camel
from rich.text import Text
from rich.tree import Tree

from signalops import clock, db, embedded
from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import cell, console, show_json
from signalops.cli.remote import remote, with_api
from signalops.cli.seed import KEY
from signalops.config import settings
from signalops.errors import Unusable
from signalops.send.api_client import ApiClient
from signalops.types import EventId, JsonObject
from signalops.usage.usage_models import UsageQuery
from signalops.usage.usage_report import usage as read_usage
from signalops.watch import watch_queries
from signalops.watch.doctor import diagnose
from signalops.watch.event_trace import follow as read_path
from signalops.watch.smoke import walk

app = typer.Typer()


def trace(
    event: Annotated[UUID | None, typer.Argument(help="The event's id, from the answer.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The event that was stored last.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the whole path of one event: received, job, rules, deliveries with attempts, usage."""
    if (event is None) != last:
        raise typer.BadParameter("Name an event by its id, or --last.")
    at = remote()
    shown = with_api(at, lambda api: _over_http(api, event)) if at else as_owner(lambda connection: _path(connection, event))
    if shown is None:
        raise Unusable(f"There is no event {event}: check the id." if event else "There are no events.")
    if as_json:
        show_json(shown)
    else:
        console().print(_tree(shown))


async def _path(connection: db.Connection, event: UUID | None) -> JsonObject | None:
    named = EventId(event) if event else await watch_queries.newest_event(connection)
    if named is None or (tenant := await watch_queries.tenant_of(connection, named)) is None:
        return None
    await db.set_tenant(connection, tenant.id)
    shown = await read_path(connection, tenant.id, named)
    if shown is None:
        return None
    happened = min(shown["occurredAt"], clock.uuid7_time(named))
    month = await read_usage(connection, tenant.id, UsageQuery(window="none"), happened)
    counted = month.model_dump(mode="json", by_alias=True, exclude={"windows"})
    return {"tenant": tenant.slug, **shown, "usage": counted}


async def _over_http(api: ApiClient, event: UUID | None) -> JsonObject | None:
    if event is None:
        newest = (await api.get("/api/events", limit="1"))["data"]
        if not newest:
            return None
        event = newest[0]["id"]
    usage = await api.get("/api/usage", window="none")
    return {"tenant": api.base_url, **await api.get(f"/api/events/{event}"), "usage": usage}


def _tree(shown: JsonObject) -> Tree:
    title = f" {shown['id']} of {shown['tenant']}: {shown['status']}"
    tree = Tree(Text.assemble((shown["type"], "bold"), title))
    batch = f" in batch {shown['batch']}" if "batch" in shown else ""  # which a tenant is not shown
    tree.add(f"received {cell(shown['receivedAt'])}{batch}")
    if done := shown["processing"]:
        worker = f" by job {done['job']} of worker {done['worker']}" if "job" in done else ""
        tree.add(f"processed {cell(done['processedAt'])}{worker}")
        if "error" in done:
            tree.add(f"dead: {done['error']}")
        rules = tree.add(f"{done['rulesEvaluated']} rules evaluated (version {done['rulesetVersion']} of the set)")
    else:
        rules = tree.add("parked until its tenant is resumed" if shown.get("parked") else "waits in the inbox")
    for match in shown["matches"]:
        rules.add(f"matched {match['name']!r}, version {match['version']}: {match['outcome']}")
    for delivery in shown["deliveries"]:
        channel = delivery["channel"]
        named = f" {channel['name']!r}" if "name" in channel else ""
        branch = tree.add(f"delivery {delivery['id']} by {channel['kind']}{named}: {delivery['status']}")
        for attempt in delivery["attemptLog"]:
            why = f" {attempt['error']}" if attempt["error"] else ""
            status = f" {attempt['statusCode']}" if attempt["statusCode"] else ""
            took = f"{attempt['durationMs']} ms"
            branch.add(f"attempt {attempt['attempt']} at {cell(attempt['startedAt'])}, {took}: {attempt['outcome']}{status}{why}")
    counted = shown["usage"]
    tree.add(f"usage of {counted['period']}: {counted['accepted']} accepted, {counted['processed']} processed")
    return tree


@app.command(epilog="Example: signalops doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check this installation and print each fault with its remedy; exit code 1 if there is one."""
    findings = asyncio.run(diagnose(settings()))
    if as_json:
        show_json([{to_camel(name): value for name, value in finding._asdict().items()} for finding in findings])
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "warning" if finding.is_warning else "WRONG  "
            typer.echo(f"{mark} {finding.check}: {finding.detail}" + (f"\n        {finding.remedy}" if finding.remedy else ""))
    if not all(finding.ok or finding.is_warning for finding in findings):
        sys.exit(1)


@app.command(epilog="Example: signalops smoke --url http://localhost:3000")
def smoke(
    url: Annotated[str | None, typer.Option(help="Where the API is; default: this machine.")] = None,
    key: Annotated[str, typer.Option(help="An API key; default: the documentation's.", envvar="SIGNALOPS_KEY")] = KEY,
    as_json: Annotated[bool, typer.Option("--json", help="Print each step as a line of JSON.")] = False,
) -> None:
    """Send one event through the running system, and print each step with its time. It counts as an event of the key's tenant."""

    async def stations() -> None:
        base = url or f"http://{settings().host}:{settings().port}"
        async for station in walk(base, key, settings()):
            typer.echo(orjson.dumps(station._asdict()) if as_json else station.line())

    asyncio.run(stations())


@app.command(
    epilog="Example: signalops psql -c 'select * from signalops.event_status limit 5'",
    context_settings={"ignore_unknown_options": True},
)
def psql(arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to psql.")] = None) -> None:
    """Open psql on the database, as its administrator."""
    config = settings()
    bundled = not config.database_url
    program = str(embedded.program(config.embedded_version, "psql")) if bundled else "psql"
    conninfo, password = db.without_password(db.admin_url(config))
    environment = {**os.environ, "PGOPTIONS": "-c search_path=signalops,ops,procrastinate"}
    if password is not None:
        environment["PGPASSWORD"] = password
    try:
        sys.exit(subprocess.call([program, conninfo, *(arguments or [])], env=environment))  # noqa: S603
    except FileNotFoundError as error:
        raise Unusable("psql is not installed: install PostgreSQL's client, or use any other.") from error
