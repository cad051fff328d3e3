"""What a worker adds up and the database keeps agrees, batch by batch, with a model that looks at all events at once."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalops import clock
from signalops.config import Settings
from signalops.db import admin_url
from signalops.inbox.inbox_queries import Part, Results
from signalops.types import TenantId
from signalops.usage.meters.compiled_meters import CompiledMeters, compile_meters
from signalops.usage.meters.count import count
from tests.usage.meters.test_count import REPEATED, UNPROVEN

START = datetime(2026, 10, 31, 21, tzinfo=UTC)
CLOSED_UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
AGGREGATIONS = ("count", "sum", "avg", "max", "min", "latest", "unique_count")
VALUES = (3, -2, 0.1, 0.25, "7.5", "-1.25", 10**15)


class Seen(NamedTuple):
    """An event: its half hour, group and value (None: it has none); the first of a batch says whether it comes late."""

    half_hour: int
    group: int
    value: Any
    is_late: bool


EVENTS = st.lists(
    st.builds(Seen, st.integers(0, 11), st.integers(0, 2), st.sampled_from([None, *VALUES]), st.booleans()),
    min_size=1,
    max_size=25,
)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(admin_url(settings)) as connection:
        yield connection


def meters_of(aggregation: str, group_by: list[str]) -> CompiledMeters:
    row = {"key": "m", "aggregation": aggregation, "grammar": 2, "pattern": {"type": ["a"]}, "group_by": group_by}
    row |= {"allows_negative": True}
    row["field"] = None if aggregation == "count" else "payload.v"
    return compile_meters(1, [row], lambda key, error: pytest.fail(error))


def event_row(event: Seen) -> dict[str, Any]:
    """Return an event as a batch has it."""
    occurred = START + event.half_hour * timedelta(minutes=30)
    payload = {"g": event.group} | ({} if event.value is None else {"v": event.value})
    shown = {"id": str(clock.new_id()), "causation_depth": 0, "attributes": None, "type": "a", "source": None, "replay": None}
    return shown | {"occurredAt": occurred.isoformat(), "payload": payload}


def counted(
    connection: psycopg.Connection, meters: CompiledMeters, batches: list[list[dict[str, Any]]], closed: list[bool]
) -> dict[Any, Any]:
    """Return (hour, group, period, late) -> (events, value or items) as the database has them after all batches."""
    tenant = TenantId(clock.new_id())
    with connection.transaction(force_rollback=True):
        for events, is_closed in zip(batches, closed, strict=True):
            results, until = Results(), CLOSED_UNTIL if is_closed else None
            count(meters, Part(tenant, 0, events, 1, "UTC", until), results, str(clock.new_id()))
            metered = orjson.dumps(results.metered).decode()
            connection.execute("select signalops.count_usage(%s::text::jsonb)", [metered])
        assert connection.execute(UNPROVEN.encode()).fetchall() == connection.execute(REPEATED.encode()).fetchall() == []
        rows = connection.execute(
            "select hour, group_key, period, is_late, events, value, array("
            " select distinct_value from signalops.usage_distinct_values i"
            " where (i.tenant_id, i.meter, i.hour, i.group_key, i.period)"
            " = (c.tenant_id, c.meter, c.hour, c.group_key, c.period))"
            " from signalops.usage_counters c where tenant_id = %s and meter = 'm'",
            [tenant],
        ).fetchall()
    return {tuple(key): (events, set(items) or value) for *key, events, value, items in rows}


def naive(aggregation: str, is_grouped: bool, events: list[tuple[Seen, str, bool]]) -> dict[Any, Any]:
    """Return the same of a list of (event, id, whether October was closed when it was processed)."""
    members: dict[Any, list[tuple[Seen, str]]] = {}
    for event, identity, is_closed in events:
        hour = START + event.half_hour // 2 * timedelta(hours=1)
        is_late = is_closed and hour < CLOSED_UNTIL
        period = date(2026, 11, 1) if is_late else hour.date().replace(day=1)
        if event.value is not None or aggregation == "count":
            group = f"[{event.group}]" if is_grouped else "[]"
            members.setdefault((hour, group, period, is_late), []).append((event, identity))
    return {key: (len(found), _figure(aggregation, found)) for key, found in members.items()}


def _figure(aggregation: str, found: list[tuple[Seen, str]]) -> Any:
    if aggregation == "count":
        return len(found)
    if aggregation == "unique_count":
        return {orjson.dumps(event.value).decode() for event, _ in found}
    numbers = [Decimal(str(event.value)) for event, _ in found]
    figures: dict[str, Callable[[list[Decimal]], Any]] = {"sum": sum, "avg": sum, "max": max, "min": min}
    if aggregation == "latest":
        return max((event.half_hour, identity, number) for (event, identity), number in zip(found, numbers, strict=True))[2]
    return figures[aggregation](numbers)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("is_grouped", [False, True])
def test_counters_are_what_the_naive_model_says(connection: psycopg.Connection, aggregation: str, is_grouped: bool) -> None:
    meters, found = meters_of(aggregation, ["payload.g"] if is_grouped else []), set[bool]()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(EVENTS, min_size=1, max_size=4))
    def agree(batches: list[list[Seen]]) -> None:
        closed = [batch[0].is_late for batch in batches]
        events = [[event_row(event) for event in batch] for batch in batches]
        known = [
            (seen, event["id"], is_closed)
            for batch, batch_events, is_closed in zip(batches, events, closed, strict=True)
            for seen, event in zip(batch, batch_events, strict=True)
        ]
        expected = naive(aggregation, is_grouped, known)
        assert counted(connection, meters, events, closed) == expected
        found.update(key[3] for key in expected)

    agree()
    assert found == {True, False}, "examples that are never late prove little"
