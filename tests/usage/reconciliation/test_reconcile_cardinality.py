"""Groups and distinct values are bounded by tenant and month, and batches by rows; what was counted can be counted again."""

from typing import Any

import pytest

from signalops import db, processor
from signalops.usage.reconciliation.reconcile import audit
from tests.support.api import capture_log
from tests.usage.reconciliation.conftest import UsageHistory

REACHED = "signalops.usage.cardinality_limit_reached"


async def assert_audited(history: UsageHistory) -> None:
    async with db.as_owner(history.settings) as connection:
        report = await audit(connection, {history.acme.id: "acme", history.globex.id: "globex"})
    assert report.differences == []
    assert report.checked.recounted > 0


async def usage(history: UsageHistory, meter: str) -> dict[str, Any]:
    query = {"meter": meter, "window": "month", "groupBy": "true"}
    shown: dict[str, Any] = (await history.api.get("/api/usage", history.acme, **query)).json
    return shown


def rows(history: UsageHistory) -> int:
    values = "select count(*) from signalops.usage_distinct_values"
    found = history.owner.execute(
        f"select ({values}) + count(*) from signalops.usage_counters where group_key <> '[]'"
    ).fetchone()
    assert found is not None
    return int(found[0])


async def test_beyond_the_limit_totals_stay_exact_and_nothing_more_is_kept(history: UsageHistory) -> None:
    await history.equip()
    history.owner.execute("update signalops.tenants set usage_rows = 30")
    await history.post(history.acme, *({"v": n, "k": str(n)} for n in range(2)))
    await history.process()
    await history.handlers.tidy()
    before = await usage(history, "m_sum")
    assert (before["quantity"], before["isLimited"], len(before["windows"])) == ("1", False, 2)
    await history.post(history.acme, *({"v": n, "k": str(n)} for n in range(2, 10)))
    await history.process()
    sizes = history.owner.execute("select rows from signalops.usage_row_counts").fetchall()
    assert sizes == [(row_count := rows(history),)]
    assert row_count >= 30
    with capture_log("usage.cardinality_limit_reached") as emitted:
        await history.handlers.tidy()
    assert emitted.get_nowait()["tenant"] == history.acme.id
    events = history.owner.execute("select payload, causation_depth from signalops.events where type = %s", [REACHED]).fetchall()
    assert [(payload["limit"], payload["rows"], causation_depth) for payload, causation_depth in events] == [(30, row_count, 1)]
    await history.post(history.acme, *({"v": n, "k": str(n)} for n in range(10, 30)))
    await history.post(history.globex, {"v": 1, "k": "1"})
    await history.process()
    await history.handlers.tidy()
    assert rows(history) == row_count
    after = await usage(history, "m_sum")
    assert (after["quantity"], after["events"], after["isLimited"]) == (str(sum(range(30))), 30, True)
    assert [w["quantity"] for w in after["windows"] if w["group"] is None] == [str(sum(range(10, 30)))]
    unique = await usage(history, "m_unique_count")
    assert (unique["quantity"], unique["events"], unique["isLimited"]) == ("10", 30, True)
    assert (await usage(history, "events"))["isLimited"] is False
    await assert_audited(history)


async def test_a_batch_of_many_distinct_values_is_counted_in_several_transactions(
    history: UsageHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when the meters change between them, the rest is a batch of its own: its record names the meters it was counted by."""
    await history.equip()
    monkeypatch.setattr(processor, "MAX_ROWS", 30)
    batch = [{"type": "order", "payload": {"v": list(range(100 * n, 100 * n + 100)), "k": "0"}} for n in range(3)]
    assert (await history.api.post_batch(batch, history.acme)).status == 202
    waiting = history.owner.execute("select distinct batch from signalops.inbox").fetchall()
    for (one,) in waiting:
        await history.handlers.process_batch(one, 1)
    assert history.owner.execute("select count(*) from signalops.inbox").fetchone() == (2,)
    meter = {"key": "later", "name": "L", "aggregation": "sum", "field": "payload.v", "pattern": {"type": ["order"]}}
    assert (await history.api.post(meter, history.acme, "/api/meters")).status == 201
    await history.process()
    assert (await usage(history, "m_unique_count"))["quantity"] == "300"
    assert (await usage(history, "later"))["events"] == 2
    assert len(history.owner.execute("select from signalops.batch_results where events > 0").fetchall()) == 2
    await assert_audited(history)
