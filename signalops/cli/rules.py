"""signalops rule: add and list rules, and try a pattern by hand."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.errors import Unusable
from signalops.rules import CURRENT_GRAMMAR, compile_pattern, read_json, run_cases, store
from signalops.rules.model import NewRule, add_rule
from signalops.send import check_template, list_channels
from signalops.terms import RuleId, TenantId

app = typer.Typer(no_args_is_help=True, help="Add and list rules, and try a pattern by hand.")


@app.command(
    epilog="""Example: signalops rule add --tenant acme 'new signups' --channel ops --pattern '{"type": ["user.signup"]}'"""
)
def add(
    tenant: TenantSlug,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    channel: Annotated[str, typer.Option(help="The channel to notify, by name.")],
    pattern: Annotated[str, typer.Option(help="Which events: an event pattern (JSON), or @FILE.")],
    grammar: Annotated[int, typer.Option(help="1: {field path: value}; 2: event patterns.")] = CURRENT_GRAMMAR,
    subject: Annotated[str | None, typer.Option(help="Liquid template of the subject.")] = None,
    body: Annotated[str | None, typer.Option(help="Liquid template of the body.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule; it decides from the next event on."""
    template = {part: text for part, text in (("subject", subject), ("body", body)) if text is not None}
    check_template(template)
    rule = NewRule(name=name, grammar=grammar, pattern=_object(pattern), template=template)

    async def adding(connection: db.Connection, tenant_id: TenantId) -> RuleId:
        found = [c.id for c in await list_channels(connection, tenant_id) if c.name == channel]
        if not found:
            raise Unusable(f"{tenant} has no channel {channel!r}: see `signalops channel list --tenant {tenant}`.")
        if any(row["name"] == name for row in await store.list_rules(connection, tenant_id)):
            raise Unusable(f"{tenant} has a rule {name!r} already: choose another name.")
        return await add_rule(connection, tenant_id, rule, found[0])

    rule_id = for_tenant(tenant, adding)
    if as_json:
        show_json({"id": rule_id, "version": 1, "name": name})
    else:
        typer.echo(f"Rule {name} is added as version 1; its id is {rule_id}.")


@app.command("list", epilog="Example: signalops rule list --tenant acme --json")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's rules in their active versions."""
    rows = for_tenant(tenant, store.list_rules)
    show_rows(rows, ("name", "enabled", "version", "grammar", "pattern", "channel", "id"), as_json)


@app.command(
    epilog="Example: signalops rule match pattern.json event.json (exit code 0: match, 1: no match, 2: invalid)"
)
def match(
    pattern: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="File of an event pattern.")
    ] = None,
    event: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="File of an event.")] = None,
    cases: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File of a JSON list of {name, pattern, event}.")
    ] = None,
) -> None:
    """Hold events against patterns, without a database."""
    try:
        if cases:
            show_json(run_cases(_cases(cases)))
            return
        if pattern is None or event is None:
            raise ValueError("Name two files, PATTERN.json and EVENT.json, or --cases FILE.")
        matches = compile_pattern(pattern.read_bytes()).matches(_event(event.read_text()))
    except ValueError as error:  # a PatternError, a file that is no JSON, or no text
        typer.echo(f"signalops: {error}", err=True)
        sys.exit(2)
    typer.echo("match" if matches else "no match")
    sys.exit(0 if matches else 1)


def _object(text: str) -> dict[str, Any]:
    """Read a JSON object from an argument, or from the file that `@` names."""
    try:
        value = read_json(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (ValueError, OSError) as error:
        raise Unusable(f"The pattern can't be read ({error}): give a JSON object, or @FILE.") from error
    if not isinstance(value, dict):
        raise Unusable('The pattern must be a JSON object, such as {"type": ["user.signup"]}.')
    return value


def _cases(file: Path) -> list[dict[str, Any]]:
    # As the reference reads patterns: the last of two equal keys counts, and numbers keep all their digits.
    cases = read_json(file.read_text(), unique_keys=False)
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError(f"{file} must hold a JSON list of {{name, pattern, event}}.")
    return cases


def _event(text: str) -> dict[str, Any]:
    value = read_json(text)
    if not isinstance(value, dict):
        raise ValueError("The event must be a JSON object.")
    return value
