"""signalops tenant: make and list tenants."""

from typing import Annotated

import typer

from signalops import clock, db
from signalops.access import store
from signalops.cli.common import AsJson, as_owner, show_json, show_rows
from signalops.errors import Unusable

app = typer.Typer(no_args_is_help=True, help="Make and list tenants.")


@app.command(epilog="Example: signalops tenant create acme --name 'Acme Inc.' --soft 100000 --hard 120000")
def create(
    slug: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes, such as acme.")],
    name: Annotated[str | None, typer.Option(help="The name for people; default: the slug.")] = None,
    plan: Annotated[str, typer.Option(help="The plan it is billed by.")] = "free",
    soft: Annotated[int | None, typer.Option(min=0, help="Events a month at which a notice is emitted.")] = None,
    hard: Annotated[int | None, typer.Option(min=0, help="Events a month beyond which events are refused.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant."""
    tenant = {
        "id": clock.new_id(),
        "slug": slug,
        "name": name or slug,
        "plan": plan,
        "soft_limit": soft,
        "hard_limit": hard,
    }

    async def add(connection: db.Connection) -> None:
        if await store.tenant_by_slug(connection, slug):
            raise Unusable(f"There is a tenant {slug!r} already: choose another slug.")
        try:
            await store.add_tenant(connection, **tenant)
        except db.REFUSAL as error:
            raise Unusable(f"The tenant can't be made ({db.reason(error)}): a slug is like acme-2.") from error

    as_owner(add)
    if as_json:
        show_json(tenant)
    else:
        typer.echo(f"Tenant {slug} is made. Next: signalops key create --tenant {slug} --label 'first key'")


@app.command("list", epilog="Example: signalops tenant list --json")
def list_(as_json: AsJson = False) -> None:
    """List the tenants."""
    columns = ("slug", "name", "plan", "status", "soft_limit", "hard_limit", "id")
    show_rows(as_owner(store.list_tenants), columns, as_json)
