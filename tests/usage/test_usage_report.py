"""GET /api/usage: what a meter counted, by window and group; of a month's events also the limits."""

from datetime import UTC, datetime

import psycopg

from tests.support.api import SIGNUP, Client, assert_problem
from tests.support.counters import Counters
from tests.support.tenants import Tenant, make_tenant

THIS_MONTH = datetime.now(UTC).strftime("%Y-%m")


def at(day: str, hour: int = 12) -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02}:30:00+00:00")


async def test_a_tenant_without_events_has_used_nothing(api: Client, acme: Tenant) -> None:
    used = (await api.get("/api/usage", acme)).json
    assert (used["period"], used["quantity"], used["events"], used["windows"]) == (THIS_MONTH, "0", 0, [])
    assert (used["meter"], used["aggregation"], used["unit"], used["timeZone"]) == ("events", "count", None, "UTC")
    limits = [used[name] for name in ("accepted", "processed", "softLimit", "hardLimit")]
    assert limits == [0, 0, None, None]


async def test_what_was_accepted_counts_once_and_only_for_its_tenant(
    api: Client, owner: psycopg.Connection, globex: Tenant
) -> None:
    limited = make_tenant(owner, "limited", soft=2, hard=3)
    for key in ("a", "a", "b", "c", "d"):
        await api.post({**SIGNUP, "idempotencyKey": key}, limited)
    used = (await api.get("/api/usage", limited)).json
    assert [used[name] for name in ("accepted", "processed", "softLimit", "hardLimit")] == [3, 0, 2, 3]
    assert (await api.get("/api/usage", globex)).json["accepted"] == 0


async def test_usage_is_shown_by_window(api: Client, counters: Counters, globex: Tenant) -> None:
    for day, events in (("2026-01-31", 5), ("2026-02-01", 7), ("2026-02-28", 11), ("2026-03-01", 13)):
        counters.count(at(day), events)
    counters.count(at("2026-02-28", 13), 2)
    Counters(counters.owner, globex).count(at("2026-02-02"), 100)
    used = (await api.get("/api/usage", counters.tenant, period="2026-02")).json
    assert (used["period"], used["from"], used["to"]) == ("2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    assert (used["quantity"], used["events"], used["processed"]) == ("20", 20, 20)
    days = [(w["start"], w["end"], w["quantity"], w["group"]) for w in used["windows"]]
    assert days == [
        ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "7", None),
        ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", "13", None),
    ]
    for window, quantities in (("hour", ["7", "11", "2"]), ("month", ["20"]), ("none", ["20"])):
        split = (await api.get("/api/usage", counters.tenant, period="2026-02", window=window)).json
        assert [w["quantity"] for w in split["windows"]] == quantities
        assert split["quantity"] == "20"
    assert (await api.get("/api/usage", globex, period="2026-02")).json["processed"] == 100


async def test_any_days_and_full_hours_are_shown_without_limits(api: Client, counters: Counters) -> None:
    for day, events in (("2025-12-30", 1), ("2025-12-31", 2), ("2026-01-01", 4)):
        counters.count(at(day), events)
    bounds = {"from": "2025-12-31", "to": "2026-01-02"}
    used = (await api.get("/api/usage", counters.tenant, **bounds, window="month")).json
    assert [used[name] for name in ("period", "accepted", "processed", "softLimit", "quantity")] == [None] * 4 + ["6"]
    assert [(w["start"], w["end"]) for w in used["windows"]] == [
        ("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    ]
    bounds = {"from": "2025-12-30T12:00:00Z", "to": "2025-12-31T14:00:00+02:00"}
    used = (await api.get("/api/usage", counters.tenant, **bounds)).json
    assert [(w["start"], w["quantity"]) for w in used["windows"]] == [("2025-12-30T12:00:00Z", "1")]


async def test_meters_are_shown_by_group_in_their_unit(api: Client, counters: Counters) -> None:
    meter = counters.make_meter("traffic", "sum", ["payload.region", "payload.plan"])
    for group, value in (('["eu",1]', "0.1"), ('["us",null]', "2"), ("sha256:ab", "7"), ('["eu",1]', "0.2")):
        counters.count(at("2026-02-03"), meter=meter, aggregation="sum", group_key=group, value=value)

    async def used(**params: object) -> tuple[str, list[tuple[str, object]]]:
        shown = (await api.get("/api/usage", counters.tenant, meter=meter, period="2026-02", **params)).json
        assert (shown["name"], shown["aggregation"], shown["unit"], shown["processed"]) == ("Traffic", "sum", "GB", None)
        return shown["quantity"], [(w["quantity"], w["group"]) for w in shown["windows"]]

    eu = {"payload.region": "eu", "payload.plan": 1}
    us = {"payload.region": "us", "payload.plan": None}
    assert await used() == ("9.3", [("9.3", None)])
    assert await used(groupBy="true", window="none") == ("9.3", [("0.3", eu), ("2", us), ("7", "sha256:ab")])
    assert await used(group='{"payload.plan":1.0,"payload.region":"eu"}') == ("0.3", [("0.3", eu)])
    assert await used(group='{"payload.region":"us"}') == ("2", [("2", us)])
    assert await used(group="{}") == ("0", [])


async def test_a_meter_that_has_ended_is_still_shown_and_an_unknown_one_is_not_found(api: Client, counters: Counters) -> None:
    meter = counters.make_meter("peak", "max")
    shown = (await api.get("/api/usage", counters.tenant, meter=meter)).json
    assert (shown["quantity"], shown["events"]) == (None, 0)
    counters.count(at("2026-02-03"), meter=meter, aggregation="max", value=-4)
    counters.owner.execute("update signalops.meters set end_version = 9")
    shown = (await api.get("/api/usage", counters.tenant, meter=meter, period="2026-02")).json
    assert shown["quantity"] == "-4"
    problem = assert_problem(await api.get("/api/usage", counters.tenant, meter="traffic"), 404, "not-found")
    assert problem["detail"].startswith("There is no meter 'traffic': see GET /api/meters")


async def test_what_is_not_understood_is_refused_by_name(api: Client, counters: Counters) -> None:
    bounds = {"from": "2026-01-01", "to": "2026-02-02"}
    refused: list[tuple[dict[str, str], str]] = [
        ({"period": "2026-13"}, "period"),
        ({"period": "february"}, "period"),
        ({"period": "0001-01"}, "period"),
        ({"month": "2026-02"}, "month"),
        ({"window": "week"}, "window"),
        ({"from": "2026-01-01"}, "period"),
        ({"to": "2026-01-01"}, "period"),
        ({**bounds, "period": "2026-01"}, "period"),
        ({**bounds, "to": "2026-01-01"}, "to"),
        ({**bounds, "to": "2027-01-03"}, "to"),
        ({**bounds, "window": "hour"}, "to"),
        ({**bounds, "from": "2025-12-31T12:30:00Z"}, "from"),
        ({**bounds, "from": "2025-12-31T12:00:00"}, "from"),
        ({**bounds, "from": "0001-01-01T00:00:00Z"}, "from"),
        ({"group": "eu"}, "group"),
        ({"group": '["eu"]'}, "group"),
        ({"group": '{"payload.region":"eu"}'}, "group"),
    ]
    for params, name in refused:
        problem = assert_problem(await api.get("/api/usage", counters.tenant, **params), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name], params
    problem = assert_problem(await api.get("/api/usage", counters.tenant, period="2026-13"), 422, "invalid")
    assert problem["detail"] == "period: must be a month, such as 2026-11."


async def test_more_windows_than_an_answer_holds_are_refused(api: Client, counters: Counters) -> None:
    meter = counters.make_meter("m", "count", ["payload.id"])
    counters.owner.execute(
        "insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value) "
        "select %s, %s, '2026-02-01Z', format('[%%s]', n), '2026-02-01', 'count', false, 1, 1 from generate_series(1, 10001) n",
        [counters.tenant.id, meter],
    )
    query = {"meter": meter, "period": "2026-02"}
    assert (await api.get("/api/usage", counters.tenant, **query)).json["quantity"] == "10001"
    answer = await api.get("/api/usage", counters.tenant, **query, groupBy="true")
    assert assert_problem(answer, 422, "invalid")["errors"][0]["path"] == "window"
    one = (await api.get("/api/usage", counters.tenant, **query, group='{"payload.id":7}')).json
    assert [w["quantity"] for w in one["windows"]] == ["1"]


async def test_reading_usage_needs_its_scope(api: Client, owner: psycopg.Connection) -> None:
    writer = make_tenant(owner, "writer", scopes=["events:write", "usage:adjust"])
    problem = assert_problem(await api.get("/api/usage", writer), 403, "forbidden")
    assert problem["requiredScope"] == "usage:read"


async def test_a_total_has_every_digit_of_its_windows(api: Client, counters: Counters) -> None:
    """Python's default decimal context rounds sums to 28 digits."""
    meter = counters.make_meter("traffic", "sum")
    for day, value in (("2026-02-01", "99999999999999999999.999999999999999999"), ("2026-02-02", "0.000000000000000002")):
        counters.count(at(day), meter=meter, aggregation="sum", value=value)
    for window in ("day", "none"):
        used = (await api.get("/api/usage", counters.tenant, meter=meter, period="2026-02", window=window)).json
        assert (used["quantity"], used["events"]) == ("100000000000000000000.000000000000000001", 2)
