"""The commands of `signalops`: name, module, help and section. A command's module is loaded only when the command is used."""

import importlib
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

running: ContextVar[str] = ContextVar("running", default="")
"""The command that runs, in its own words without the values: `key create`."""
utc: ContextVar[bool] = ContextVar("utc", default=False)
"""Whether times are printed in UTC."""


class Entry(NamedTuple):
    """A command, or a group of commands, whose Typer object `app` is in a module of `signalops.cli`."""

    module: str
    help: str
    is_group: bool = True


SECTIONS: dict[str, dict[str, Entry]] = {
    "Start": {
        "up": Entry("server", "Start PostgreSQL, API, worker and a sink for mails and webhooks", is_group=False),
        "serve": Entry("server", "Start the API", is_group=False),
        "work": Entry("server", "Start a worker", is_group=False),
        "migrate": Entry("server", "Migrate the database to this release", is_group=False),
        "seed": Entry("server", "Create the demonstration tenant acme", is_group=False),
    },
    "Events and notifications": {
        "event": Entry("events", "Send, list, follow and trace events"),
        "listen": Entry("listen", "Print a tenant's events, and forward them to a local URL", is_group=False),
        "trigger": Entry("listen", "Send an example event", is_group=False),
        "rule": Entry("rules", "Manage rules, their versions and tests"),
        "channel": Entry("channels", "Manage and test channels"),
        "delivery": Entry("deliveries", "List, retry and cancel deliveries"),
        "dead-letter": Entry("dead_letters", "List, retry and discard dead letters"),
        "silence": Entry("silences", "Mute notifications for a time"),
        "replay": Entry("backtest", "Run past events through the rules again", is_group=False),
    },
    "Usage and billing": {
        "usage": Entry("usage", "Show, adjust and reconcile usage"),
        "meter": Entry("meters", "Manage meters"),
        "limit": Entry("limits", "Manage monthly limits"),
        "plan": Entry("plans", "Manage plans, and price usage"),
        "credit": Entry("credits", "Grant and list credit"),
        "invoice": Entry("invoices", "Show, preview and correct invoices"),
    },
    "Tenants and access": {
        "tenant": Entry("tenants", "Manage tenants"),
        "key": Entry("keys", "Manage API keys"),
        "token": Entry("token", "Print a bearer token", is_group=False),
        "audit-log": Entry("audit_log", "List who changed what"),
    },
    "Operations": {
        "doctor": Entry("inspect", "Check this installation, and print remedies", is_group=False),
        "smoke": Entry("inspect", "Send one event through the running system", is_group=False),
        "psql": Entry("inspect", "Open psql on the database", is_group=False),
        "alert": Entry("alerts", "List alerts"),
        "retention": Entry("retention", "Delete expired data"),
        "isolation-check": Entry("isolation", "Check that no tenant sees another's data", is_group=False),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class RootGroup(TyperGroup):
    """The root: its help is the table, and a command is imported when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return every name, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is no such name."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; the base class compares a wrong name with the keys of `commands`."""
        self.commands: Any = dict.fromkeys(COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by section, without loading them."""
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])


@cache
def load(name: str) -> Any:
    """Return the click command of a name; it is built once: that inspects the signature of every command of its group."""
    entry = COMMANDS[name]
    app: typer.Typer = importlib.import_module(f"signalops.cli.{entry.module}").app
    app.rich_markup_mode = None  # plain help, as of the root
    group: Any = typer.main.get_group(app)
    if not entry.is_group:
        return group.commands[name]
    group.name, group.help = name, f"{entry.help}."
    return group
