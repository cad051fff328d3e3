"""A backtest tells what a rule would have done, and does nothing."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from signalops import clock
from signalops.rules.backtest import run
from tests.api import assert_problem
from tests.people import Tenant, make_rule, make_tenant
from tests.station.rules.backtest.conftest import START, World, seconds_after

PRO: dict[str, object] = {"type": ["order.paid"], "payload": {"plan": ["pro"]}}


def plans(*names: str) -> list[dict[str, Any]]:
    return [{"plan": name} for name in names]


async def test_what_a_draft_would_have_matched_and_told(world: World) -> None:
    events = world.store(plans("pro", "free", "pro"))
    world.store(plans("pro"), kind="order.refunded")
    told = await world.result(world.draft(PRO, template={"subject": "{{ payload.plan }}", "body": "{{ payload.n }}"}))

    assert (told["scanned"], told["matched"], told["fired"], told["outcomes"]) == (4, 2, 2, {"notified": 2})
    assert [example["event"] for example in told["examples"]] == [events[0], events[2]]
    assert told["examples"][0]["type"] == "order.paid"
    assert [message["events"] for message in told["messages"]] == [[events[0]], [events[2]]]
    assert told["messages"][0]["message"] is None
    assert "failed" in told["messages"][0]["fault"]
    assert sum(bucket["matched"] for bucket in told["histogram"]) == 2
    assert (told["comparison"], told["truncated"]) == (None, None)


async def test_the_message_is_the_one_that_would_have_been_sent(world: World) -> None:
    world.store(plans("pro"))
    told = await world.result(world.draft(template={"subject": "New {{ payload.plan }}", "body": "{{ rule.name }}"}))
    assert told["messages"][0]["message"] == {"subject": "New pro", "body": "draft"}
    assert told["messages"][0]["fault"] is None


async def test_it_sends_nothing_counts_nothing_and_writes_its_own_row_alone(world: World) -> None:
    world.store(plans("pro") * 3)
    tables = ("deliveries", "matches", "usage_counters", "inbox", "batches", "rule_groups", "window_events", "digests")
    before = {table: world.count(table) for table in tables}
    await world.result(world.draft(window={"within": "1m", "count": 2}, cooldown="1m", digest={"every": "1m"}))
    assert {table: world.count(table) for table in tables} == before
    assert world.owner.execute("select from procrastinate.procrastinate_jobs").rowcount == 0


async def test_a_new_version_is_compared_with_the_active_one(world: World) -> None:
    pro, free, team = world.store(plans("pro", "free", "team"))
    rule = make_rule(world.owner, world.tenant, {"payload": {"plan": ["pro", "free"]}})
    told = await world.result(world.draft({"payload": {"plan": ["free", "team"]}}, id=str(rule)))
    assert told["comparison"] == {
        "version": 1,
        "matched": 2,
        "fired": 2,
        "newlyMatched": {"count": 1, "events": [team]},
        "noLongerMatched": {"count": 1, "events": [pro]},
    }
    assert [example["event"] for example in told["examples"]] == [free, team]


async def test_a_stored_rule_in_its_active_version_has_nothing_to_be_compared_with(world: World) -> None:
    world.store(plans("pro", "free"))
    rule = make_rule(world.owner, world.tenant, PRO)
    told = await world.result({"id": str(rule)})
    assert (told["matched"], told["comparison"]) == (1, None)


async def test_the_time_and_the_types_that_are_asked_for(world: World) -> None:
    world.store(plans(*["pro"] * 20))
    world.store(plans(*["pro"] * 5), kind="order.rare")
    world.store(plans(*["pro"] * 20), kind="order.other")
    everything = world.draft({"payload": {"plan": ["pro"]}})
    span = {"from": seconds_after(START, 0.011), "to": seconds_after(START, 0.023)}
    assert (await world.result(everything, **span))["scanned"] == 12
    some = await world.result(everything, types=["order.rare", "order.other"])
    assert (some["scanned"], some["matched"]) == (25, 25)


async def test_the_first_and_the_last_examples(world: World) -> None:
    events = world.store(plans(*["pro"] * 9))
    told = await world.result(world.draft(), examples=2)
    assert [example["event"] for example in told["examples"]] == [*events[:2], *events[-2:]]
    assert [message["events"][0] for message in told["messages"]] == [*events[:2], *events[-2:]]
    assert (await world.result(world.draft(), examples=0))["examples"] == []


async def test_a_digest_is_rendered_with_its_events(world: World) -> None:
    world.store(plans("pro", "free"))
    draft = world.draft(
        digest={"every": "1m"}, template={"body": "{% for e in events %}{{ e.payload.plan }} {% endfor %}"}
    )
    told = await world.result(draft)
    assert (told["fired"], told["outcomes"]) == (1, {"digested": 2})
    assert told["messages"][0]["message"]["body"].split() == ["pro", "free"]


async def test_an_absence_is_found_though_nothing_matches(world: World) -> None:
    world.store(plans("pro"), kind="other")
    to = seconds_after(START, 120)
    told = await world.result(world.draft(absent={"after": "1m"}), to=to)
    assert (told["matched"], told["fired"]) == (0, 1)
    assert told["messages"][0]["kind"] == "absence"
    assert told["messages"][0]["message"] is not None


async def test_a_silence_of_then_is_heeded(world: World) -> None:
    world.store(plans("pro", "pro"))
    world.owner.execute(
        "insert into signalops.silences (tenant_id, id, grammar, pattern, starts_at, ends_at, reason) "
        """values (%s, %s, 2, '{"type": ["order.paid"]}', %s, %s, 'r')""",
        [world.tenant.id, clock.new_id(), START, START + timedelta(milliseconds=2)],
    )
    assert (await world.result(world.draft()))["outcomes"] == {"silenced": 1, "notified": 1}


async def test_slices_go_on_where_the_last_one_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store({"user": n % 3} for n in range(50))
    draft = world.draft(window={"within": "1s", "count": 7, "groupBy": ["payload.user"]}, cooldown="1s")
    whole = await world.result(draft)
    monkeypatch.setattr(run, "PAGE", 4)
    answer = await world.ask(draft)
    monkeypatch.setattr(run, "SLICE", 0)

    assert await world.run(slices=5) == 5
    partial = await world.shown(answer)
    assert (partial["status"], partial["progress"]["scanned"], partial["result"]["scanned"]) == ("running", 20, 20)
    assert (
        partial["progress"]["until"] == seconds_after(START, 0.020)[:23] + "000+00:00" or partial["progress"]["until"]
    )
    await world.run()
    assert (await world.shown(answer))["result"] == whole
    assert (whole["fired"], whole["scanned"]) == (3, 50)


async def test_a_slice_that_is_run_twice_is_saved_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store(plans(*["pro"] * 12))
    monkeypatch.setattr(run, "PAGE", 4)
    monkeypatch.setattr(run, "SLICE", 0)
    answer = await world.ask(world.draft())
    args = world.take_job()
    assert args is not None
    await asyncio.gather(*(world.journey.run_backtest(args["tenant"], args["backtest"]) for _ in range(3)))
    assert (await world.shown(answer))["progress"]["scanned"] == 4
    await world.run()
    assert (await world.shown(answer))["result"]["matched"] == 12


async def test_a_cancelled_backtest_does_no_further_slice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store(plans(*["pro"] * 12))
    monkeypatch.setattr(run, "PAGE", 4)
    monkeypatch.setattr(run, "SLICE", 0)
    answer = await world.ask(world.draft())
    await world.run(slices=1)
    cancelled = await world.api.request("DELETE", answer.headers["location"], world.tenant)
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert await world.run() == 1
    assert (await world.shown(answer))["progress"]["scanned"] == 4
    assert (await world.api.request("DELETE", answer.headers["location"], world.tenant)).json["status"] == "cancelled"


async def test_the_limit_of_events_ends_it_and_is_told(world: World) -> None:
    world.store(plans(*["pro"] * 30))
    answer = await world.ask(world.draft())
    world.owner.execute("update signalops.backtests set asked = jsonb_set(asked, '{limits,events}', '10')")
    await world.run()
    shown = await world.shown(answer)
    assert (shown["status"], shown["result"]["scanned"]) == ("done", 10)
    assert shown["result"]["truncated"]["reason"] == "events"
    assert shown["result"]["truncated"]["until"].startswith((START + timedelta(milliseconds=10)).isoformat()[:19])


async def test_the_limits_of_time_and_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAGE", 4)
    monkeypatch.setattr(run, "SLICE", 0)
    world.store({"user": n} for n in range(30))
    answer = await world.ask(world.draft(window={"within": "1m", "count": 2, "groupBy": ["payload.user"]}))
    monkeypatch.setattr(run, "MOST_HELD", 10)
    await world.run()
    assert (await world.shown(answer))["result"]["truncated"]["reason"] == "memory"
    answer = await world.ask(world.draft())
    world.owner.execute("update signalops.backtests set asked = jsonb_set(asked, '{limits,seconds}', '0')")
    await world.run()
    assert (await world.shown(answer))["result"]["truncated"]["reason"] == "time"


async def test_a_tenant_has_three_unfinished_ones_and_others_have_theirs(world: World, globex: Tenant) -> None:
    draft = world.draft()
    answers = await asyncio.gather(*(world.ask(draft) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [202] * 3 + [409] * 3
    problem = assert_problem(next(a for a in answers if a.status == 409), 409, "conflict")
    assert "cancel one" in problem["detail"]
    await world.run(slices=1)
    assert (await world.ask(draft)).status == 202


async def test_the_newest_fifty_are_kept(world: World) -> None:
    draft = world.draft()
    for _ in range(52):
        await world.ask(draft)
        await world.run()
    assert world.count("backtests") == 50
    page = await world.api.get("/api/rules/backtests", world.tenant, limit=2)
    assert (len(page.json["data"]), page.json["has_more"], page.json["data"][0]["result"]) == (2, True, None)


async def test_it_waits_for_the_result_when_asked_to(world: World) -> None:
    world.store(plans("pro"))
    asked = asyncio.create_task(world.ask(world.draft(), wait=10))
    async with asyncio.timeout(10):
        while await world.run() == 0:
            await world.api.get("/healthz")
    answer = await asked
    assert (answer.status, answer.json["result"]["matched"]) == (200, 1)


async def test_no_tenant_sees_anothers_events_rules_or_backtests(world: World, globex: Tenant) -> None:
    world.store(plans("pro"), tenant=globex)
    foreign = make_rule(world.owner, globex, PRO)
    assert_problem(await world.ask({"id": str(foreign)}), 404, "not-found")
    assert_problem(await world.ask(world.draft(id=str(foreign))), 404, "not-found")
    answer = await world.ask(world.draft())
    await world.run()
    assert (await world.shown(answer))["result"]["scanned"] == 0
    for method in ("GET", "DELETE"):
        assert_problem(await world.api.request(method, answer.headers["location"], globex), 404, "not-found")
    assert (await world.api.get("/api/rules/backtests", globex)).json["data"] == []


async def test_the_scope_is_that_of_rules(world: World) -> None:
    reader = make_tenant(world.owner, "reader", scopes=["events:read"])
    assert_problem(await world.api.get("/api/rules/backtests", reader), 403, "forbidden")


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"from": "tomorrow"}, "from"),
        ({"from": "2100-01-01T00:00:00Z"}, "from"),
        ({"to": "2001-01-01T00:00:00Z"}, "to"),
        ({"examples": 21}, "examples"),
        ({"wait": 11}, "wait"),
        ({"types": []}, "types"),
        ({"rule": {"pattern": {"type": "no list"}, "channel": "x"}}, "pattern"),
        ({"rule": {"id": "x"}}, "rule.id"),
        ({"rule": {}}, "rule.pattern"),
    ],
)
async def test_what_cannot_be_done_names_its_path(world: World, asked: dict[str, Any], path: str) -> None:
    rule = asked["rule"] if "rule" in asked else world.draft()
    answer = await world.ask(rule, **{name: value for name, value in asked.items() if name != "rule"})
    assert path in assert_problem(answer, 422, "invalid")["detail"]
    assert world.count("backtests") == 0


async def test_a_backtest_that_breaks_fails_with_the_reason(world: World) -> None:
    answer = await world.ask(world.draft())
    world.owner.execute(
        """update signalops.backtests set asked = jsonb_set(asked, '{candidate,draft,pattern}', '{"a": 1}')"""
    )
    await world.run()
    shown = await world.shown(answer)
    assert shown["status"] == "failed"
    assert "PatternError" in shown["error"]


async def test_an_unknown_backtest_is_done_with_at_once(world: World) -> None:
    await world.journey.run_backtest(world.tenant.id, UUID(int=1))
