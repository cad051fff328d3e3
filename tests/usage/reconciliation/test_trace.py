"""GET /api/usage/lines/{id}/events: every event behind a figure, and nothing else."""

from decimal import Decimal
from typing import Any

import pytest

from tests.support.api import assert_problem
from tests.support.tenants import make_tenant
from tests.usage.reconciliation.conftest import UsageHistory

LINES = """
  select l.id::text, l.kind, l.meter, l.events, l.quantity from signalops.invoice_lines l
  join signalops.invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id where i.kind = 'invoice' order by l.id
"""


def lines(history: UsageHistory, kind: str) -> list[tuple[str, str, str, int, Decimal]]:
    """Return id, kind, meter, events and quantity of the lines of a kind."""
    return [line for line in history.owner.execute(LINES.encode()).fetchall() if line[1] == kind]


async def trace(history: UsageHistory, line: str, limit: int = 7) -> list[dict[str, Any]]:
    """Return all events behind a line, page by page."""
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await history.api.get(f"/api/usage/lines/{line}/events", history.acme, limit=limit, **cursor)).json
        assert len(page["data"]) <= limit
        assert page["hasMore"] == (page["next"] is not None)
        seen += page["data"]
        if not page["hasMore"]:
            return seen
        cursor = {"startingAfter": page["next"]}


@pytest.mark.parametrize("kind", ["usage", "late"])
async def test_the_events_behind_a_line_add_up_to_it(proven: UsageHistory, kind: str) -> None:
    found = lines(proven, kind)
    assert {meter for _, _, meter, _, _ in found} == {"events", "volume"}
    for line, _, meter, events, quantity in found:
        traced = await trace(proven, line)
        assert len({event["id"] for event in traced}) == len(traced) == events
        # People corrected the number of events by 2, and named no event.
        corrected = 2 if meter == "events" else 0
        assert sum(Decimal(event["value"]) for event in traced) + corrected == quantity
        stored = proven.owner.execute("select tenant_id from signalops.events where id = any (%s)", [[e["id"] for e in traced]])
        assert set(stored) == {(proven.acme.id,)}


async def test_what_counts_no_events_has_none(proven: UsageHistory) -> None:
    (base, *_), *_ = lines(proven, "base")
    for line in (base, str(proven.acme.id), "none"):
        assert_problem(await proven.api.get(f"/api/usage/lines/{line}/events", proven.acme), 404, "not-found")
    line = lines(proven, "usage")[0][0]
    assert_problem(await proven.api.get(f"/api/usage/lines/{line}/events", proven.globex), 404, "not-found")
    for query in ({"startingAfter": "x"}, {"limit": 0}, {"page": 2}):
        answer = await proven.api.get(f"/api/usage/lines/{line}/events", proven.acme, **query)
        problem = assert_problem(answer, 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == list(query)
    writer = make_tenant(proven.owner, "writer", scopes=["events:write"])
    assert_problem(await proven.api.get(f"/api/usage/lines/{line}/events", writer), 403, "forbidden")


async def test_events_that_are_gone_leave_their_sealed_totals(history: UsageHistory) -> None:
    await history.live()
    line = lines(history, "usage")[0][0]
    history.outlive("events")
    answer = await history.api.get(f"/api/usage/lines/{line}/events", history.acme)
    problem = assert_problem(answer, 410, "gone")
    totals = await history.api.get(problem["detail"].partition("GET ")[2].rstrip("."), history.acme)
    assert totals.status == 200
    assert totals.json["windows"] != []
