"""Creates, changes, suspends and closes tenants, for HTTP and the command line, in the caller's transaction."""

from signalops import db, telemetry
from signalops.access.request_limiter import RateLimit
from signalops.errors import Invalid, NotFound
from signalops.tenants import tenant_queries
from signalops.tenants.find_tenant import move
from signalops.tenants.tenant_models import (
    AcceptedEvents,
    NextPlan,
    PlanSubscription,
    Settings,
    TenantIn,
    TenantPatch,
    TenantShown,
)
from signalops.types import FoundTenant, TenantId
from signalops.usage.limits.limit_service import list_limits, set_limit
from signalops.usage.plans import plan_queries as plans
from signalops.usage.plans.plan_queries import SubscriptionChoice, SubscriptionStart

_NOTHING = SubscriptionChoice("free", at_once=True, version=1)
"""Under this version, which is part of the product, nothing costs anything; later ones are the operator's own."""


async def create(connection: db.Connection, new: TenantIn, author: str) -> TenantId:
    """Make a tenant with its plan and limits; Conflict when the slug is taken, Invalid by path."""
    tenant = TenantId(await db.new_id(connection))
    await tenant_queries.add_tenant(connection, id=tenant, slug=new.slug, name=new.name, time_zone=new.time_zone)
    await db.set_tenant(connection, tenant)
    await subscribe(connection, tenant, PlanSubscription(plan=new.plan, at_once=True), author)
    for index, terms in enumerate(new.limits):
        await set_limit(connection, tenant, terms, f"limits.{index}.meter")
    settings = new.model_dump(include=set(Settings.model_fields))
    await change(connection, tenant, TenantPatch.model_validate(settings))
    telemetry.emit("tenant.created", tenant=tenant, slug=new.slug, author=author)
    return tenant


async def show(connection: db.Connection, tenant: TenantId) -> TenantShown:
    """Return a tenant that the transaction acts for."""
    _, *scheduled = await plans.plans_of(connection, tenant)
    following = scheduled[0] if scheduled else None
    row = await tenant_queries.read_tenant(connection, tenant)
    rate, burst = row.pop("rate"), row.pop("burst")
    return TenantShown(
        **row,
        rate_limit=None if rate is None else RateLimit(events_per_second=rate, burst=burst),
        next_plan=following and NextPlan(plan=following["plan"], version=following["version"], starts_on=following["starts_on"]),
        limits=await list_limits(connection, tenant),
        usage=AcceptedEvents.model_validate(await tenant_queries.accepted_events(connection, tenant)),
    )


async def change(connection: db.Connection, tenant: TenantId, patch: TenantPatch) -> None:
    """Change what a patch names of a tenant; Conflict when its time zone is fixed."""
    changes = patch.model_dump(exclude_unset=True, by_alias=False, exclude={"rate_limit"})
    if "rate_limit" in patch.model_fields_set:
        rate = patch.rate_limit
        changes |= {"rate_per_second": rate and rate.events_per_second, "rate_burst": rate and rate.burst}
    if changes:
        await tenant_queries.change_tenant(connection, tenant, changes)


async def subscribe(
    connection: db.Connection, tenant: TenantId, subscription: PlanSubscription, author: str
) -> SubscriptionStart:
    """Give a tenant a plan; Invalid when there is none, Conflict with what the tenant has."""
    try:
        return await plans.subscribe(
            connection, tenant, SubscriptionChoice(subscription.plan, subscription.at_once, subscription.version), author
        )
    except NotFound as error:
        message = error.detail[0].lower() + error.detail[1:].removesuffix(".")
        raise Invalid.at("plan", message) from error


async def close(connection: db.Connection, locked: FoundTenant, reason: str, author: str) -> None:
    """Close a locked tenant permanently: it costs nothing from today on, and the month is invoiced as usual."""
    await move(connection, locked, "closed", reason)
    await plans.subscribe(connection, locked.id, _NOTHING, author)
