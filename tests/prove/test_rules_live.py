"""A changed rule is live in every worker at once, and no event is evaluated by half of the change."""

import asyncio

import psycopg

from signalops.config import Settings
from tests.support.api import running
from tests.support.processes import eventually, worker
from tests.support.rules import make_rule
from tests.support.tenants import Tenant

CHANGES = 12
EVENTS = 10


async def test_events_sent_after_a_change_are_decided_by_it_in_every_worker(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    make_rule(owner, acme, {"type": ["never"]})
    ((channel,),) = owner.execute("select id::text from signalops.channels").fetchall()
    draft = {"name": "orders", "pattern": {"type": ["order.paid"], "payload": {"turn": [0]}}, "channel": channel}
    async with running(settings) as client, worker(settings), worker(settings):
        # Each process registers twice: it has slots of their own for maintenance jobs.
        await eventually(lambda: owner.execute("select from procrastinate.procrastinate_workers").rowcount == 4)
        made = await client.post(draft, acme, "/api/rules")
        path = f"/api/rules/{made.json['id']}"
        expected: dict[str, int] = {}
        for turn in range(CHANGES):
            if turn:
                changed = draft | {"pattern": {"type": ["order.paid"], "payload": {"turn": [turn]}}}
                answer = await client.request("PUT", path, acme, json=changed)
                assert answer.json["version"] == turn + 1
            event = {"type": "order.paid", "payload": {"turn": turn}}
            answers = await asyncio.gather(*(client.post(event, acme) for _ in range(EVENTS)))
            expected |= {answer.json["id"]: turn + 1 for answer in answers}
            # An event sent before a change and processed after it is evaluated by the changed rule.
            await eventually(lambda: owner.execute("select from signalops.inbox").rowcount == 0)
    matched = owner.execute("select event_id::text, rule_version from signalops.matches").fetchall()
    assert dict(matched) == expected
    workers = owner.execute("select count(distinct worker) from signalops.batch_results").fetchone()
    assert workers == (2,)
