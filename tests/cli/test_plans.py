"""signalops plan, and the plans of tenants."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant

CALLS = {"key": "api_calls", "name": "API calls", "pattern": {"type": ["api.call"]}}
TIERS = [{"upTo": 1000, "unitAmount": "0.01", "flatAmount": "2"}, {"upTo": None, "unitAmount": "0.005"}]
PRO: dict[str, Any] = {
    "name": "Pro",
    "currency": "EUR",
    "baseFee": "49.00",
    "meters": [CALLS],
    "prices": [
        {"meter": "api_calls", "included": "100", "model": "graduated", "tiers": TIERS},
        {"meter": "events", "model": "package", "size": 1000, "amount": "0.50"},
    ],
}


@pytest.fixture
def pro(tmp_path: Path) -> Path:
    """A file with a plan."""
    file = tmp_path / "pro.json"
    file.write_text(json.dumps(PRO))
    return file


def test_a_plan_has_versions_and_the_same_again_is_none(signalops: Run, pro: Path) -> None:
    create = ("plan", "create", "pro", "--file", str(pro))
    assert signalops(*create).out.startswith("Version 1 of plan pro is made.")
    assert signalops(*create).out == "Version 1 of plan pro says the same already; nothing is changed.\n"
    pro.write_text(json.dumps(PRO | {"baseFee": "59"}))
    assert signalops(*create).out.startswith("Version 2 of plan pro is made.")
    assert json.loads(signalops("plan", "show", "pro").out)["baseFee"] == "59"
    shown = json.loads(signalops("plan", "show", "pro", "--version", "1").out)
    assert shown["baseFee"] == "49.00"
    pro.write_text(json.dumps(shown))
    assert json.loads(signalops(*create, "--json").out) == {"plan": "pro", "version": 3, "isNew": True}
    listed = json.loads(signalops("plan", "list", "--json").out)
    assert [(p["plan"], p["version"], p["tenants"]) for p in listed] == [("free", 1, 0), ("pro", 3, 0)]


def test_the_arithmetic_of_a_price_is_shown(signalops: Run, pro: Path) -> None:
    signalops("plan", "create", "pro", "--file", str(pro))
    price = ("plan", "price", "pro", "--meter")
    assert signalops(*price, "api_calls", "--quantity", "2345.5").out.splitlines() == [
        "2345.5 - 100 included = 2245.5",
        "1000 (up to 1000) x 0.01 + 2 = 12",
        "1245.5 x 0.005 = 6.2275",
        "Total: 18.23 EUR",
    ]
    assert signalops(*price, "events", "--quantity", "1001").out.splitlines() == [
        "2 packages of 1000 x 0.50 = 1",
        "Total: 1.00 EUR",
    ]
    answer = json.loads(signalops(*price, "api_calls", "--quantity", "100", "--json").out)
    assert (answer["total"], answer["currency"], answer["steps"]) == ("0.00", "EUR", [])


def test_a_tenant_gets_a_plan_and_is_listed_with_it(signalops: Run, pro: Path, acme: Tenant) -> None:
    signalops("plan", "create", "pro", "--file", str(pro))
    later = signalops("tenant", "plan", "acme", "pro")
    assert later.out.startswith("acme has version 1 of plan pro from ")
    assert later.out.strip().endswith("-01 on.")
    assert [t["plan"] for t in json.loads(signalops("tenant", "list", "--json").out)] == ["free"]
    done = json.loads(signalops("tenant", "plan", "acme", "pro", "--at-once", "--author", "ann", "--json").out)
    assert (done["plan"], done["version"]) == ("pro", 1)
    assert [t["plan"] for t in json.loads(signalops("tenant", "list", "--json").out)] == ["pro"]
    assert signalops("tenant", "create", "initech", "--plan", "pro").code == 0
    listed = json.loads(signalops("plan", "list", "--json").out)
    assert [(p["plan"], p["tenants"]) for p in listed] == [("free", 0), ("pro", 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "show", "gold"), "There is no plan 'gold': see `signalops plan list`."),
        (("plan", "show", "free", "--version", "9"), "There is no version 9 of a plan 'free'"),
        (("plan", "price", "free", "--meter", "events", "--quantity", "1"), "Plan free has no price of 'events'"),
        (("plan", "price", "free", "--meter", "events", "--quantity", "many"), "'many' is no quantity"),
        (("tenant", "plan", "acme", "gold"), "there is no plan 'gold'"),
        (("tenant", "plan", "nobody", "free"), "There is no such tenant"),
        (("tenant", "create", "initech", "--plan", "gold"), "there is no plan 'gold'"),
    ],
)
def test_what_there_is_not_is_said(signalops: Run, acme: Tenant, arguments: tuple[str, ...], message: str) -> None:
    done = signalops(*arguments)
    assert done.code == 1
    assert message in done.err
    assert [t["slug"] for t in json.loads(signalops("tenant", "list", "--json").out)] == ["acme"]


def test_a_wrong_plan_is_refused_by_path_and_name(signalops: Run, pro: Path) -> None:
    assert "'Pro!' can't be a plan's name" in signalops("plan", "create", "Pro!", "--file", str(pro)).err
    pro.write_text(json.dumps(PRO | {"baseFee": 49.0}))
    done = signalops("plan", "create", "pro", "--file", str(pro))
    assert (done.code, done.out) == (1, "")
    assert 'signalops: baseFee: must be a decimal as a string, such as "49.00"' in done.err
