"""Which plans are valid, and the error text of each mistake."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from signalops.errors import Invalid
from signalops.http import validated
from signalops.usage.plans.money import Number
from signalops.usage.plans.plan_models import PlanDocument

CALLS = {"key": "api_calls", "name": "API calls", "pattern": {"type": ["api.call"]}}
PEAK = {**CALLS, "key": "peak", "aggregation": "max", "field": "payload.load"}
TIERS = [{"upTo": 1000, "unitAmount": "0.01", "flatAmount": "1"}, {"upTo": None, "unitAmount": "0.0000001"}]
PRO: dict[str, Any] = {
    "name": "Pro",
    "currency": "EUR",
    "baseFee": "49.00",
    "meters": [CALLS, PEAK],
    "prices": [
        {"meter": "api_calls", "included": "1000", "model": "graduated", "tiers": TIERS},
        {"meter": "events", "model": "package", "size": 1000, "amount": "0.50"},
        {"meter": "peak", "model": "flat", "amount": "5"},
    ],
    "limits": [{"meter": "api_calls", "soft": 800, "hard": "1000", "thresholds": [50, 100], "overage": "accept"}],
}


def faults(**changes: Any) -> dict[str, str]:
    """The messages of what is refused, by path."""
    with pytest.raises(Invalid) as refused:
        validated(PlanDocument, PRO | changes)
    return {fault["path"]: fault["message"] for fault in refused.value.members["errors"]}


def test_a_document_is_the_same_after_it_was_written_and_read() -> None:
    document = PlanDocument.model_validate(PRO)
    written = document.model_dump_json()
    assert '"0.0000001"' in written
    assert PlanDocument.model_validate_json(written) == document
    assert PlanDocument.model_validate(document.model_dump()) == document


def test_amounts_are_decimals_and_never_floats() -> None:
    number = TypeAdapter(Number)
    amounts = ("49.00", 49, "0.000000000001", "999999999999999", Decimal("1E-7"))
    assert [number.validate_python(n) for n in amounts] == [Decimal(str(n)) for n in amounts]
    for wrong in (49.0, 0.1, True, None, "", "-1", -1, "1e3", "NaN", "1,5", " 1", "1.", "٣", "1" * 16, "0.0000000000001"):
        with pytest.raises(ValidationError, match=r'must be a decimal as a string, such as "49\.00"'):
            number.validate_python(wrong)


PER_UNIT = {"meter": "events", "model": "per_unit", "unitAmount": "1"}


@pytest.mark.parametrize(
    ("changes", "path", "remedy"),
    [
        ({"currency": "EURO"}, "currency", "write a code of ISO 4217"),
        ({"currency": "eur"}, "currency", "write a code of ISO 4217"),
        ({"baseFee": 4.9}, "baseFee", "as a string"),
        ({"prices": [PER_UNIT, PER_UNIT]}, "prices.1.meter", "keep one"),
        ({"prices": [{**PER_UNIT, "meter": "calls"}]}, "prices.0.meter", "add it to meters, or name events"),
        ({"prices": [{**PER_UNIT, "included": 1.5}]}, "prices.0.included", "as a string"),
        ({"prices": [{**PER_UNIT, "model": "stairs"}]}, "prices.0", "flat, per_unit, package, graduated or volume"),
        ({"prices": [{**PER_UNIT, "size": "1"}]}, "prices.0.size", "leave it out"),
        ({"prices": [{"meter": "events", "model": "flat", "amount": "1", "included": "1"}]}, "prices.0.included", "leave it out"),
        ({"prices": [{"meter": "events", "model": "package", "size": 0, "amount": "1"}]}, "prices.0.size", "than 0"),
        *(
            ({"prices": [{"meter": "events", "model": model, "tiers": wrong}]}, "prices.0.tiers", remedy)
            for model in ("graduated", "volume")
            for wrong, remedy in (
                ([], "at least 1 item"),
                ([{"upTo": 10}], "add one for all that is beyond"),
                ([{"upTo": None}, {"upTo": None}], "add one for all that is beyond"),
                ([{"upTo": 10}, {"upTo": 10}, {"upTo": None}], "put them in order"),
            )
        ),
        ({"limits": [{"meter": "events", "soft": 2, "hard": 1}]}, "limits.0", "raise it, or lower soft"),
        ({"limits": [{"meter": "events"}]}, "limits.0", "leave the limit out"),
        ({"limits": [{"meter": "peak", "hard": 1}]}, "limits.0.meter", "limit another meter"),
        ({"limits": [{"meter": "events", "hard": 1}] * 2}, "limits.1.meter", "keep one"),
        ({"limits": [{"meter": "events", "hard": 1, "thresholds": [0]}]}, "limits.0.thresholds.0", "at least 1"),
        ({"limits": [{"meter": "calls", "hard": 1}]}, "limits.0.meter", "add it to meters"),
        ({"meters": [CALLS, PEAK, CALLS]}, "meters.2.key", "keep one"),
        ({"meters": [{**CALLS, "pattern": {"type": "api.call"}}]}, "meters.0.pattern.type", "put the value in a list"),
        ({"meters": [{**CALLS, "key": "events"}]}, "meters.0.key", "choose another key"),
        ({"taxes": []}, "taxes", "unknown field"),
    ],
)
def test_each_mistake_is_told_by_its_path_with_the_remedy(changes: dict[str, Any], path: str, remedy: str) -> None:
    assert remedy in faults(**changes)[path]
