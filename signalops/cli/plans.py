"""signalops plan: versioned price plans, and the price of a given usage."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, as_owner
from signalops.cli.derived import Commands
from signalops.cli.output import console, show_json, show_record
from signalops.cli.rule_args import read_object
from signalops.errors import NotFound, Unusable
from signalops.http import validated
from signalops.usage.plans import plan_endpoints, plan_service
from signalops.usage.plans.money import rounded
from signalops.usage.plans.plan_models import PlanDocument, Price
from signalops.usage.plans.pricing import Step, price

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "plan")
commands.add(plan_endpoints.list_plans, "list", columns="plan version name baseFee currency tenants")

PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name, such as pro.")]
Version = Annotated[int | None, typer.Option(help="One of its versions; default: the newest.")]


@app.command(epilog="Example: signalops plan create pro --file pro.json")
def create(
    plan: PlanName,
    file: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The plan as JSON.")],
    as_json: AsJson = False,
) -> None:
    """Make a plan, or a new version of it: tenants keep theirs until `signalops tenant plan` gives them the new one."""
    document = validated(PlanDocument, read_object(file))

    async def defining(connection: db.Connection) -> tuple[int, bool]:
        return await plan_service.define(connection, plan, document)

    version, is_new = as_owner(defining)
    if as_json:
        show_json({"plan": plan, "version": version, "isNew": is_new})
    elif is_new:
        typer.echo(f"Version {version} of plan {plan} is made. Next: signalops tenant plan TENANT {plan}")
    else:
        typer.echo(f"Version {version} of plan {plan} says the same already; nothing is changed.")


@app.command(epilog="Example: signalops plan show pro --version 1")
def show(plan: PlanName, version: Version = None, as_json: AsJson = False) -> None:
    """Show a plan; with --json, or written to a file, as `plan create` takes it."""
    show_record(_document(plan, version)[1].model_dump(mode="json"), as_json)


@app.command("price", epilog="Example: signalops plan price pro --meter api_calls --quantity 12345")
def price_(
    plan: PlanName,
    meter: Annotated[str, typer.Option(help="The meter that is priced.")],
    quantity: Annotated[str, typer.Option(help="How much is used in a period.")],
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Show what a quantity costs in a whole period, and how that comes about."""
    used = _number(quantity)
    _, document = _document(plan, version)
    done = price(_price(document, plan, meter), used)
    total = rounded(done.amount, document.currency)
    if as_json:
        show_json(done.model_dump(mode="json") | {"total": format(total, "f"), "currency": document.currency})
        return
    if done.included:
        console().print(f"{quantity} - {done.included:f} included = {done.quantity:f}")
    for step in done.steps:
        console().print(_line(step))
    console().print(f"Total: {total:f} {document.currency}")


def _document(plan: str, version: int | None) -> tuple[int, PlanDocument]:
    async def finding(connection: db.Connection) -> tuple[int, PlanDocument]:
        return await plan_service.document_of(connection, plan, version)

    return as_owner(finding)


def _price(document: PlanDocument, plan: str, meter: str) -> Price:
    for one in document.prices:
        if one.meter == meter:
            return one
    raise NotFound(f"Plan {plan} has no price of {meter!r}: see `signalops plan show {plan}`.")


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise Unusable(f"{text!r} is no quantity: write a number such as 12345 or 0.5.")
    return number


def _line(step: Step) -> str:
    packages = f" packages of {step.size:f}" if step.size is not None else ""
    bound = f" (up to {step.up_to:f})" if step.up_to is not None else ""
    flat = f" + {step.flat_amount:f}" if step.flat_amount else ""
    return f"{step.quantity:f}{packages}{bound} x {step.unit_amount:f}{flat} = {step.amount:f}"
