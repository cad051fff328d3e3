"""signalops tenant: make and list tenants, and give them plans and time zones."""

from typing import Annotated
from zoneinfo import available_timezones

import typer

from signalops import clock, db
from signalops.access import store
from signalops.cli.common import AsJson, as_owner, for_tenant, show_json, show_rows
from signalops.errors import Unusable
from signalops.terms import TenantId
from signalops.usage.limits import set_limit
from signalops.usage.meters.model import DEFAULT
from signalops.usage.plans.model import LimitTerms
from signalops.usage.plans.store import Subscribed, subscribe

app = typer.Typer(no_args_is_help=True, help="Make and list tenants, and give them plans.")

_NOBODY = "command line"


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
    tenant_id = TenantId(clock.new_id())
    limit = LimitTerms(meter=DEFAULT, soft=soft, hard=hard) if (soft, hard) != (None, None) else None
    tenant = {
        "id": tenant_id,
        "slug": slug,
        "name": name or slug,
        "time_zone": _known(time_zone),
    }

    async def add(connection: db.Connection) -> None:
        if await store.tenant_by_slug(connection, slug):
            raise Unusable(f"There is a tenant {slug!r} already: choose another slug.")
        try:
            await store.add_tenant(connection, **tenant)
        except db.REFUSAL as error:
            raise Unusable(f"The tenant can't be made ({db.reason(error)}): a slug is like acme-2.") from error
        await db.act_as(connection, tenant_id)
        await subscribe(connection, tenant_id, plan, at_once=True, author=_NOBODY)
        if limit:
            await set_limit(connection, tenant_id, limit)

    as_owner(add)
    if as_json:
        show_json(tenant | {"plan": plan, "soft_limit": soft, "hard_limit": hard})
    else:
        typer.echo(f"Tenant {slug} is made. Next: signalops key create --tenant {slug} --label 'first key'")


@app.command("list", epilog="Example: signalops tenant list --json")
def list_(as_json: AsJson = False) -> None:
    """List the tenants."""
    columns = ("slug", "name", "plan", "status", "time_zone", "soft_limit", "hard_limit", "id")
    show_rows(as_owner(store.list_tenants), columns, as_json)


@app.command("plan", epilog="Example: signalops tenant plan acme pro --at-once --author ann")
def plan_(
    slug: Annotated[str, typer.Argument(help="The tenant's slug.")],
    plan: Annotated[str, typer.Argument(help="The plan, in its newest version: see `signalops plan list`.")],
    at_once: Annotated[
        bool, typer.Option("--at-once", help="From today, by the day, instead of from the next month.")
    ] = False,
    author: Annotated[str, typer.Option(help="Who answers for it.")] = _NOBODY,
    as_json: AsJson = False,
) -> None:
    """Give a tenant a plan; whatever else was scheduled for then or later is withdrawn."""

    async def subscribing(connection: db.Connection, tenant_id: TenantId) -> Subscribed:
        return await subscribe(connection, tenant_id, plan, at_once, author)

    done = for_tenant(slug, subscribing)
    if as_json:
        show_json(done._asdict())
    else:
        typer.echo(f"{slug} has version {done.version} of plan {done.plan} from {done.starts_on} on.")


@app.command(epilog="Example: signalops tenant zone acme Europe/Berlin")
def zone(
    slug: Annotated[str, typer.Argument(help="The tenant's slug.")],
    time_zone: Annotated[str, typer.Argument(help="A name of the IANA database, such as Europe/Berlin.")],
) -> None:
    """Set the time zone in which a tenant's days and months begin, as long as nothing of it was counted."""

    async def setting(connection: db.Connection, tenant_id: TenantId) -> None:
        try:
            await store.set_time_zone(connection, tenant_id, _known(time_zone))
        except db.REFUSAL as error:
            raise Unusable(f"The time zone can't be set: {db.reason(error)}.") from error

    for_tenant(slug, setting)
    typer.echo(f"The days and months of {slug} begin in {time_zone}.")


def _known(time_zone: str) -> str:
    # Those without a slash are links and abbreviations, which PostgreSQL reads otherwise.
    if time_zone not in available_timezones() or ("/" not in time_zone and time_zone != "UTC"):
        raise Unusable(f"There is no time zone {time_zone!r}: write a name such as Europe/Berlin or UTC.")
    return time_zone
