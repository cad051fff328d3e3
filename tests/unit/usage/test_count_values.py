"""What a meter reads off an event: exact decimals, within bounds."""

from decimal import Decimal
from typing import Any

import pytest

from signalops.patterns import Grouping, Measured
from signalops.usage.meters.model import Aggregation
from signalops.usage.meters.scales import Meter, number_of


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
    [
        None,
        True,
        {},
        "",
        "x",
        "NaN",
        "Infinity",
        "1e3",
        "1e999999",
        "1,5",
        " 1",
        "1.",
        ".5",
        "0x10",
        "\u0661",
        1e20,
        "1" * 21,
    ],
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
