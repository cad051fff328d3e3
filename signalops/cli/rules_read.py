"""signalops rule list, show, versions, diff: looks at a tenant's rules."""

from typing import Annotated, Any

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, for_tenant, show_json, show_rows
from signalops.cli.drafts import RuleName, find
from signalops.rules import manage, store
from signalops.rules.shown import Diff, RuleShown, VersionShown
from signalops.terms import TenantId

_ALL = 1_000_000
_LATEST = 2**31 - 1


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list", epilog="Example: signalops rule list --tenant acme --json")(list_)
    app.command(epilog="Example: signalops rule show --tenant acme 'new signups' > rule.json")(show)
    app.command(epilog="Example: signalops rule versions --tenant acme 'new signups'")(versions)
    app.command(epilog="Example: signalops rule diff --tenant acme 'new signups' --from 1 --to 3")(diff)


def list_(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List a tenant's rules in their active versions."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        rows = await store.list_rules(connection, tenant_id)
        return [RuleShown.model_validate(row).document() for row in sorted(rows, key=lambda row: row["name"])]

    rules = for_tenant(tenant, listing)
    if not as_json:
        rules = [rule | {"channel": rule["channel"]["name"]} for rule in rules]
    show_rows(rules, ("name", "enabled", "version", "severity", "pattern", "channel", "id"), as_json)


def show(tenant: TenantSlug, rule: RuleName) -> None:
    """Show a rule whole, as JSON."""
    show_json(for_tenant(tenant, lambda connection, tenant_id: find(connection, tenant_id, rule)).document())


def versions(tenant: TenantSlug, rule: RuleName, as_json: AsJson = False) -> None:
    """List a rule's versions, newest first."""

    async def listing(connection: db.Connection, tenant_id: TenantId) -> list[dict[str, Any]]:
        found = await find(connection, tenant_id, rule)
        rows = await store.list_versions(connection, tenant_id, found.id, before=_LATEST, limit=_ALL)
        return [VersionShown.model_validate(row).document() for row in rows]

    rows = for_tenant(tenant, listing)
    show_rows(rows, ("version", "createdAt", "grammar", "severity", "pattern"), as_json)


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
        return await manage.diff(connection, tenant_id, found.id, before, after)

    compared = for_tenant(tenant, comparing).document()
    if as_json:
        show_json(compared)
        return
    rows = [{"before": None, "after": None} | change for change in compared["changes"]]
    show_rows(rows, ("path", "before", "after"), as_json=False)
