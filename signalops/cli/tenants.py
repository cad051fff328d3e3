"""signalops tenant: make, list, suspend and close tenants, and give them plans, rate limits and time zones."""

from typing import Annotated, Any

import typer

from signalops import db
from signalops.access import store as access
from signalops.access.rates import RateLimit
from signalops.access.tenants import manage, store
from signalops.access.tenants.model import TenantChange
from signalops.cli.common import AsJson, as_owner, show_json
from signalops.cli.deletion import delete
from signalops.cli.derived import Commands
from signalops.errors import Unusable
from signalops.http import validated
from signalops.operate import http, tenants
from signalops.operate.model import PlanWanted, TenantIn
from signalops.usage.meters.model import DEFAULT
from signalops.usage.plans.store import Subscribed

app = typer.Typer(no_args_is_help=True, help="Make and list tenants, suspend and close them, give them plans.")
commands = Commands(app, "tenant")
commands.add(http.list_tenants, "list", columns="slug name plan status timeZone id")
commands.add(http.get_tenant, "show", example="acme")
commands.add(
    http.suspend_tenant,
    "suspend",
    done="{slug} is suspended. To let it in again: signalops tenant resume {slug}",
    example="acme --reason 'The invoice of October is not paid.'",
)
commands.add(http.resume_tenant, "resume", done="{slug} is active.", example="acme")
commands.add(
    http.close_tenant,
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
    tenant = as_owner(lambda connection: tenants.create(connection, new, _NOBODY))
    if as_json:
        named = {"id": tenant, "slug": slug, "name": new.name, "time_zone": new.time_zone}
        show_json(named | {"plan": plan, "soft_limit": soft, "hard_limit": hard})
    else:
        typer.echo(f"Tenant {slug} is made. Next: signalops key create --tenant {slug} --label 'first key'")


@app.command(epilog="Example: signalops tenant rate acme --events-per-second 100 --burst 1000")
def rate(
    slug: Slug,
    events_per_second: Annotated[float | None, typer.Option(help="In the long run; none: as many as come.")] = None,
    burst: Annotated[int | None, typer.Option(help="Events at once after a pause.")] = None,
) -> None:
    """Set how many events may come in with all keys of a tenant together; without options as many as come."""
    if (events_per_second is None) != (burst is None):
        raise Unusable("A rate limit has two sides: name --events-per-second and --burst, or neither.")
    said: dict[str, Any] = {"eventsPerSecond": events_per_second, "burst": burst}
    limit = None if burst is None else validated(RateLimit, said)

    async def setting(connection: db.Connection) -> None:
        held = await manage.hold(connection, slug)
        await access.set_tenant_rate(connection, held.id, limit)

    as_owner(setting)
    shown = f"{events_per_second:g} events a second and {burst} at once" if limit else "as many events as come"
    typer.echo(f"{slug} may bring in {shown}.")


@app.command(epilog="Example: signalops tenant retention acme --days 90")
def retention(
    slug: Slug,
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="Days; none: as its plan says.")] = None,
) -> None:
    """Set for how many days a tenant's events are kept, with their deliveries; without the option as its plan says."""

    async def setting(connection: db.Connection) -> None:
        held = await manage.hold(connection, slug)
        await store.set_retention(connection, held.id, days)

    as_owner(setting)
    typer.echo(f"The events of {slug} are kept {f'for {days} days' if days else 'as long as its plan says'}.")


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
        held = await manage.hold_open(connection, slug)
        return await tenants.subscribe(connection, held.id, wanted, author)

    done = as_owner(subscribing)
    if as_json:
        show_json(done._asdict())
    else:
        typer.echo(f"{slug} has version {done.version} of plan {done.plan} from {done.starts_on} on.")


@app.command(epilog="Example: signalops tenant zone acme Europe/Berlin")
def zone(
    slug: Slug,
    time_zone: Annotated[str, typer.Argument(help="A name of the IANA database, such as Europe/Berlin.")],
) -> None:
    """Set the time zone in which a tenant's days and months begin, as long as nothing of it was counted."""
    change = TenantChange(time_zone=time_zone)

    async def setting(connection: db.Connection) -> None:
        held = await manage.hold(connection, slug)
        await store.change_tenant(connection, held.id, name=None, time_zone=change.time_zone)

    as_owner(setting)
    typer.echo(f"The days and months of {slug} begin in {time_zone}.")


app.command(epilog="Example: signalops tenant delete acme --confirm acme")(delete)
