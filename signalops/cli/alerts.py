"""signalops alerts: what is out of bounds now."""

import typer

from signalops.cli.common import AsJson, as_owner, show_rows
from signalops.watch.alerts import open_alerts


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: signalops alerts --json")(alerts)


def alerts(as_json: AsJson = False) -> None:
    """List the alerts that were raised and are not over, the oldest first."""
    show_rows(as_owner(open_alerts), ("alert", "subject", "value", "since", "raisedAt"), as_json)
