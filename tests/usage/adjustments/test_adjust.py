"""POST /api/usage/adjustments: corrections by people, each once, of what adds up, and never of a closed period."""

import asyncio
from datetime import datetime, timedelta

import psycopg
import pytest

from signalops import clock
from signalops.config import Settings
from signalops.usage.time_range import next_month, starts_at
from tests.support.api import Answer, Blocked, Client, assert_problem, capture_log
from tests.support.counters import Counters
from tests.support.tenants import Tenant, make_tenant, operator_headers

PATH = "/api/usage/adjustments"
NOT_ADDED_UP: list[object] = ["max", "min", "avg", "latest", "unknown"]
NO_QUANTITIES: list[object] = ["0", "-0.0", 0.5, "1e3", "NaN", True, "1" * 16, None]
OFF = {"meter": "events", "quantity": "3", "reason": "sent twice", "author": "ann@example.com"}


@pytest.fixture
def counters(owner: psycopg.Connection) -> Counters:
    """The counters of a tenant that may adjust its usage."""
    return Counters(owner, make_tenant(owner, "acme", scopes=["usage:adjust", "usage:read"]))


async def adjust(api: Client, tenant: Tenant, **fields: object) -> Answer:
    return await api.post({**OFF, **fields}, tenant, PATH)


async def used(api: Client, counters: Counters, **params: object) -> str:
    quantity: str = (await api.get("/api/usage", counters.tenant, **params)).json["quantity"]
    return quantity


async def test_an_adjustment_is_part_of_usage_and_stays_on_record(api: Client, counters: Counters) -> None:
    now = clock.now()
    counters.count(now, 10)
    with capture_log("usage.adjusted") as emitted:
        answer = await adjust(api, counters.tenant)
    assert answer.status == 201
    made = answer.json
    assert {name: made[name] for name in OFF} == OFF
    assert (made["late"], made["period"], made["group"]) == (False, f"{now:%Y-%m}", None)
    assert abs(datetime.fromisoformat(made["hour"]) - clock.hour_of(now, counters.zone)) <= timedelta(hours=1)
    shown = (await api.get("/api/usage", counters.tenant)).json
    assert (shown["quantity"], shown["events"], shown["processed"]) == ("13", 10, 10)
    assert (await api.get(PATH, counters.tenant)).json == {"data": [made], "hasMore": False}
    fact = emitted.get_nowait()
    assert (str(fact["adjustment"]), fact["meter"], fact["author"]) == (made["id"], "events", "ann@example.com")


async def test_to_take_usage_off_is_the_operators_alone(settings: Settings, api: Client, counters: Counters) -> None:
    counters.count(clock.now(), 10)
    off = {**OFF, "quantity": "-3"}
    assert_problem(await adjust(api, counters.tenant, quantity="-3"), 403, "forbidden")
    assert await used(api, counters) == "10"
    path, headers = f"/api/tenants/{counters.tenant.slug}/adjustments", operator_headers(settings, "tenants:*")
    made = await api.post(off, None, path, **headers)
    assert (made.status, made.json["author"]) == (201, "olga"), "who asks is the author"
    assert await used(api, counters) == "7"
    listed = await api.request("GET", path, headers=headers)
    assert listed.json == (await api.get(PATH, counters.tenant)).json == {"data": [made.json], "hasMore": False}


@pytest.mark.parametrize(("aggregation", "quantity"), [("count", "1"), ("sum", "0.000000000001"), ("unique_count", 2)])
async def test_what_adds_up_is_adjusted_also_where_nothing_was_counted(
    api: Client, counters: Counters, aggregation: str, quantity: str | int
) -> None:
    meter = counters.make_meter("m", aggregation)
    assert (await adjust(api, counters.tenant, meter=meter, quantity=quantity)).status == 201
    assert await used(api, counters, meter=meter) == str(quantity)
    assert await used(api, counters) == "0"


async def test_a_group_is_adjusted_apart_from_others(api: Client, counters: Counters) -> None:
    meter = counters.make_meter("m", "sum", ["payload.region", "payload.plan"])
    answer = await adjust(api, counters.tenant, meter=meter, quantity="5", group={"payload.region": "eu"})
    eu = {"payload.region": "eu", "payload.plan": None}
    assert answer.json["group"] == eu
    await adjust(api, counters.tenant, meter=meter, quantity="2")
    shown = (await api.get("/api/usage", counters.tenant, meter=meter, groupBy="true")).json
    groups = {w["quantity"]: w["group"] for w in shown["windows"]}
    assert (shown["quantity"], groups) == ("7", {"5": eu, "2": None})


async def test_the_hour_is_one_of_the_tenants_time_zone(api: Client, counters: Counters) -> None:
    counters = counters.in_zone("Asia/Kolkata")
    moment = clock.now() - timedelta(days=3)
    made = (await adjust(api, counters.tenant, at=moment.isoformat())).json
    assert datetime.fromisoformat(made["hour"]) == clock.hour_of(moment, counters.zone)
    day = moment.astimezone(counters.zone).date()
    assert await used(api, counters, **{"from": day, "to": day + timedelta(days=1)}) == "3"


async def test_a_closed_period_stays_and_the_open_one_bills_the_correction(api: Client, counters: Counters) -> None:
    now = clock.now()
    this = starts_at(now.date().replace(day=1), counters.zone)
    before = this - timedelta(minutes=30)
    counters.close(this)
    late = (await adjust(api, counters.tenant, at=before.isoformat())).json
    assert (late["late"], late["period"]) == (True, f"{now:%Y-%m}")
    assert datetime.fromisoformat(late["hour"]) == this - timedelta(hours=1)
    assert (await adjust(api, counters.tenant)).json["late"] is False
    assert await used(api, counters, period=f"{before:%Y-%m}") == "3", "by the time that it corrects"
    billed = counters.owner.execute("select period, count(*) from signalops.usage_adjustments group by period").fetchall()
    assert billed == [(this.date(), 2)]


async def test_closing_waits_for_an_adjustment_and_an_adjustment_for_closing(
    api: Client, counters: Counters, blocked_backend: Blocked
) -> None:
    now = clock.now()
    after = next_month(now.date().replace(day=1))
    with psycopg.connect(counters.owner.info.dsn, password=counters.owner.info.password) as closing:
        closing.execute(
            "update signalops.tenants set closed_until = %s where id = %s", [starts_at(after, counters.zone), counters.tenant.id]
        )
        adjusting = asyncio.create_task(adjust(api, counters.tenant))
        await blocked_backend()
        closing.commit()
    made = (await adjusting).json
    assert (made["late"], made["period"]) == (True, f"{after:%Y-%m}")


async def test_an_adjustment_with_an_idempotency_key_is_made_once(api: Client, counters: Counters) -> None:
    async def sent(key: str, tenant: Tenant = counters.tenant, **fields: object) -> Answer:
        return await api.post({**OFF, **fields}, tenant, PATH, Idempotency_Key=key)

    answers = await asyncio.gather(*(sent("k") for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert (await sent('"k"')).status == 200
    assert_problem(await sent("k", quantity="4"), 422, "idempotency-conflict")
    assert (await sent("l", quantity="4")).status == 201
    other = make_tenant(counters.owner, "other", scopes=["usage:adjust"])
    assert (await sent("k", other, quantity="4")).status == 201
    assert await used(api, counters) == "7"
    for key in ("", "k" * 256):
        problem = assert_problem(await sent(key), 422, "invalid")
        assert problem["errors"][0]["path"] == "Idempotency-Key"


async def test_what_cant_be_adjusted_is_refused_by_name(api: Client, counters: Counters) -> None:
    now = clock.now()
    for aggregation in ("max", "min", "avg", "latest", "count", "sum"):
        counters.make_meter(aggregation, aggregation)
    refused: list[tuple[dict[str, object], str]] = [
        *(({"meter": meter}, "meter") for meter in NOT_ADDED_UP),
        *(({"quantity": number}, "quantity") for number in NO_QUANTITIES),
        ({"quantity": "0.5"}, "quantity"),
        ({"quantity": "0.5", "meter": "count"}, "quantity"),
        ({"at": (now + timedelta(hours=1)).isoformat()}, "at"),
        ({"at": (now - timedelta(days=35, minutes=1)).isoformat()}, "at"),
        ({"at": "2026-11-23"}, "at"),
        ({"group": {"payload.region": "eu"}}, "group"),
        ({"reason": ""}, "reason"),
        ({"author": ""}, "author"),
        ({"price": 1}, "price"),
    ]
    for fields, name in refused:
        problem = assert_problem(await adjust(api, counters.tenant, **fields), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name], fields
    assert (await api.get(PATH, counters.tenant)).json["data"] == []
    recent = (now - timedelta(days=34, hours=23)).isoformat()
    assert (await adjust(api, counters.tenant, at=recent, meter="sum", quantity="0.5")).status == 201


async def test_sql_itself_refuses_what_does_not_add_up_and_other_tenants(counters: Counters, globex: Tenant) -> None:
    meter = counters.make_meter("peak", "max")
    add = "select signalops.add_adjustment(%s, signalops.new_id(), %s, now(), '[]', 1, 'r', 'a')"
    with counters.owner.transaction(force_rollback=True):
        counters.owner.execute("select signalops.set_tenant(%s)", [counters.tenant.id])
        counters.owner.execute("set local role signalops_api")
        counters.owner.execute(add, [counters.tenant.id, "events"])
        for tenant, of, error in (
            (counters.tenant.id, meter, "the meter peak can't be adjusted"),
            (globex.id, "events", "in a transaction of its tenant"),
        ):
            with pytest.raises(psycopg.Error, match=error), counters.owner.transaction():
                counters.owner.execute(add, [tenant, of])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            counters.owner.execute("insert into signalops.usage_adjustments select from signalops.usage_adjustments")


async def test_adjustments_are_listed_by_page_and_meter(api: Client, counters: Counters, globex: Tenant) -> None:
    meter = counters.make_meter("m", "count")
    ids = [(await adjust(api, counters.tenant, meter=m)).json["id"] for m in ("events", meter, "events")][::-1]

    async def listed(tenant: Tenant, **params: object) -> tuple[list[str], bool]:
        page = (await api.get(PATH, tenant, **params)).json
        return [one["id"] for one in page["data"]], page["hasMore"]

    assert await listed(counters.tenant) == (ids, False)
    assert await listed(counters.tenant, limit=2) == (ids[:2], True)
    assert await listed(counters.tenant, limit=2, startingAfter=ids[1]) == (ids[2:], False)
    assert await listed(counters.tenant, endingBefore=ids[2]) == (ids[:2], False)
    assert await listed(counters.tenant, meter=meter) == ([ids[1]], False)
    assert await listed(globex) == ([], False)


async def test_adjusting_needs_a_scope_of_its_own(api: Client, acme: Tenant) -> None:
    problem = assert_problem(await adjust(api, acme), 403, "forbidden")
    assert problem["requiredScope"] == "usage:adjust"
