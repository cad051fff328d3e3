"""signalops key: make, list and revoke API keys."""

from typing import Annotated, get_args
from uuid import UUID

import typer

from signalops import clock, db
from signalops.access import store
from signalops.access.keys import PREFIX, hash_key, new_key
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.errors import Unusable
from signalops.terms import Scope, TenantId

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
SCOPES: tuple[str, ...] = get_args(Scope)
ON_REQUEST = {"usage:adjust"}
"""What a key may do only when that was asked for: it changes what is billed."""


@app.command(epilog="Example: signalops key create --tenant acme --label producer --scope events:write")
def create(
    tenant: TenantSlug,
    label: Annotated[str, typer.Option(help="What it is for.")] = "key",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeat for several: {', '.join(SCOPES)}. Default: all but {', '.join(ON_REQUEST)}."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Make a so_test_ key instead of a so_live_ one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    scopes = scope or [scope for scope in SCOPES if scope not in ON_REQUEST]
    if unknown := set(scopes) - set(SCOPES):
        raise Unusable(f"There is no scope {min(unknown)!r}: there are {', '.join(SCOPES)}.")
    key, key_id = new_key(live=not test), clock.new_id()
    fields = {"id": key_id, "prefix": key[:PREFIX], "hash": hash_key(key), "label": label, "scopes": scopes}

    async def add(connection: db.Connection, tenant_id: TenantId) -> None:
        await store.add_key(connection, tenant=tenant_id, **fields)

    for_tenant(tenant, add)
    if as_json:
        show_json({"id": key_id, "key": key, "label": label, "scopes": scopes})
    else:
        typer.echo(f"{key}\n\nThis is the only time the key is shown. Its id is {key_id}.")


@app.command("list", epilog="Example: signalops key list --tenant acme")
def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's keys; the keys themselves are not stored."""
    rows = for_tenant(tenant, store.list_keys)
    show_rows(rows, ("id", "prefix", "label", "scopes", "created_at", "revoked_at"), as_json)


@app.command(epilog="Example: signalops key revoke --tenant acme 01a2084f-6f2e-7c1b-a5f1-0b8f6c2d4e10")
def revoke(
    tenant: TenantSlug, key: Annotated[UUID, typer.Argument(help="The key's id, from `signalops key list`.")]
) -> None:
    """Refuse a key from now on, everywhere."""

    async def refuse(connection: db.Connection, tenant_id: TenantId) -> None:
        if not await store.revoke_key(connection, tenant_id, key):
            raise Unusable(f"{tenant} has no usable key {key}: see `signalops key list --tenant {tenant}`.")

    for_tenant(tenant, refuse)
    typer.echo(f"The key {key} is revoked.")
