"""What Python hands to SQL as JSON has the keys that SQL reads, and no others."""

import re
from typing import Any, NamedTuple

import pytest

from signalops import contracts
from signalops.usage.invoices.invoice_models import Line
from tests.support.paths import ROOT

SCHEMA = (ROOT / "sql" / "schema.sql").read_text(encoding="utf-8")
_SEES = r"jsonb_to_record(?:set)?\({}\)\)?\s*(?:with ordinality\s*)?as\s*\w*\s*\((?P<columns>[^()]*)\)"


class Contract(NamedTuple):
    """A shape; the functions that read it, each with the expression of theirs that holds it; and what SQL adds to it itself."""

    keys: set[str]
    readers: tuple[tuple[str, str], ...]
    added: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    """What is read by another expression than a list of columns."""


def keys_of(shape: Any) -> set[str]:
    return set(shape.__annotations__)


CONTRACTS = {
    "EventRow": Contract(
        keys_of(contracts.EventRow),
        (("insert_events", "flush"), ("update_counters", "admitted"), ("recompute_demand", "recompute_demand.flush")),
        added=frozenset({"over_limit", "received_at"}),
        unread=frozenset({"buckets"}),
    ),
    "MeterAmount": Contract(
        keys_of(contracts.MeterAmount), (("try_count", "demand"), ("accept", "demand"), ("apply_limits", "demand"))
    ),
    "BucketAmount": Contract(keys_of(contracts.BucketAmount), (("take_tokens", "requested"), ("lock_buckets", "requested"))),
    "PartRow": Contract(keys_of(contracts.PartRow), (("record_batch", "results -> 'parts'"),)),
    "MatchRow": Contract(
        keys_of(contracts.MatchRow),
        (("record_batch", "decided"), ("enqueue_new_deliveries", "decided")),
        frozenset({"window_context"}),
    ),
    "GroupRow": Contract(keys_of(contracts.GroupRow), (("evaluate_stateful_rules", "groups"),)),
    "GroupEvent": Contract(
        keys_of(contracts.GroupEvent),
        (("evaluate_stateful_rules", "one.events"), ("evaluate_stateful_rules", "g.events"), ("update_window", "events")),
    ),
    "DeadEvent": Contract(keys_of(contracts.DeadEvent), (("record_batch", "results -> 'dead'"),)),
    "MeteredRow": Contract(keys_of(contracts.MeteredRow), (("count_usage", "metered"),)),
    "BatchEvent": Contract(keys_of(contracts.BatchEvent), (("requeue_events", "events"),)),
    "SeenType": Contract(keys_of(contracts.SeenType), (("record_event_types", "seen"),)),
    "DeliveryRef": Contract(
        keys_of(contracts.DeliveryRef), (("claim_deliveries", "requested"), ("lock_deliveries", "requested"))
    ),
    "SettledAttempt": Contract(keys_of(contracts.SettledAttempt), (("settle_delivery", "result"), ("settle_deliveries", "one"))),
    "Line": Contract(keys_of(Line), (("issue_invoice", "lines"),)),
}


def body_of(function: str) -> str:
    """Return the definition of a function as the dump has it."""
    text = SCHEMA[SCHEMA.index(f"CREATE FUNCTION signalops.{function}(") :]
    quote = re.search(r"\n    AS (\$_?\$)\n|\n    RETURN ", text)
    assert quote
    end = f"{quote[1]};" if quote[1] else ";\n\n"
    return text[: text.index(end, quote.end())]


def read_by(function: str, expression: str) -> set[str]:
    """Return the keys that a function reads of a JSON expression."""
    body = body_of(function)
    columns = (found["columns"] for found in re.finditer(_SEES.format(re.escape(expression)), body))
    named = {column.split()[0].strip('"') for some in columns for column in some.split(",")}
    elements = {found[1] for found in re.finditer(rf"\b{re.escape(expression)} ->> '(\w+)'", body)}
    return named | elements


@pytest.mark.parametrize("name", CONTRACTS)
def test_sql_reads_the_keys_that_python_writes(name: str) -> None:
    contract = CONTRACTS[name]
    read = set[str]().union(*(read_by(function, expression) for function, expression in contract.readers))
    assert read - contract.added == contract.keys - contract.unread


def test_every_shape_is_compared() -> None:
    shapes = {name for name, value in vars(contracts).items() if isinstance(value, type) and hasattr(value, "__total__")}
    assert {name for name in shapes if name not in ("NotRequired", "TypedDict")} == CONTRACTS.keys() - {"Line"}
