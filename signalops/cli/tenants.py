"""signalops tenant: create, list, change, suspend and close tenants, and assign plans."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, as_owner
from signalops.cli.deletion import delete
from signalops.cli.derived import Commands
from signalops.cli.output import show_json
from signalops.http import validated
from signalops.tenants import find_tenant, tenant_endpoints, tenant_service
from signalops.tenants.tenant_models import PlanSubscription, TenantIn
from signalops.usage.meters.meter_models import DEFAULT
from signalops.usage.plans.plan_queries import SubscriptionStart

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "tenant")
commands.add(tenant_endpoints.list_tenants, "list", columns="slug name plan status timeZone")
commands.add(tenant_endpoints.get_tenant, "show", example="acme")
commands.add(
    tenant_endpoints.change_tenant,
    "update",
    done="Tenant {slug} is changed.",
    example="acme --time-zone Europe/Berlin --retention-days null",
)
commands.add(
    tenant_endpoints.suspend_tenant,
    "suspend",
    done="{slug} is suspended. To let it in again: signalops tenant resume {slug}",
    example="acme --reason 'The invoice of October is not paid.'",
)
commands.add(tenant_endpoints.resume_tenant, "resume", done="{slug} is active.", example="acme")
commands.add(
    tenant_endpoints.close_tenant,
    "close",
    done="{slug} is closed. To remove all that it has: signalops tenant delete {slug} --confirm {slug}",
    example="acme --reason 'The contract has ended.'",
    confirm="Close tenant {tenant} permanently?",
)

_NOBODY = "command line"
Slug = Annotated[str, typer.Argument(help="The tenant's slug.")]
Reason = Annotated[str, typer.Option(help="Reason, shown to the tenant in every refusal.")]
Author = Annotated[str, typer.Option(help="The person responsible.")]


@app.command(epilog="Example: signalops tenant create acme --name 'Acme Inc.' --soft 100000 --hard 120000")
def create(
    slug: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes, such as acme.")],
    name: Annotated[str | None, typer.Option(help="The name for people; default: the slug.")] = None,
    plan: Annotated[str, typer.Option(help="The plan it is billed by.")] = "free",
    soft: Annotated[int | None, typer.Option(min=0, help="Events a month at which a notice is emitted.")] = None,
    hard: Annotated[int | None, typer.Option(min=0, help="Events a month beyond which events are refused.")] = None,
    time_zone: Annotated[str, typer.Option(help="In which its days and months begin, such as Europe/Berlin.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Make a tenant."""
    limits = [{"meter": DEFAULT, "soft": soft, "hard": hard}] if (soft, hard) != (None, None) else []
    content = {"slug": slug, "name": name or slug, "plan": plan, "timeZone": time_zone, "limits": limits}
    new = validated(TenantIn, content)
    tenant = as_owner(lambda connection: tenant_service.create(connection, new, _NOBODY))
    if as_json:
        named = {"id": tenant, "slug": slug, "name": new.name, "timeZone": new.time_zone}
        show_json(named | {"plan": plan, "softLimit": soft, "hardLimit": hard})
    else:
        typer.echo(f"Tenant {slug} is made. Next: signalops key create --tenant {slug} --label 'first key'")


@app.command("plan", epilog="Example: signalops tenant plan acme pro --at-once --author ann")
def plan_(
    slug: Slug,
    plan: Annotated[str, typer.Argument(help="The plan: see `signalops plan list`.")],
    version: Annotated[int | None, typer.Option(help="One of its versions; default: the newest.")] = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="From today, by the day, instead of from the next month.")] = False,
    author: Author = _NOBODY,
    as_json: AsJson = False,
) -> None:
    """Give a tenant a plan; whatever else was scheduled for then or later is withdrawn."""
    subscription = PlanSubscription(plan=plan, version=version, at_once=at_once)

    async def subscribing(connection: db.Connection) -> SubscriptionStart:
        locked = await find_tenant.lock_open_tenant(connection, slug)
        return await tenant_service.subscribe(connection, locked.id, subscription, author)

    done = as_owner(subscribing)
    if as_json:
        show_json(done._asdict())
    else:
        typer.echo(f"{slug} has version {done.version} of plan {done.plan} from {done.starts_on} on.")


app.command(epilog="Example: signalops tenant delete acme --confirm acme")(delete)
