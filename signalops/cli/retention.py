"""signalops retention run: runs the worker's retention job now."""

import asyncio
from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson
from signalops.cli.output import show_json
from signalops.config import settings
from signalops.watch.retention import Retainer, Retention

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the group: a program of one command would be that command."""


@app.command(epilog="Example: SIGNALOPS_RETENTION_DAYS=90 signalops retention run --dry-run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the partitions that would be dropped.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="For how long rows are removed; the rest is the worker's.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Remove what has expired: partitions, rows of tenants that keep less, jobs that ended long ago."""
    dropped, removed = asyncio.run(_retain(dry_run, seconds))
    if as_json:
        show_json({"partitions": dropped, "rows": removed})
        return
    for part in dropped:
        typer.echo(f"{'would drop' if dry_run else 'dropped'} {part}")
    for relation, rows in sorted(removed.items()):
        typer.echo(f"removed {rows} rows of {relation}")
    if not (dropped or removed):
        typer.echo("Nothing has expired.")


async def _retain(dry_run: bool, seconds: float) -> tuple[list[str], dict[str, int]]:
    async with db.pool(settings(), "worker", 1) as connections:
        retainer = Retainer(connections, Retention.of(settings()))
        return (await retainer.due(), {}) if dry_run else await retainer.run(seconds)
