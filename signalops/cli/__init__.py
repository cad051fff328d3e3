"""The command line `signalops`: starts the parts, manages tenants, keys and rules, and looks at what happened.

Exit codes: 0 done; 1 it could not be done (the message says why, and the remedy); 2 the command was not understood.
"""

import sys

import typer

from signalops import db
from signalops.cli import channels, keys, look, rules, run, tenants
from signalops.errors import Problem, Unusable

app = typer.Typer(
    name="signalops",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Events in, once; the tenant's rules decide; notifications out; usage counted. On nothing but Postgres.",
    epilog="Start with: signalops up",
)
run.register(app)
look.register(app)
app.add_typer(tenants.app, name="tenant")
app.add_typer(keys.app, name="key")
app.add_typer(channels.app, name="channel")
app.add_typer(rules.app, name="rule")


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error."""
    try:
        app()
    except (Unusable, Problem) as error:
        sys.exit(f"signalops: {error}")
    except db.OUTAGE as error:
        sys.exit(f"signalops: PostgreSQL can't be reached ({str(error).strip()}): check DATABASE_URL, or start it.")
