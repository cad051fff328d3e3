"""Tenants, keys and rules for tests, made as the superuser makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import bcrypt
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from signalops import clock
from signalops.access.keys import PREFIX, new_key
from signalops.access.trust import mint, trust_of
from signalops.config import Settings
from signalops.terms import TenantId

EVERYTHING = [
    "events:write",
    "events:read",
    "rules:*",
    "channels:*",
    "deliveries:*",
    "meters:*",
    "usage:read",
    "keys:*",
]


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
    owner: psycopg.Connection,
    slug: str,
    soft: int | None = None,
    hard: int | None = None,
    scopes: list[str] = EVERYTHING,
) -> Tenant:
    """Make a tenant with one key; its hash has the least cost that bcrypt allows, for speed."""
    tenant, key = TenantId(clock.new_id()), new_key()
    owner.execute("insert into signalops.tenants (id, slug, name) values (%s, %s, %s)", [tenant, slug, slug.title()])
    if (soft, hard) != (None, None):
        set_limit(owner, tenant, soft=soft, hard=hard)
    hashed = bcrypt.hashpw(key.encode(), bcrypt.gensalt(4)).decode()
    owner.execute(
        "insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes) values (%s, %s, %s, %s, 'test', %s)",
        [tenant, clock.new_id(), key[:PREFIX], hashed, scopes],
    )
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


def make_rule(
    owner: psycopg.Connection,
    tenant: Tenant,
    pattern: Mapping[str, object],
    url: str = "http://127.0.0.1:9/",
    grammar: int = 2,
    **conditions: Any,
) -> UUID:
    """Make a webhook channel and a rule that notifies through it; return the rule's id.

    The conditions are columns of rule_versions: time_window, absent, cooldown, digest, active_hours.
    """
    channel, rule = clock.new_id(), clock.new_id()
    owner.execute(
        "insert into signalops.channels (tenant_id, id, name, kind, config) values (%s, %s, %s, 'webhook', %s)",
        [tenant.id, channel, f"channel {channel}", Jsonb({"url": url})],
    )
    with owner.transaction():
        owner.execute(
            "insert into signalops.rules (tenant_id, id, name, active_version) values (%s, %s, %s, 1)",
            [tenant.id, rule, f"rule {rule}"],
        )
        owner.execute(
            "insert into signalops.rule_versions (tenant_id, rule_id, version, grammar, pattern, channel_id, template) "
            "values (%s, %s, 1, %s, %s, %s, '{}')",
            [tenant.id, rule, grammar, Jsonb(pattern), channel],
        )
        for column, said in conditions.items():
            change = sql.SQL("update signalops.rule_versions set {} = %s where rule_id = %s").format(
                sql.Identifier(column)
            )
            owner.execute(change, [Jsonb(said), rule])
    return rule
