"""The command line `signalops`: starts processes, manages tenants, keys and rules, and shows what happened.

Exit codes: 0 success; 1 failure (the message gives the reason and the remedy); 2 invalid usage.
"""

import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import typer

from signalops.cli.command_table import COMMANDS, RootGroup, running, utc

app = typer.Typer(
    name="signalops",
    cls=RootGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Store business events once, evaluate rules, send notifications, count and bill usage, on nothing but Postgres.",
    epilog="Start with: signalops up",
)


@app.callback()
def root(
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
    is_utc: Annotated[bool, typer.Option("--utc", help="Print times in UTC, not local time; valid at any place.")] = False,
) -> None:
    """Declare the options of all commands, for the help; `main` handles them."""


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        typer.echo(f"signalops {version('signalops')}")
        sys.exit(0)
    _run(_without_utc(arguments))


def _run(arguments: list[str]) -> None:
    running.set(_words(arguments))
    try:
        _tree()(arguments)
    except Exception as error:
        from signalops.cli.error_text import sentence_of  # noqa: PLC0415  loads longer than the help takes to print

        if (sentence := sentence_of(error)) is None:
            raise
        sys.exit(f"signalops: {sentence}")


@cache
def _tree() -> Any:
    """Return the root of the command tree."""
    return typer.main.get_command(app)


def _words(arguments: Sequence[str]) -> str:
    """Return the words of the command that arguments begin with, without what follows them."""
    words = [word for word in arguments[:1] if word in COMMANDS]
    if words and COMMANDS[words[0]].is_group:
        words += [word for word in arguments[1:2] if not word.startswith("-")]
    return " ".join(words)


def _without_utc(arguments: list[str]) -> list[str]:
    """Return the arguments without `--utc`, which is valid anywhere before `--`."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--utc" not in own:
        return arguments
    utc.set(True)
    return [one for one in own if one != "--utc"] + arguments[len(own) :]
