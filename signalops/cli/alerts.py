"""signalops alert list: the alert conditions that are met now."""

import typer

from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import show_rows
from signalops.watch.alerts import open_alerts

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the group: a program of one command would be that command."""


@app.command("list", epilog="Example: signalops alert list --json")
def list_(as_json: AsJson = False) -> None:
    """List the alerts that were raised and are not over, the oldest first; one that recovers is over after some minutes."""
    show_rows(as_owner(open_alerts), ("alert", "subject", "value", "since", "raisedAt", "recoveringSince"), as_json)
