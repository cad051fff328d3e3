"""signalops rule: add, change, list and roll back a tenant's rules."""

from pathlib import Path
from typing import Annotated

import typer

from signalops import db
from signalops.cli import rule_test
from signalops.cli.backtest import backtest
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_json, show_rows
from signalops.cli.rule_args import RuleName, find, read_object, registry, rule_id, shown
from signalops.config import settings
from signalops.http import validated
from signalops.rules import rule_service
from signalops.rules.rule_endpoints import Rules
from signalops.rules.rule_models import NewRule
from signalops.rules.rule_responses import Diff, RuleShown
from signalops.rules.rule_service import RuleChange
from signalops.templates import SendTemplates
from signalops.types import JsonObject, Severity, TenantId

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "rule", lambda: Rules(SendTemplates(), settings().max_rules), {"rule": rule_id})
commands.add(Rules.list_rules, "list", columns="name enabled severity pattern channel")
commands.add(Rules.get_rule, "show", example="'new signups' > rule.json")
commands.add(Rules.list_versions, "versions", columns="version createdAt grammar severity pattern", example="'new signups'")
commands.add(Rules.enable_rule, "enable", done="Rule {name} is enabled.", example="'new signups'")
commands.add(Rules.disable_rule, "disable", done="Rule {name} is disabled.", example="'new signups'")
commands.add(
    Rules.delete_rule,
    "delete",
    done="Rule {name} is deleted; its name is free again.",
    example="'new signups'",
    confirm="Delete rule {rule} for good?",
)
rule_test.register(app)
app.command(epilog="Example: signalops rule backtest --tenant acme --rule signups --from 2026-11-01")(backtest)

DraftFile = Annotated[
    Path | None, typer.Option("--file", exists=True, dir_okay=False, help="The whole rule as JSON; options go before it.")
]
Channel = Annotated[str | None, typer.Option(help="The channel to notify, by name or id.")]
PatternText = Annotated[str | None, typer.Option(help="Which events: an event pattern (JSON), or @FILE.")]
Grammar = Annotated[int | None, typer.Option(help="1: {field path: value}; 2: event patterns.")]
Subject = Annotated[str | None, typer.Option(help="Liquid template of the subject.")]
Body = Annotated[str | None, typer.Option(help="Liquid template of the body.")]
Urgency = Annotated[Severity | None, typer.Option(help="How urgent it is.")]


@app.command(
    epilog="""Example: signalops rule create --tenant acme 'new signups' --channel ops --pattern '{"type": ["user.signup"]}'"""
)
def create(
    tenant: TenantSlug,
    name: Annotated[str | None, typer.Argument(help="The channel's name.")] = None,
    channel: Channel = None,
    pattern: PatternText = None,
    grammar: Grammar = None,
    subject: Subject = None,
    body: Body = None,
    severity: Urgency = None,
    file: DraftFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule; it decides from the next event on."""
    options = {"name": name, "channel": channel, "pattern": pattern, "grammar": grammar, "severity": severity}
    new = validated(NewRule, _draft(read_object(file) if file else {}, options, subject, body))

    async def adding(connection: db.Connection, tenant_id: TenantId) -> RuleShown:
        return await shown(connection, tenant_id, await registry().add(connection, tenant_id, new))

    done = for_tenant(tenant, adding)
    _print_change(done, f"Rule {done.name} is added as version 1; its id is {done.id}.", as_json)


@app.command(epilog="Example: signalops rule update --tenant acme 'new signups' --severity warning")
def update(
    tenant: TenantSlug,
    rule: RuleName,
    name: Annotated[str | None, typer.Option(help="What to call it from now on.")] = None,
    channel: Channel = None,
    pattern: PatternText = None,
    grammar: Grammar = None,
    subject: Subject = None,
    body: Body = None,
    severity: Urgency = None,
    file: DraftFile = None,
    as_json: AsJson = False,
) -> None:
    """Change a rule: a new version decides from the next event on. What is not named stays, or is taken from --file."""
    options = {"name": name, "channel": channel, "pattern": pattern, "grammar": grammar, "severity": severity}
    whole = read_object(file) if file else None

    async def updating(connection: db.Connection, tenant_id: TenantId) -> RuleShown:
        before = await find(connection, tenant_id, rule)
        current = rule_service.as_change(before).model_dump(mode="json", by_alias=True, exclude_none=True)
        change = validated(RuleChange, _draft(current if whole is None else whole, options, subject, body))
        await registry().change(connection, tenant_id, before.id, change)
        return await shown(connection, tenant_id, before.id)

    done = for_tenant(tenant, updating)
    _print_change(done, f"Version {done.version} of rule {done.name} decides.", as_json)


@app.command(epilog="Example: signalops rule rollback --tenant acme 'new signups' --to 1")
def rollback(
    tenant: TenantSlug,
    rule: RuleName,
    to: Annotated[int, typer.Option(help="The version whose content is to decide again.")],
    as_json: AsJson = False,
) -> None:
    """Make a new version of a rule with the content of an earlier one."""

    async def rolling_back(connection: db.Connection, tenant_id: TenantId) -> RuleShown:
        found = await find(connection, tenant_id, rule)
        await registry().roll_back(connection, tenant_id, found.id, to)
        return await shown(connection, tenant_id, found.id)

    done = for_tenant(tenant, rolling_back)
    _print_change(done, f"Version {done.version} of rule {done.name} decides, and says what version {to} said.", as_json)


@app.command(epilog="Example: signalops rule diff --tenant acme 'new signups' --from 1 --to 3")
def diff(
    tenant: TenantSlug,
    rule: RuleName,
    before: Annotated[int | None, typer.Option("--from", help="A version; default: the one before the other.")] = None,
    after: Annotated[int | None, typer.Option("--to", help="A version; default: the active one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions of a rule."""

    async def comparing(connection: db.Connection, tenant_id: TenantId) -> Diff:
        found = await find(connection, tenant_id, rule)
        return await rule_service.diff(connection, tenant_id, found.id, before, after)

    compared = for_tenant(tenant, comparing).document()
    if as_json:
        show_json(compared)
        return
    rows = [{"before": None, "after": None} | change for change in compared["changes"]]
    show_rows(rows, ("path", "before", "after"), as_json=False)


def _draft(whole: JsonObject, options: JsonObject, subject: str | None, body: str | None) -> JsonObject:
    """Override fields of a draft by the command's options."""
    content = whole | {name: value for name, value in options.items() if value is not None}
    if options["pattern"] is not None:
        content["pattern"] = read_object(options["pattern"])
    template = {part: text for part, text in (("subject", subject), ("body", body)) if text is not None}
    return content | {"template": content.get("template", {}) | template}


def _print_change(rule: RuleShown, sentence: str, as_json: bool) -> None:
    if as_json:
        show_json(rule.document())
        return
    typer.echo(sentence)
    for warning in rule.warnings or ():
        typer.echo(f"warning: {warning.path}: {warning.message}.", err=True)
