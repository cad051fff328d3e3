"""What the tests of deliveries, dead letters and channels over HTTP do before they look."""

import json
from typing import Any
from uuid import UUID

import psycopg

from tests.support.api import JSON, Answer, Client
from tests.support.tenants import Tenant
from tests.support.worlds.outbox import Outbox

CHANNELS, DELIVERIES, DEAD_LETTERS = "/api/channels", "/api/deliveries", "/api/dead-letters"


def die(owner: psycopg.Connection, tenant: UUID, delivery: UUID, error: str = "The receiver answered 500.") -> None:
    """Let a pending delivery die, as a worker would after its last attempt."""
    with owner.transaction():
        owner.execute("select signalops.set_tenant(%s)", [tenant])
        owner.execute("update signalops.deliveries set status = 'sending', attempts = 1 where id = %s", [delivery])
        died = owner.execute("select signalops.advance_delivery(%s, %s, 'dead', %s)", [tenant, delivery, error])
        assert died.fetchone() == (True,)


def statuses(outbox: Outbox) -> dict[str, int]:
    """Return how many deliveries are in each state."""
    query = "select status, count(*) from signalops.deliveries group by status"
    return dict(outbox.owner.execute(query).fetchall())


async def ids(api: Client, tenant: Tenant, path: str, **filters: object) -> list[str]:
    """Return the ids of a page."""
    answer = await api.get(path, tenant, **filters)
    assert answer.status == 200, answer
    return [one["id"] for one in answer.json["data"]]


async def do(api: Client, tenant: Tenant, path: str, body: dict[str, Any] | None = None) -> Answer:
    """Post a body, or none."""
    return await api.post({} if body is None else body, tenant, path)


async def put(api: Client, tenant: Tenant, path: str, body: dict[str, Any], if_match: str | None = None) -> Answer:
    """Change something."""
    headers = JSON | ({"if-match": if_match} if if_match else {})
    return await api.request("PUT", path, tenant, data=json.dumps(body), headers=headers)
