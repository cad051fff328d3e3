"""What a meter reads off an event: exact decimals, within bounds."""

import time
from decimal import Decimal
from typing import Any

import pytest

from signalops.patterns import MAX_VALUES, Grouping, Measured
from signalops.usage.meters.aggregate import Meter, number_of
from signalops.usage.meters.compiled_meters import compile_meters
from signalops.usage.meters.meter_models import Aggregation

ANY = {"type": [{"prefix": ""}]}
READ = {"grammar": 2, "pattern": ANY, "allows_negative": True}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e19, "10000000000000000000"),
        (1e-18, "0.000000000000000001"),
        ("12.50", "12.5"),
        ("-3", "-3"),
        ("+0.007", "0.007"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("0.0000000000000000015", "0.000000000000000002"),
        (1e-300, "0"),
    ],
)
def test_numbers_and_decimal_texts_are_read_exactly_to_18_places(value: object, number: str) -> None:
    assert number_of(value) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [None, True, {}, "", "x", "NaN", "Infinity", "1e3", "1e999999", "1,5", " 1", "1.", ".5", "0x10", "\u0661", 1e20, "1" * 21],
)
def test_what_is_no_number_or_too_large_is_not_read(value: object) -> None:
    assert number_of(value) is None


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        ("sum", Decimal("0.3")),
        ("avg", Decimal("0.3")),
        ("max", Decimal("0.2")),
        ("min", Decimal("0.1")),
        ("latest", Decimal("0.2")),
    ],
)
def test_of_several_values_of_an_event_the_aggregation_makes_one(aggregation: Aggregation, value: Decimal) -> None:
    meter = Meter("m", aggregation, Measured("payload.v"), Grouping(()))
    reading = meter.read({"payload": {"v": [0.1, None, "0.2"]}})
    assert reading is not None
    assert reading.value == value


def test_sums_are_exact() -> None:
    meter = Meter("m", "sum", Measured("v"), Grouping(()))
    large, small = Decimal("99999999999999999999"), Decimal("0.000000000000000001")
    assert meter.total([large] * 1000 + [small] * 1000) == Decimal("99999999999999999999000.000000000000001")


def test_equal_values_are_one_item_and_long_ones_a_hash() -> None:
    meter = Meter("m", "unique_count", Measured("v"), Grouping(()))
    seen: dict[str, Any] = {"v": [1, 1.0, "1", True, None, "x" * 1000]}
    reading = meter.read(seen)
    assert reading is not None
    assert reading.items[:4] == ["1", "1", '"1"', "true"]
    assert reading.items[4].startswith("sha256:")


def test_of_an_array_the_first_thousand_values_are_read() -> None:
    meter = Meter("m", "sum", Measured("payload.v"), Grouping(()))
    reading = meter.read({"payload": {"v": [1] * MAX_VALUES + [10**9]}})
    assert reading is not None
    assert reading.value == 1000


def test_what_meters_share_is_read_once_and_as_each_reads_it_alone() -> None:
    event: dict[str, Any] = {
        "type": "a",
        "payload": {"v": [{"x": 1, "y": "0.5"}, [2, None, -9], {"x": [3, 4]}], "g": ["b", "a"], "v.x": 7},
    }
    queries = [
        (aggregation, field, groups, sign)
        for aggregation in ("sum", "latest", "unique_count")
        for field in ("payload.v", "payload.v.x", "payload.v.y", "payload.none")
        for groups in ([], ["payload.g"], ["payload.v.x", "type"])
        for sign in (True, False)
    ]
    rows = [
        {"key": f"m{n}", "aggregation": aggregation, "field": field, "group_by": groups, **READ, "allows_negative": sign}
        for n, (aggregation, field, groups, sign) in enumerate(queries)
    ]
    compiled = compile_meters(1, rows, lambda key, error: pytest.fail(error))
    together = {meter.key: (reading, group) for meter, reading, group in compiled.read(event)}
    alone = {
        meter.key: (reading, meter.grouping.of(event).key)
        for meter in compiled.matching.match(event)
        if (reading := meter.read(event)) is not None
    }
    assert together == alone
    assert len(together) == 3 * 3 * 3 * 2


def test_a_long_array_costs_fifty_meters_one_walk() -> None:
    """Each by itself takes 0.3 s; a worker's transaction is ended after ten, and such a batch would be retried without end."""
    rows = [{"key": f"m{n}", "aggregation": "sum", "field": "payload.v", "group_by": [], **READ} for n in range(50)]
    compiled = compile_meters(1, rows, lambda key, error: pytest.fail(error))
    began = time.process_time()
    assert len(list(compiled.read({"type": "a", "payload": {"v": [1] * 80_000}}))) == 50
    assert time.process_time() - began < 3
