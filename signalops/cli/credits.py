"""signalops credit: prepaid credit of a tenant."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_json, show_rows
from signalops.cli.times import ahead
from signalops.http import validated
from signalops.types import JsonObject, TenantId
from signalops.usage.credits import credit_endpoints, credit_grants
from signalops.usage.credits.credit_models import CreditIn

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "credit")
commands.add(credit_endpoints.list_entries, "history", columns="createdAt kind amount currency reason")


@app.command(
    epilog="Example: signalops credit grant --tenant acme --amount 100.00 --currency USD --reason 'prepaid' --author ann"
)
def grant(
    tenant: TenantSlug,
    amount: Annotated[str, typer.Option(help="In the currency's major unit, such as 100.00.")],
    currency: Annotated[str, typer.Option(help="ISO 4217, such as USD: it pays invoices in no other.")],
    reason: Annotated[str, typer.Option(help="The reason of the grant.")],
    author: Annotated[str, typer.Option(help="The person responsible.")],
    priority: Annotated[int, typer.Option(help="0 to 100: the lowest is burned first.")] = 50,
    expires: Annotated[
        str | None,
        typer.Option(parser=ahead, metavar="TIME", help="An invoice issued from then on can't use it; default: never."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grant a tenant credit, which its next invoices in that currency use up."""
    terms = {"amount": amount, "currency": currency, "priority": priority, "expiresAt": expires}
    request = validated(CreditIn, {**terms, "reason": reason, "author": author})

    async def granting(connection: db.Connection, tenant_id: TenantId) -> str:
        return str((await credit_grants.grant(connection, tenant_id, request))[0])

    granted = for_tenant(tenant, granting)
    if as_json:
        show_json({"id": granted})
    else:
        typer.echo(f"Credit of {request.amount} {request.currency} is granted to {tenant}: {granted}")


@app.command("list", epilog="Example: signalops credit list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List what a tenant has left, in the order in which invoices burn it."""
    columns = ("currency", "remaining", "amount", "priority", "expiresAt", "reason", "author", "id")
    show_rows([_plain(row) for row in for_tenant(tenant, credit_grants.list_credits)], columns, as_json)


def _plain(row: JsonObject) -> JsonObject:
    """Write a row's decimals as text: a JSON number is none."""
    return row | {name: format(row[name], "f") for name in ("amount", "remaining") if name in row}
