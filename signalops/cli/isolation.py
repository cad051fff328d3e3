"""signalops isolation-check: proves on this installation that no tenant sees another."""

from itertools import groupby

import typer

from signalops.cli.common import AsJson, as_owner, show_json, show_rows
from signalops.watch.isolation import Finding, check


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: signalops isolation-check --json")(isolation_check)


def isolation_check(as_json: AsJson = False) -> None:
    """Try every table, view, partition, function, sequence and index across two tenants, in the roles of the API and the worker.

    Everything is undone: it can be run while events come in. Exits with 1 when one tenant could tell of the other.
    """
    findings = as_owner(check)
    faults = [finding for finding in findings if not finding.ok]
    if as_json:
        show_json([finding._asdict() for finding in findings])
    else:
        show_rows(_lines(findings), ("kind", "object", "role", "tried", "result"), as_json=False)
        _show_sum(findings, faults)
    raise typer.Exit(1 if faults else 0)


def _lines(findings: list[Finding]) -> list[dict[str, str]]:
    """Put the tries on an object in a role on one line when all hold, and each fault on one of its own."""
    ordered = sorted(findings, key=lambda finding: (finding.kind, finding.object, finding.role, finding.ok))
    lines = []
    for _, group in groupby(ordered, key=lambda finding: (*finding[:3], finding.ok)):
        tries = list(group)
        lines += [_line(tries)] if tries[0].ok else [_line([fault]) for fault in tries]
    return lines


def _line(tries: list[Finding]) -> dict[str, str]:
    results = list(dict.fromkeys(finding.result for finding in tries))
    mark = "ok" if tries[0].ok else "LEAK"
    said = {"tried": ", ".join(finding.tried for finding in tries), "result": f"{mark}: {'; '.join(results)}"}
    return tries[0]._asdict() | said


def _show_sum(findings: list[Finding], faults: list[Finding]) -> None:
    objects = len({(finding.kind, finding.object) for finding in findings})
    typer.echo(f"\n{len(findings)} tries on {objects} objects.")
    typer.echo(f"{len(faults)} of them tell one tenant of another." if faults else "No tenant sees another.")
