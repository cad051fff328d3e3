"""signalops isolation-check: checks that everything which isolates tenants is in place in this database."""

import typer

from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import show_json, show_rows
from signalops.watch.isolation import FUNCTIONS, INDEXES, OPERATORS, check

app = typer.Typer()


@app.command(epilog="Example: signalops isolation-check --json")
def isolation_check(as_json: AsJson = False) -> None:
    """Check every table, view, function, index and sequence: forced row-level security, policies, grants, definers.

    Exits with 1 if anything would let one tenant see another's data. Exceptions by design are listed with their reasons.
    """
    walk = as_owner(check)
    reasons = FUNCTIONS | INDEXES | {table: reason for table, (_, reason) in OPERATORS.items()}
    if as_json:
        faults = [fault._asdict() for fault in walk.faults]
        show_json({"objects": walk.objects, "faults": faults, "crossesTenants": reasons})
    else:
        by_design = [{"object": name, "reason": reason} for name, reason in sorted(reasons.items())]
        show_rows(by_design, ("object", "reason"), as_json=False)
        show_rows([fault._asdict() for fault in walk.faults], ("kind", "object", "role", "fault"), as_json=False)
        verdict = f"{len(walk.faults)} faults." if walk.faults else "Tenants are isolated."
        typer.echo(f"\n{walk.objects} objects; above: what crosses tenants by design. {verdict}")
    raise typer.Exit(1 if walk.faults else 0)
