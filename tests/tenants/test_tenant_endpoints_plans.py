"""Plans by HTTP: their versions, and what is no plan."""

from typing import Any

from tests.support.api import assert_problem
from tests.support.operators import Operator
from tests.support.tenants import Tenant

GOLD: dict[str, Any] = {
    "name": "Gold",
    "currency": "EUR",
    "baseFee": "49.00",
    "meters": [{"key": "api_calls", "name": "API calls", "pattern": {"type": ["api.call"]}}],
    "prices": [{"meter": "api_calls", "model": "per_unit", "unitAmount": "0.01"}],
    "limits": [{"meter": "api_calls", "hard": "1000"}],
}


async def test_versions_are_made_once_and_all_stay(operator: Operator, acme: Tenant) -> None:
    made = [await operator.send("POST", "/api/plans/gold", GOLD) for _ in range(2)]
    assert [answer.status for answer in made] == [201, 200]
    assert {answer.json["version"] for answer in made} == {1}
    dearer = await operator.send("POST", "/api/plans/gold", GOLD | {"baseFee": "59.00"})
    assert (dearer.status, dearer.json["version"]) == (201, 2)
    for query, version, fee in (("", 2, "59.00"), ("?version=1", 1, "49.00")):
        shown = (await operator.get(f"/api/plans/gold{query}")).json
        assert (shown["plan"], shown["version"], shown["terms"]["baseFee"]) == ("gold", version, fee)
    again = await operator.send("POST", "/api/plans/gold", shown["terms"])
    assert (again.status, again.json["version"]) == (201, 3), "what is shown can be sent"
    listed = (await operator.get("/api/plans")).json["data"]
    assert [(p["plan"], p["version"], p["tenants"]) for p in listed] == [("free", 1, 1), ("gold", 3, 0)]

    given = await operator.send("POST", "/api/tenants/acme/plan", {"plan": "gold", "version": 1, "atOnce": True})
    assert (given.status, given.json["current"]["version"]) == (200, 1)
    assert [p["tenants"] for p in (await operator.get("/api/plans")).json["data"]] == [0, 1]
    (limit,) = (await operator.get("/api/tenants/acme/limits")).json["data"]
    assert (limit["meter"], limit["hard"], limit["origin"]) == ("api_calls", "1000", "plan")


async def test_what_is_no_plan_is_refused_by_path(operator: Operator) -> None:
    for body, path in (
        ({"baseFee": 49.0}, "baseFee"),
        ({"currency": "XYZ"}, "currency"),
        ({"prices": [{"meter": "unknown", "model": "flat", "amount": "1"}]}, "prices.0.meter"),
        ({"color": "gold"}, "color"),
    ):
        answer = await operator.send("POST", "/api/plans/gold", GOLD | body)
        assert [e["path"] for e in assert_problem(answer, 422, "invalid")["errors"]] == [path]
    assert_problem(await operator.send("POST", "/api/plans/Gold!", GOLD), 422, "invalid")
    assert_problem(await operator.get("/api/plans/gold"), 404, "not-found")
    assert_problem(await operator.get("/api/plans/free?version=9"), 404, "not-found")
    assert_problem(await operator.get("/api/plans/free?version=0"), 422, "invalid")
    assert [p["plan"] for p in (await operator.get("/api/plans")).json["data"]] == ["free"]
