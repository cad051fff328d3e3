"""signalops tenant: make, list, suspend and close tenants, and give them plans, rate limits and time zones."""

from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, as_owner, show_json
from signalops.cli.deletion import delete
from signalops.cli.derived import Commands
from signalops.errors import Unusable
from signalops.http import validated
from signalops.tenants import find_tenant, tenant_endpoints, tenant_service
from signalops.tenants.tenant_models import PlanWanted, TenantIn, TenantPatch, TenantShown
from signalops.usage.meters.meter_models import DEFAULT
from signalops.usage.plans.plan_queries import Subscribed

app = typer.Typer(no_args_is_help=True, help="Make and list tenants, suspend and close them, give them plans.")
commands = Commands(app, "tenant")
commands.add(tenant_endpoints.list_tenants, "list", columns="slug name plan status timeZone id")
commands.add(tenant_endpoints.get_tenant, "show", example="acme")
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
)

_NOBODY = "command line"
Slug = Annotated[str, typer.Argument(help="The tenant's slug.")]
Reason = Annotated[str, typer.Option(help="Why: the tenant is told in every refusal.")]
Author = Annotated[str, typer.Option(help="Who answers for it.")]


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
    said = {"slug": slug, "name": name or slug, "plan": plan, "timeZone": time_zone, "limits": limits}
    new = validated(TenantIn, said)
    tenant = as_owner(lambda connection: tenant_service.create(connection, new, _NOBODY))
    if as_json:
        named = {"id": tenant, "slug": slug, "name": new.name, "time_zone": new.time_zone}
        show_json(named | {"plan": plan, "soft_limit": soft, "hard_limit": hard})
    else:
        typer.echo(f"Tenant {slug} is made. Next: signalops key create --tenant {slug} --label 'first key'")


@app.command(epilog="Example: signalops tenant update acme --rate 100 --burst 1000 --retention-days 90")
def update(
    slug: Slug,
    name: Annotated[str | None, typer.Option(help="The name for people, and on invoices.")] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Such as Europe/Berlin; fixed once something was counted.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Events a second that may come in with all its keys; with --burst.")
    ] = None,
    burst: Annotated[int | None, typer.Option(help="Events at once after a pause; with --rate.")] = None,
    no_rate: Annotated[bool, typer.Option("--no-rate", help="As many events as come.")] = False,
    retention_days: Annotated[int | None, typer.Option(help="For how many days its events are kept.")] = None,
    no_retention: Annotated[bool, typer.Option("--no-retention", help="As long as its plan says.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a tenant; what is not named stays."""
    if (rate is None) != (burst is None):
        raise Unusable("A rate limit has two sides: name --rate and --burst.")
    limit = None if rate is None else {"eventsPerSecond": rate, "burst": burst}
    said = {"name": name, "timeZone": time_zone, "rateLimit": limit, "retentionDays": retention_days}
    said = {field: value for field, value in said.items() if value is not None}
    said |= {"rateLimit": None} if no_rate else {}
    patch = validated(TenantPatch, said | ({"retentionDays": None} if no_retention else {}))

    async def changing(connection: db.Connection) -> TenantShown:
        locked = await find_tenant.hold(connection, slug)
        await tenant_service.change(connection, locked.id, patch)
        return await tenant_service.show(connection, locked.id)

    shown = as_owner(changing).model_dump(mode="json")
    if as_json:
        show_json(shown)
    else:
        typer.echo(f"Tenant {slug} is changed.")


@app.command("plan", epilog="Example: signalops tenant plan acme pro --at-once --author ann")
def plan_(
    slug: Slug,
    plan: Annotated[str, typer.Argument(help="The plan: see `signalops plan list`.")],
    version: Annotated[int | None, typer.Option(help="One of its versions; default: the newest.")] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="From today, by the day, instead of from the next month.")
    ] = False,
    author: Author = _NOBODY,
    as_json: AsJson = False,
) -> None:
    """Give a tenant a plan; whatever else was scheduled for then or later is withdrawn."""
    wanted = PlanWanted(plan=plan, version=version, at_once=at_once)

    async def subscribing(connection: db.Connection) -> Subscribed:
        held = await find_tenant.hold_open(connection, slug)
        return await tenant_service.subscribe(connection, held.id, wanted, author)

    done = as_owner(subscribing)
    if as_json:
        show_json(done._asdict())
    else:
        typer.echo(f"{slug} has version {done.version} of plan {done.plan} from {done.starts_on} on.")


app.command(epilog="Example: signalops tenant delete acme --confirm acme")(delete)
