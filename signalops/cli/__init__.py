"""The command line `signalops`: starts processes, manages tenants, keys and rules, and shows what happened.

Exit codes: 0 success; 1 failure (the message gives the reason and the remedy); 2 invalid usage.
"""

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from signalops import db
from signalops.cli import (
    alerts,
    audit_log,
    backtest,
    channels,
    common,
    credits,
    dead_letters,
    deliveries,
    events,
    inspect,
    invoices,
    isolation,
    keys,
    limits,
    meters,
    plans,
    retention,
    rules,
    server,
    silences,
    tenants,
    token,
    usage,
)
from signalops.config import Settings
from signalops.errors import Invalid, Problem, Unusable

app = typer.Typer(
    name="signalops",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Store business events once, evaluate rules, send notifications, count and bill usage, on nothing but Postgres.",
    epilog="Start with: signalops up",
)
server.register(app)
inspect.register(app)
isolation.register(app)
token.register(app)
backtest.register(app, rules.app)
app.add_typer(tenants.app, name="tenant")
app.add_typer(keys.app, name="key")
app.add_typer(channels.app, name="channel")
app.add_typer(events.app, name="event")
app.add_typer(deliveries.app, name="delivery")
app.add_typer(dead_letters.app, name="dead-letter")
app.add_typer(limits.app, name="limit")
app.add_typer(rules.app, name="rule")
app.add_typer(silences.app, name="silence")
app.add_typer(meters.app, name="meter")
app.add_typer(credits.app, name="credit")
app.add_typer(invoices.app, name="invoice")
app.add_typer(plans.app, name="plan")
app.add_typer(usage.app, name="usage")
app.add_typer(audit_log.app, name="audit-log")
app.add_typer(alerts.app, name="alert")
app.add_typer(retention.app, name="retention")


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error."""
    common.running.set(_words(sys.argv[1:]))
    try:
        _tree()()
    except (Unusable, Problem) as error:
        sys.exit(f"signalops: {error}")
    except ValidationError as error:
        sys.exit(f"signalops: {_invalid(error)}")
    except SettingsError as error:
        sys.exit(f"signalops: {error}: write a list as JSON, such as [5, 30, 120].")
    except db.OUTAGE as error:
        sys.exit(f"signalops: PostgreSQL can't be reached ({str(error).strip()}): check DATABASE_URL, or start it.")
    except db.REFUSAL as error:
        sys.exit(f"signalops: {_refused(error)}")


@cache
def _tree() -> Any:
    """Return the command tree, which is built once: it inspects the signature of every command."""
    return typer.main.get_command(app)


def _words(arguments: Sequence[str]) -> str:
    """Return the words of the command that arguments begin with, without what follows them."""
    words: list[str] = []
    node: Any = _tree()
    for word in arguments:
        node = getattr(node, "commands", {}).get(word)
        if node is None:
            break
        words.append(word)
    return " ".join(words)


def _invalid(error: ValidationError) -> str:
    invalid = Invalid.of(error)
    if error.title != Settings.__name__:
        return invalid.detail
    first = invalid.members["errors"][0]
    field, _, _ = first["path"].partition(".")
    variable = f"SIGNALOPS_{field.upper()}" if field in Settings.model_fields else field
    return f"{variable} can't be used: {first['message']}."


def _refused(error: db.REFUSAL) -> str:
    # Without an SQLSTATE it is the client that refuses; it quotes the URL, and with that the password.
    if error.sqlstate is None:
        return "DATABASE_URL is not a PostgreSQL URL: write postgresql://user:password@host/database."
    return f"PostgreSQL refuses this ({db.reason(error)}): change the value that it names."
