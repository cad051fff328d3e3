"""signalops rule match, validate, test: try a rule. Exit codes: 0 match or valid, 1 no match, 2 invalid."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.output import show_done, show_json
from signalops.cli.rule_args import find, read_object
from signalops.errors import Invalid, Unusable
from signalops.http import validated
from signalops.patterns import compile_pattern, read_json, run_cases
from signalops.rules.dry_run import DryRunRequest, DryRunResult, PreparedDryRun, prepare, preview
from signalops.rules.rule_service import RuleChange
from signalops.rules.validate import faults_of, refuse
from signalops.templates import SendTemplates
from signalops.types import JsonObject, TenantId


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: signalops rule match pattern.json event.json")(match)
    app.command(epilog="Example: signalops rule validate rule.json")(validate)
    app.command("test", epilog="Example: signalops rule test --tenant acme --rule signups --sample event.json")(try_out)


def match(
    pattern: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="File of an event pattern.")] = None,
    event: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="File of an event.")] = None,
    cases: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File of a JSON list of {name, pattern, event}.")
    ] = None,
) -> None:
    """Match events against patterns, without a database. Exit code 0: match, 1: no match, 2: invalid."""
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


def validate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File of a rule as JSON.")], as_json: AsJson = False
) -> None:
    """Check a rule without a database; print "valid", or each fault with its path and remedy. Exit code 2: invalid."""
    try:
        draft = validated(RuleChange, read_object(file))
        refuse(faults_of(draft, SendTemplates()))
    except (Unusable, Invalid, ValidationError) as error:
        faults = _faults(error)
        if as_json:
            show_json({"valid": False, "faults": faults})
        for line in faults:
            typer.echo(f"signalops: {line}", err=True)
        sys.exit(2)
    show_done("valid", {"valid": True, "faults": []}, as_json)


def try_out(
    tenant: TenantSlug,
    rule: Annotated[str | None, typer.Option(help="A stored rule, by name or id.")] = None,
    version: Annotated[int | None, typer.Option(help="Which version of it; default: the active one.")] = None,
    file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Instead: file of a rule as JSON.")] = None,
    event: Annotated[UUID | None, typer.Option(help="A stored event, by its id.")] = None,
    sample: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Instead: file of an event as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Test one event against one rule: prints why it matches or not, and the message. Sends nothing.

    Exit code 0: it matches and the message can be rendered; 1 otherwise.
    """
    if (rule is None) == (file is None) or (event is None) == (sample is None):
        raise Unusable("Name one rule (--rule or --file) and one event (--event or --sample).")

    async def preparing(connection: db.Connection, tenant_id: TenantId) -> tuple[TenantId, PreparedDryRun]:
        stored = {"id": (await find(connection, tenant_id, rule)).id, "version": version} if rule else None
        tried = {"rule": stored or read_object(file or ""), "event": read_object(sample) if sample else {"id": event}}
        return tenant_id, await prepare(connection, tenant_id, SendTemplates(), validated(DryRunRequest, tried))

    tenant_id, prepared = for_tenant(tenant, preparing)
    seen = asyncio.run(preview(tenant_id, SendTemplates(), prepared))
    if as_json:
        show_json(seen.model_dump(mode="json"))
    else:
        _print(seen)
    sys.exit(0 if seen.matches and not seen.fault else 1)


def _print(seen: DryRunResult) -> None:
    typer.echo(f"{'match' if seen.matches else 'no match'}: {seen.reason}")
    for leaf in seen.explanation:
        values = ", ".join(map(str, leaf.seen)) or "missing"
        typer.echo(f"  {'+' if leaf.matched else '-'} {leaf.path} {leaf.condition}: {values}")
    if seen.message:
        typer.echo(f"\n{seen.message.subject}\n\n{seen.message.body}")
    for note in [*seen.notes, *(f"{w.path}: {w.message}." for w in seen.warnings)]:
        typer.echo(f"* {note}")
    if seen.fault:
        typer.echo(f"error: {seen.fault} A delivery of this event would be dead.", err=True)


def _faults(error: Unusable | Invalid | ValidationError) -> list[str]:
    problem = Invalid.of(error) if isinstance(error, ValidationError) else error
    if isinstance(problem, Invalid) and (faults := problem.members.get("errors")):
        return [f"{fault['path']}: {fault['message']}" + _remedy(fault) for fault in faults]
    return [str(problem)]


def _remedy(fault: dict[str, str]) -> str:
    return f"; {fault['remedy']}." if "remedy" in fault else "."


def _cases(file: Path) -> list[JsonObject]:
    # As the reference reads patterns: the last of two equal keys counts, and numbers keep all their digits.
    cases = read_json(file.read_text(), unique_keys=False)
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError(f"{file} must contain a JSON list of {{name, pattern, event}}.")
    return cases


def _event(text: str) -> JsonObject:
    value = read_json(text)
    if not isinstance(value, dict):
        raise ValueError("The event must be a JSON object.")
    return value
