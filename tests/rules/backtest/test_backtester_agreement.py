"""What a backtest says of the past is what was decided when it was the present."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from signalops import clock, db
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, incoming
from signalops.types import BatchId
from tests.support.rules import make_rule
from tests.support.worlds.backtesting import START, Backtesting

CONDITIONS: list[dict[str, Any]] = [
    {"time_window": {"within": "2m", "count": 3}},
    {"time_window": {"within": "2m", "count": 2, "groupBy": ["payload.user"], "allowedLateness": "5m"}},
    {"time_window": {"within": "2m", "sum": {"field": "payload.n", "atLeast": 4}}, "cooldown": {"for": "1h"}},
    {"time_window": {"within": "3m", "distinct": {"field": "payload.user", "atLeast": 3}}},
    {"cooldown": {"for": "1h", "groupBy": ["payload.user"]}},
    {"digest": {"every": "1h"}},
    {"absent": {"after": "1h"}},
]


@pytest.mark.parametrize("conditions", CONDITIONS, ids="-".join)
@pytest.mark.parametrize("seed", [1, 2])
async def test_outcomes_agree(backtesting: Backtesting, api_pool: db.Pool, conditions: dict[str, Any], seed: int) -> None:
    rule = make_rule(backtesting.owner, backtesting.tenant, {"type": ["order.paid"]}, **conditions)
    random, occurred = Random(seed), clock.now() - timedelta(minutes=9)
    for _ in range(40):
        # In order of their times, as most events come: out of order see test_stretches.
        event = EventIn(type="order.paid", payload={"user": random.choice("abc"), "n": random.choice([0, 1, 2, "x"])})
        occurred += timedelta(seconds=random.randint(0, 13))
        batch = BatchId(clock.new_id())
        row = incoming(backtesting.tenant.id, event.model_copy(update={"occurred_at": occurred}))
        async with api_pool.connection() as connection:
            await event_queries.accept(connection, [row], batch, 0)
        await backtesting.handlers.process_batch(batch, 1)

    result = await backtesting.result({"id": str(rule)}, **{"from": START.isoformat()}, examples=20)
    lived = backtesting.owner.execute("select event_id::text, outcome from signalops.matches order by event_id").fetchall()
    assert [(example["event"], example["outcome"]) for example in result["examples"]] == lived
    assert len(lived) == 40
