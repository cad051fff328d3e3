"""signalops meter: meters are added, listed and ended on the command line."""

import json
from typing import Any

import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant

TRAFFIC = ["traffic", "--pattern", '{"type": ["file.sent"]}', "--aggregation", "sum", "--field", "payload.gigabytes"]


@pytest.fixture
def so(signalops: Run, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command for acme."""
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    return signalops


def test_a_meter_is_added_listed_and_ended(so: Run) -> None:
    grouped = ["--unit", "GB", "--group-by", "source", "--group-by", "payload.region"]
    assert so("meter", "create", *TRAFFIC, *grouped).out == "Meter traffic counts from now on.\n"
    assert so("meter", "create", *TRAFFIC, *grouped).out == "Meter traffic counts already.\n"
    (meter,) = json.loads(so("meter", "list", "--json").out)
    expected: dict[str, Any] = {
        "key": "traffic",
        "name": "traffic",
        "aggregation": "sum",
        "field": "payload.gigabytes",
        "unit": "GB",
    }
    expected |= {"groupBy": ["source", "payload.region"], "pattern": {"type": ["file.sent"]}, "origin": "tenant"}
    assert {name: meter[name] for name in expected} == expected
    assert meter["endedAt"] is None
    assert "payload.gigabytes" in so("meter", "list").out
    assert so("meter", "end", "traffic").out == "Meter traffic counts no more.\n"
    assert json.loads(so("meter", "list", "--ended", "--json").out)[0]["endedAt"] is not None
    again = so("meter", "create", *TRAFFIC, *grouped, "--json")
    assert json.loads(again.out)["endedAt"] is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["create", "events", "--pattern", '{"type": ["a"]}'], "choose another key"),
        (["create", "a", "--pattern", '{"type": "a"}'], "put the value in a list"),
        (["create", "a", "--pattern", '{"type": ["a"]}', "--aggregation", "sum"], "needs the field"),
        (["end", "unknown"], "no such meter"),
    ],
)
def test_what_can_not_be_done_is_said_with_the_remedy(so: Run, arguments: list[str], expected: str) -> None:
    done = so("meter", *arguments)
    assert done.code == 1
    assert expected in done.err
