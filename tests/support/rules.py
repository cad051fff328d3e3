"""Rules, stored as a superuser or added over HTTP."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from tests.support.api import JSON, Answer, Client
from tests.support.rows import NOBODY_LISTENS, add_channel, add_rule
from tests.support.tenants import Tenant

RULES = "/api/rules"
PATTERN: dict[str, Any] = {"type": ["user.signup"]}


def make_rule(
    owner: psycopg.Connection, tenant: Tenant, pattern: Mapping[str, object], url: str = NOBODY_LISTENS, **columns: Any
) -> UUID:
    """Store a webhook channel and a rule that notifies through it; return the rule's id.

    The columns are those of rule_versions: time_window, absent, cooldown, digest, active_hours ...
    """
    channel = add_channel(owner, tenant.id, url)
    return add_rule(owner, tenant.id, channel, pattern=pattern, **columns)


def draft(**members: Any) -> dict[str, Any]:
    """Return a rule as it is written; None leaves a member out."""
    whole = {"name": "signups", "pattern": PATTERN, "channel": "ops", **members}
    return {name: value for name, value in whole.items() if value is not None}


async def add(api: Client, tenant: Tenant, **members: Any) -> dict[str, Any]:
    """Add a rule; return it as it is answered."""
    answer = await api.post(draft(**members), tenant, RULES)
    assert answer.status == 201, answer
    added: dict[str, Any] = answer.json
    return added


async def put(api: Client, tenant: Tenant, rule: str, body: dict[str, Any], if_match: str | None = None) -> Answer:
    """Change a rule."""
    headers = JSON | ({"if-match": if_match} if if_match else {})
    return await api.request("PUT", f"{RULES}/{rule}", tenant, data=json.dumps(body), headers=headers)


async def change(api: Client, tenant: Tenant, rule: str, **members: Any) -> dict[str, Any]:
    """Change a rule; return it as it is answered."""
    answer = await put(api, tenant, rule, draft(**{"name": None, **members}))
    assert answer.status == 200, answer
    changed: dict[str, Any] = answer.json
    return changed
