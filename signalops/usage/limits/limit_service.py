"""Sets, removes and lists limits, for the API and the command line alike; each in a transaction of the tenant."""

from decimal import Decimal

from signalops import db
from signalops.errors import Invalid, NotFound
from signalops.http import validated
from signalops.types import TenantId
from signalops.usage.limits import limit_queries
from signalops.usage.limits.limit_models import LimitShown
from signalops.usage.plans.plan_models import LimitPatch, LimitTerms


async def set_limit(connection: db.Connection, tenant: TenantId, terms: LimitTerms, at: str = "meter") -> None:
    """Set a tenant's own limit, effective immediately; Invalid at a path if no meter of that key can be limited."""
    fields = terms.model_dump() | {"thresholds": sorted(set(terms.thresholds))}
    if not await limit_queries.set_limit(connection, tenant=tenant, **fields):
        raise Invalid.at(at, f"there is no meter {terms.meter!r} that counts or sums: limits are for these")


async def patch_limit(connection: db.Connection, tenant: TenantId, meter: str, patch: LimitPatch) -> None:
    """Change the fields that are set of a tenant's own limit; NotFound without one, Invalid if nothing is limited any more."""
    own = [limit for limit in await list_limits(connection, tenant) if limit.meter == meter and limit.origin == "tenant"]
    if not own:
        raise NotFound(f"The tenant has no limit of its own on {meter}: set one.")
    current = own[0].model_dump(mode="json", include={"soft", "hard", "thresholds", "overage"})
    changed = patch.model_dump(mode="json", exclude_unset=True)
    await set_limit(connection, tenant, validated(LimitTerms, current | changed | {"meter": meter}))


async def remove_limit(connection: db.Connection, tenant: TenantId, meter: str) -> None:
    """Remove the tenant's own limit of a meter: its plan's, if any, takes effect; NotFound."""
    if not await limit_queries.remove_limit(connection, tenant, meter):
        raise NotFound(f"The tenant has no limit of its own on {meter}: see `signalops limit list`.")


async def list_limits(connection: db.Connection, tenant: TenantId) -> list[LimitShown]:
    """Return the limits in effect today, with how much of them is used."""
    return [_shown(row) for row in await limit_queries.list_limits(connection, tenant)]


def _shown(row: db.Row) -> LimitShown:
    whole: Decimal = row["soft"] if row["hard"] is None else row["hard"]
    percent = round(float(row["accepted"] / whole * 100), 1) if whole else None
    return LimitShown(**row, percent=percent)
