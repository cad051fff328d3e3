"""signalops key: make, list, rotate and revoke API keys."""

from contextlib import suppress
from typing import Annotated, get_args
from uuid import UUID

import typer

from signalops import db
from signalops.access import access_queries, key_service
from signalops.access.digests import Digests
from signalops.access.key_endpoints import Keys
from signalops.access.key_models import CreatedKey, KeyRotation, NewKey
from signalops.access.key_service import make_secret
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_json
from signalops.cli.times import ahead, seconds
from signalops.config import settings
from signalops.errors import Unusable
from signalops.http import validated
from signalops.types import Scope, TenantId

app = typer.Typer(no_args_is_help=True)


async def key_id(connection: db.Connection, tenant: TenantId, named: str) -> UUID:
    """Return the id of a key by its id, prefix or label; Unusable if it is none, or the label of several."""
    with suppress(ValueError):
        return UUID(named)
    found = [key for key in await access_queries.list_keys(connection, tenant) if named in (key["prefix"], key["label"])]
    if len(found) != 1:
        raise Unusable(f"There {'are several keys' if found else 'is no key'} {named!r}: see `signalops key list`.")
    return UUID(str(found[0]["id"]))


commands = Commands(app, "key", lambda: Keys(Digests.of(settings())), {"key": key_id})
commands.add(Keys.list_keys, "list", columns="label prefix scopes lastUsedAt revokedAt")
commands.add(Keys.get_key, "show", example="producer")
commands.add(
    Keys.patch_key, "update", done="The key {id} is changed.", example="producer --label billing --allowed-cidrs 10.0.0.0/8"
)
commands.add(Keys.revoke_key, "revoke", done="The key {id} is revoked.", example="producer", confirm="Revoke key {key} for good?")
SCOPES: tuple[str, ...] = get_args(Scope)
ON_REQUEST = {"usage:adjust"}
"""What a key may do only when that was asked for: it changes what is billed."""

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, prefix or label.")]
Expires = Annotated[str | None, typer.Option(parser=ahead, metavar="TIME", help="When it expires, or 90d from now.")]


@app.command(epilog="Example: signalops key create --tenant acme --label producer --scope events:write --cidr 203.0.113.0/24")
def create(
    tenant: TenantSlug,
    label: Annotated[str, typer.Option(help="What it is for.")] = "key",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"Repeat for several: {', '.join(SCOPES)}. Default: all but {', '.join(ON_REQUEST)}.")
    ] = None,
    expires: Expires = None,
    cidr: Annotated[
        list[str] | None, typer.Option(help="A network from which it is accepted; repeat for several. Default: from everywhere.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Events a second that may come in with it; with --burst. Default: as many as come.")
    ] = None,
    burst: Annotated[int | None, typer.Option(help="Events at once after a pause; with --rate.")] = None,
    test: Annotated[bool, typer.Option("--test", help="Make a so_test_ key instead of a so_live_ one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    scopes = scope or [scope for scope in SCOPES if scope not in ON_REQUEST]
    if unknown := set(scopes) - set(SCOPES):
        raise Unusable(f"There is no scope {min(unknown)!r}: there are {', '.join(SCOPES)}.")
    if (rate is None) != (burst is None):
        raise Unusable("A rate limit needs both: give --rate and --burst.")
    rates = None if rate is None else {"eventsPerSecond": rate, "burst": burst}
    bounds = {"expiresAt": expires, "allowedCidrs": cidr or [], "kind": "test" if test else "live"}
    new = validated(NewKey, {"label": label, "scopes": scopes, "rateLimit": rates, **bounds})
    secret = make_secret(new.kind, Digests.of(settings()))

    async def add(connection: db.Connection, tenant_id: TenantId) -> CreatedKey:
        return await key_service.add(connection, tenant_id, new, secret)

    _show(for_tenant(tenant, add), as_json)


@app.command(epilog="Example: signalops key rotate --tenant acme producer")
def rotate(
    tenant: TenantSlug,
    key: KeyArgument,
    overlap: Annotated[str, typer.Option(metavar="DURATION", help="How long the old key is still accepted, such as 1h.")] = "1d",
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Make a key like another, which ends after the overlap, and show it, this once."""
    rotation = validated(KeyRotation, {"overlapSeconds": seconds(overlap), "expiresAt": expires})

    async def replace(connection: db.Connection, tenant_id: TenantId) -> CreatedKey:
        old = await key_service.show(connection, tenant_id, await key_id(connection, tenant_id, key))
        secret = make_secret(key_service.kind_of_successor(old), Digests.of(settings()))
        return await key_service.rotate(connection, tenant_id, old, rotation, secret)

    _show(for_tenant(tenant, replace), as_json)


def _show(made: CreatedKey, as_json: bool) -> None:
    if as_json:
        show_json(made.model_dump(mode="json"))
    else:
        typer.echo(f"{made.key}\n\nThis is the only time the key is shown. Its id is {made.id}.")
