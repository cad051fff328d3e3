"""What a validated event becomes on its way into a flush."""

from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.ingest.event_models import EventIn, incoming
from signalops.types import TenantId

ACME = TenantId(uuid4())


def _row(**fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(incoming(ACME, EventIn(type="a", **fields)).row)
    return row


def test_a_row_has_what_the_sql_function_takes() -> None:
    event = incoming(ACME, EventIn(type="a.b", source="s", payload={"n": 1}), {"subject": "x"})
    row = orjson.loads(event.row)
    assert (row["tenant"], row["id"]) == (str(ACME), str(event.id))
    assert (row["type"], row["source"], row["payload"]) == ("a.b", "s", {"n": 1})
    assert row["attributes"] == {"subject": "x"}
    assert row["occurred_at"] is None, "SQL takes the time at which it receives it"
    assert "key" not in row


def test_ids_rise() -> None:
    ids = [incoming(ACME, EventIn(type="a")).id for _ in range(100)]
    assert sorted(ids) == ids
    assert len(set(ids)) == 100


_VALUES = st.recursive(st.integers(-5, 5) | st.text("ab"), lambda v: st.dictionaries(st.text("ab"), v, max_size=3))


@given(st.dictionaries(st.text("abc"), _VALUES, max_size=5))
def test_the_hash_is_blind_to_the_order_of_keys(payload: dict[str, Any]) -> None:
    turned = dict(reversed(payload.items()))
    assert _row(payload=payload, idempotencyKey="k")["hash"] == _row(payload=turned, idempotencyKey="k")["hash"]


def test_the_hash_is_blind_to_the_way_a_time_is_written() -> None:
    times = ["2026-11-23T12:00:00Z", "2026-11-23t13:00:00.000+01:00"]
    assert len({_row(occurredAt=time, idempotencyKey="k")["hash"] for time in times}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"source": "s"},
        {"payload": {"a": 1}},
        {"payload": {"a": [1, 2]}},
        {"payload": {"a": [2, 1]}},
        {"payload": {"a": "1"}},
        {"occurredAt": "2026-11-23T12:00:00Z"},
    ],
)
def test_every_member_counts_in_the_hash(other: dict[str, Any]) -> None:
    assert _row(idempotencyKey="k")["hash"] != _row(idempotencyKey="k", **other)["hash"]
    assert _row(idempotencyKey="k")["hash"] == _row(idempotencyKey="other")["hash"]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (0, -0.0), (1000, 1e3), (2**53 + 2, float(2**53 + 2)), ([1, {"a": 2}], [1.0, {"a": 2.0}])]
)
def test_the_hash_is_blind_to_how_a_number_is_written(one: Any, other: Any) -> None:
    hashes = [_row(payload={"n": value}, idempotencyKey="k")["hash"] for value in (one, other)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(("one", "other"), [(1, 1.5), (1, True), (1, "1.0"), (0, None), (2**53, 2**53 + 1), ("a.0", "a")])
def test_other_values_have_other_hashes(one: Any, other: Any) -> None:
    hashes = [_row(payload={"n": value}, idempotencyKey="k")["hash"] for value in (one, other)]
    assert hashes[0] != hashes[1]
