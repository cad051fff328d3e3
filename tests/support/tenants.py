"""Tenants, their keys and limits, stored as a superuser; and the headers by which they and operators are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import psycopg

from signalops import clock
from signalops.access.jwt_config import mint, trust_of
from signalops.access.key_format import PREFIX, hash_key, new_key
from signalops.config import Settings
from signalops.types import TenantId
from tests.support.rows import add

EVERYTHING = ["events:write", "events:read", "rules:*", "channels:*", "deliveries:*", "meters:*", "usage:read", "keys:*"]


@dataclass(frozen=True)
class Tenant:
    """A tenant, and a key of it in plain."""

    id: TenantId
    slug: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}


def make_tenant(
    owner: psycopg.Connection, slug: str, soft: int | None = None, hard: int | None = None, scopes: list[str] = EVERYTHING
) -> Tenant:
    """Store a tenant with one key."""
    tenant, key = TenantId(clock.new_id()), new_key()
    add(owner, "tenants", tenant, id=tenant, slug=slug, name=slug.title())
    if (soft, hard) != (None, None):
        set_limit(owner, tenant, soft=soft, hard=hard)
    add(owner, "api_keys", tenant, prefix=key[:PREFIX], hash=hash_key(key), label="test", scopes=scopes)
    return Tenant(tenant, slug, key)


def operator_headers(settings: Settings, *scopes: str, subject: str = "olga") -> dict[str, str]:
    """Return headers with an operator's token that has some scopes."""
    return _bearer(settings, subject, None, scopes)


def user_headers(settings: Settings, tenant: Tenant, *scopes: str, subject: str = "ursula") -> dict[str, str]:
    """Return headers with a token of a tenant's user that has some scopes."""
    return _bearer(settings, subject, str(tenant.id), scopes)


def _bearer(settings: Settings, subject: str, tenant: str | None, scopes: Sequence[str]) -> dict[str, str]:
    trust = trust_of(settings)
    assert trust, "these settings take no tokens"
    return {"authorization": f"Bearer {mint(trust, subject, tenant, scopes, 600)}"}


def set_limit(
    owner: psycopg.Connection,
    tenant: UUID,
    meter: str = "events",
    *,
    soft: Decimal | int | None = None,
    hard: Decimal | int | None = None,
    thresholds: Sequence[int] = (),
    overage: str = "refuse",
) -> None:
    """Give a tenant a limit of its own, whatever the day; without soft and hard none holds."""
    owner.execute(
        "insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage) "
        "values (%s, %s, 'tenant', '2000-01-01', %s, %s, %s, %s) on conflict (tenant_id, meter, origin, starts_on) do update "
        "set soft = excluded.soft, hard = excluded.hard, thresholds = excluded.thresholds, overage = excluded.overage",
        [tenant, meter, soft, hard, list(thresholds), overage],
    )
