"""Unknown fields of bodies: the answer names the field that was meant, and never advises to drop it."""

import pytest
from pydantic import BaseModel

from signalops.errors import Invalid
from signalops.http import validated
from signalops.ingest.event_models import EventIn
from signalops.rules.rule_models import NewRule
from signalops.usage.plans.plan_models import PlanDocument


@pytest.mark.parametrize(
    ("model", "body", "path", "meant"),
    [
        (EventIn, {"type": "a", "data": {"a": 1}}, "data", "payload"),
        (EventIn, {"type": "a", "occurred_at": "2026-11-01T00:00:00Z"}, "occurred_at", "occurredAt"),
        (EventIn, {"type": "a", "idempotency_key": "k"}, "idempotency_key", "idempotencyKey"),
        (EventIn, {"type": "a", "timestamp": "2026-11-01T00:00:00Z"}, "timestamp", "occurredAt"),
        (EventIn, {"type": "a", "playload": {}}, "playload", "payload"),
        (NewRule, {"name": "n", "pattern": {}, "chanel": "ops", "channel": "ops"}, "chanel", "channel"),
        (NewRule, {"name": "n", "pattern": {}, "channel": "c", "window": {"within": "1m", "count": 2, "group_by": []}},
         "window.group_by", "groupBy"),
    ],
)  # fmt: skip
def test_the_field_that_was_meant_is_named(model: type[BaseModel], body: object, path: str, meant: str) -> None:
    with pytest.raises(Invalid) as refused:
        validated(model, body)
    faults = {fault["path"]: fault["message"] for fault in refused.value.members["errors"]}
    assert faults[path] == f"unknown field (did you mean {meant}?)"


def test_without_a_near_one_the_fields_are_listed() -> None:
    with pytest.raises(Invalid) as refused:
        validated(EventIn, {"type": "a", "zzz": 1})
    assert refused.value.detail == "zzz: unknown field; the fields are type, payload, source, occurredAt, idempotencyKey."


def test_a_field_of_another_kind_is_not_suggested() -> None:
    price = {"meter": "events", "model": "flat", "amount": "1", "included": "1"}
    with pytest.raises(Invalid) as refused:
        validated(PlanDocument, {"name": "n", "currency": "EUR", "prices": [price]})
    assert "does not belong to this kind" in refused.value.detail


def test_the_sentence_counts_the_other_faults() -> None:
    with pytest.raises(Invalid) as refused:
        validated(EventIn, {"data": {}, "source": 1})
    assert refused.value.detail.endswith(" And 2 more: see errors.")
