"""signalops delivery: what became of notifications."""

import typer

from signalops.cli.channels import channel_id
from signalops.cli.derived import Commands
from signalops.send.deliveries import http

app = typer.Typer(no_args_is_help=True, help="List notifications, look at their attempts, retry and cancel them.")
commands = Commands(app, "delivery", resolve={"channel": channel_id})
commands.add(http.list_deliveries, "list", columns="status attempts nextAttemptAt rule channel error id")
commands.add(http.get_delivery, "show")
commands.add(http.retry_delivery, "retry", done="Delivery {id} is tried again now, through {channel[name]}.")
commands.add(http.cancel_delivery, "cancel", done="Delivery {id} is cancelled.")
