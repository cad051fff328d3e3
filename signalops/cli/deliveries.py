"""signalops delivery: list, show, retry and cancel deliveries."""

import typer

from signalops.cli.channels import channel_id
from signalops.cli.derived import Commands
from signalops.cli.rule_args import rule_id
from signalops.send.deliveries import delivery_endpoints

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "delivery", resolve={"channel": channel_id, "rule": rule_id})
commands.add(delivery_endpoints.list_deliveries, "list", columns="updatedAt status event channel lastError id")
commands.add(delivery_endpoints.get_delivery, "show")
commands.add(delivery_endpoints.retry_delivery, "retry", done="Delivery {id} is tried again now, through {channel[name]}.")
commands.add(delivery_endpoints.cancel_delivery, "cancel", done="Delivery {id} is cancelled.")
