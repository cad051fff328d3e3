"""Rules for tests: a channel to notify, and rules that are added over HTTP."""

import json
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from signalops import clock
from tests.api import JSON, Answer, Client
from tests.people import Tenant

RULES = "/api/rules"
PATTERN: dict[str, Any] = {"type": ["user.signup"]}


def make_channel(owner: psycopg.Connection, tenant: Tenant, name: str = "ops") -> str:
    """Make a webhook channel; return its id."""
    channel = str(clock.new_id())
    owner.execute(
        "insert into signalops.channels (tenant_id, id, name, kind, config) values (%s, %s, %s, 'webhook', %s)",
        [tenant.id, channel, name, Jsonb({"url": "http://127.0.0.1:9/"})],
    )
    return channel


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
