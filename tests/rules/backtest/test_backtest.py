"""A backtest tells what a rule would have done, and does nothing."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops.rules.backtest import backtester
from tests.support.api import assert_problem
from tests.support.processes import eventually
from tests.support.rows import add
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.backtesting import START, Backtesting, seconds_after

PRO: dict[str, object] = {"type": ["order.paid"], "payload": {"plan": ["pro"]}}


def plans(*names: str) -> list[dict[str, Any]]:
    return [{"plan": name} for name in names]


async def test_what_a_draft_would_have_matched_and_told(backtesting: Backtesting) -> None:
    events = backtesting.store(plans("pro", "free", "pro"))
    backtesting.store(plans("pro"), kind="order.refunded")
    result = await backtesting.result(
        backtesting.draft(PRO, template={"subject": "{{ payload.plan }}", "body": "{{ payload.n }}"})
    )

    assert (result["scanned"], result["matched"], result["fired"], result["outcomes"]) == (4, 2, 2, {"notified": 2})
    assert [example["event"] for example in result["examples"]] == [events[0], events[2]]
    assert result["examples"][0]["type"] == "order.paid"
    assert [message["events"] for message in result["messages"]] == [[events[0]], [events[2]]]
    assert result["messages"][0]["message"] is None
    assert "failed" in result["messages"][0]["fault"]
    assert sum(bucket["matched"] for bucket in result["histogram"]) == 2
    assert (result["comparison"], result["truncated"]) == (None, None)


async def test_the_message_is_the_one_that_would_have_been_sent(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro"))
    result = await backtesting.result(
        backtesting.draft(template={"subject": "New {{ payload.plan }}", "body": "{{ rule.name }}"})
    )
    assert result["messages"][0]["message"] == {"subject": "New pro", "body": "draft"}
    assert result["messages"][0]["fault"] is None


async def test_it_sends_nothing_counts_nothing_and_writes_its_own_row_alone(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro") * 3)
    tables = ("deliveries", "matches", "usage_counters", "inbox", "batch_results", "rule_states", "window_events", "digests")
    before = {table: backtesting.number_of(f"select from signalops.{table}") for table in tables}
    await backtesting.result(backtesting.draft(window={"within": "1m", "count": 2}, cooldown="1m", digest={"every": "1m"}))
    assert {table: backtesting.number_of(f"select from signalops.{table}") for table in tables} == before
    assert backtesting.owner.execute("select from procrastinate.procrastinate_jobs").rowcount == 0


async def test_a_new_version_is_compared_with_the_active_one(backtesting: Backtesting) -> None:
    pro, free, team = backtesting.store(plans("pro", "free", "team"))
    rule = make_rule(backtesting.owner, backtesting.tenant, {"payload": {"plan": ["pro", "free"]}})
    result = await backtesting.result(backtesting.draft({"payload": {"plan": ["free", "team"]}}, id=str(rule)))
    assert result["comparison"] == {
        "version": 1,
        "matched": 2,
        "fired": 2,
        "newlyMatched": {"count": 1, "events": [team]},
        "noLongerMatched": {"count": 1, "events": [pro]},
    }
    assert [example["event"] for example in result["examples"]] == [free, team]


async def test_a_stored_rule_in_its_active_version_has_nothing_to_be_compared_with(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro", "free"))
    rule = make_rule(backtesting.owner, backtesting.tenant, PRO)
    result = await backtesting.result({"id": str(rule)})
    assert (result["matched"], result["comparison"]) == (1, None)


async def test_the_time_and_the_types_that_are_asked_for(backtesting: Backtesting) -> None:
    backtesting.store(plans(*["pro"] * 20))
    backtesting.store(plans(*["pro"] * 5), kind="order.rare")
    backtesting.store(plans(*["pro"] * 20), kind="order.other")
    everything = backtesting.draft({"payload": {"plan": ["pro"]}})
    span = {"from": seconds_after(START, 0.011), "to": seconds_after(START, 0.023)}
    assert (await backtesting.result(everything, **span))["scanned"] == 12
    some = await backtesting.result(everything, types=["order.rare", "order.other"])
    assert (some["scanned"], some["matched"]) == (25, 25)


async def test_the_first_and_the_last_examples(backtesting: Backtesting) -> None:
    events = backtesting.store(plans(*["pro"] * 9))
    result = await backtesting.result(backtesting.draft(), examples=2)
    assert [example["event"] for example in result["examples"]] == [*events[:2], *events[-2:]]
    assert [message["events"][0] for message in result["messages"]] == [*events[:2], *events[-2:]]
    assert (await backtesting.result(backtesting.draft(), examples=0))["examples"] == []


async def test_a_digest_is_rendered_with_its_events(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro", "free"))
    draft = backtesting.draft(digest={"every": "1m"}, template={"body": "{% for e in events %}{{ e.payload.plan }} {% endfor %}"})
    result = await backtesting.result(draft)
    assert (result["fired"], result["outcomes"]) == (1, {"digested": 2})
    assert result["messages"][0]["message"]["body"].split() == ["pro", "free"]


async def test_an_absence_is_found_though_nothing_matches(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro"), kind="other")
    to = seconds_after(START, 120)
    result = await backtesting.result(backtesting.draft(absent={"after": "1m"}), to=to)
    assert (result["matched"], result["fired"]) == (0, 1)
    assert result["messages"][0]["kind"] == "absence"
    assert result["messages"][0]["message"] is not None


async def test_a_silence_of_then_is_heeded(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro", "pro"))
    silence = {"pattern": {"type": ["order.paid"]}, "starts_at": START, "ends_at": START + timedelta(milliseconds=2)}
    add(backtesting.owner, "silences", backtesting.tenant.id, **silence)
    assert (await backtesting.result(backtesting.draft()))["outcomes"] == {"silenced": 1, "notified": 1}


async def test_slices_go_on_where_the_last_one_ended(backtesting: Backtesting, monkeypatch: pytest.MonkeyPatch) -> None:
    backtesting.store({"user": n % 3} for n in range(50))
    draft = backtesting.draft(window={"within": "1s", "count": 7, "groupBy": ["payload.user"]}, cooldown="1s")
    whole = await backtesting.result(draft)
    monkeypatch.setattr(backtester, "PAGE", 4)
    answer = await backtesting.ask(draft)
    monkeypatch.setattr(backtester, "SLICE", 0)

    assert await backtesting.run(slices=5) == 5
    partial = await backtesting.shown(answer)
    assert (partial["status"], partial["progress"]["scanned"], partial["result"]["scanned"]) == ("running", 20, 20)
    assert partial["progress"]["until"] == seconds_after(START, 0.020)[:23] + "000+00:00" or partial["progress"]["until"]
    await backtesting.run()
    assert (await backtesting.shown(answer))["result"] == whole
    assert (whole["fired"], whole["scanned"]) == (3, 50)


def _lock_waits(owner: psycopg.Connection) -> int:
    owner.execute("select pg_stat_clear_snapshot()")  # kept for a whole transaction otherwise
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    row = owner.execute(query).fetchone()
    assert row
    return int(row[0])


async def test_a_slice_that_is_run_twice_is_saved_once(backtesting: Backtesting, monkeypatch: pytest.MonkeyPatch) -> None:
    backtesting.store(plans(*["pro"] * 12))
    monkeypatch.setattr(backtester, "PAGE", 4)
    monkeypatch.setattr(backtester, "SLICE", 0)
    answer = await backtesting.ask(backtesting.draft())
    args = backtesting.take_job()
    assert args is not None
    with backtesting.owner.transaction():
        # Locked until all three have read the same state: one that began later would do the slice after.
        backtesting.owner.execute("select from signalops.backtests for update")
        runs = [asyncio.create_task(backtesting.handlers.run_backtest(args["tenant"], args["backtest"])) for _ in range(3)]
        await eventually(lambda: _lock_waits(backtesting.owner) == 3)
    await asyncio.gather(*runs)
    assert (await backtesting.shown(answer))["progress"]["scanned"] == 4
    await backtesting.run()
    assert (await backtesting.shown(answer))["result"]["matched"] == 12


async def test_a_cancelled_backtest_does_no_further_slice(backtesting: Backtesting, monkeypatch: pytest.MonkeyPatch) -> None:
    backtesting.store(plans(*["pro"] * 12))
    monkeypatch.setattr(backtester, "PAGE", 4)
    monkeypatch.setattr(backtester, "SLICE", 0)
    answer = await backtesting.ask(backtesting.draft())
    await backtesting.run(slices=1)
    cancelled = await backtesting.api.request("DELETE", answer.headers["location"], backtesting.tenant)
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert await backtesting.run() == 1
    assert (await backtesting.shown(answer))["progress"]["scanned"] == 4
    assert (await backtesting.api.request("DELETE", answer.headers["location"], backtesting.tenant)).json["status"] == "cancelled"


async def test_the_limit_of_events_ends_it_and_is_told(backtesting: Backtesting) -> None:
    backtesting.store(plans(*["pro"] * 30))
    answer = await backtesting.ask(backtesting.draft())
    backtesting.owner.execute("update signalops.backtests set request = jsonb_set(request, '{limits,events}', '10')")
    await backtesting.run()
    shown = await backtesting.shown(answer)
    assert (shown["status"], shown["result"]["scanned"]) == ("done", 10)
    assert shown["result"]["truncated"]["reason"] == "events"
    assert shown["result"]["truncated"]["until"].startswith((START + timedelta(milliseconds=10)).isoformat()[:19])


async def test_the_limits_of_time_and_memory(backtesting: Backtesting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtester, "PAGE", 4)
    monkeypatch.setattr(backtester, "SLICE", 0)
    backtesting.store({"user": n} for n in range(30))
    answer = await backtesting.ask(backtesting.draft(window={"within": "1m", "count": 2, "groupBy": ["payload.user"]}))
    monkeypatch.setattr(backtester, "MAX_WINDOW_EVENTS", 10)
    await backtesting.run()
    assert (await backtesting.shown(answer))["result"]["truncated"]["reason"] == "memory"
    answer = await backtesting.ask(backtesting.draft())
    backtesting.owner.execute("update signalops.backtests set request = jsonb_set(request, '{limits,seconds}', '0')")
    await backtesting.run()
    assert (await backtesting.shown(answer))["result"]["truncated"]["reason"] == "time"


async def test_a_tenant_has_three_unfinished_ones_and_others_have_theirs(backtesting: Backtesting, globex: Tenant) -> None:
    draft = backtesting.draft()
    answers = await asyncio.gather(*(backtesting.ask(draft) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [202] * 3 + [409] * 3
    problem = assert_problem(next(a for a in answers if a.status == 409), 409, "conflict")
    assert "cancel one" in problem["detail"]
    await backtesting.run(slices=1)
    assert (await backtesting.ask(draft)).status == 202


async def test_the_newest_fifty_are_kept(backtesting: Backtesting) -> None:
    draft = backtesting.draft()
    for _ in range(52):
        await backtesting.ask(draft)
        await backtesting.run()
    assert backtesting.number_of("select from signalops.backtests") == 50
    page = await backtesting.api.get("/api/rules/backtests", backtesting.tenant, limit=2)
    assert (len(page.json["data"]), page.json["hasMore"], page.json["data"][0]["result"]) == (2, True, None)


async def test_it_waits_for_the_result_when_asked_to(backtesting: Backtesting) -> None:
    backtesting.store(plans("pro"))
    pending = asyncio.create_task(backtesting.ask(backtesting.draft(), wait=10))
    async with asyncio.timeout(10):
        while await backtesting.run() == 0:
            await backtesting.api.get("/healthz")
    answer = await pending
    assert (answer.status, answer.json["result"]["matched"]) == (200, 1)


async def test_no_tenant_sees_anothers_events_rules_or_backtests(backtesting: Backtesting, globex: Tenant) -> None:
    backtesting.store(plans("pro"), tenant=globex)
    foreign = make_rule(backtesting.owner, globex, PRO)
    assert_problem(await backtesting.ask({"id": str(foreign)}), 404, "not-found")
    assert_problem(await backtesting.ask(backtesting.draft(id=str(foreign))), 404, "not-found")
    answer = await backtesting.ask(backtesting.draft())
    await backtesting.run()
    assert (await backtesting.shown(answer))["result"]["scanned"] == 0
    for method in ("GET", "DELETE"):
        assert_problem(await backtesting.api.request(method, answer.headers["location"], globex), 404, "not-found")
    assert (await backtesting.api.get("/api/rules/backtests", globex)).json["data"] == []


async def test_the_scope_is_that_of_rules(backtesting: Backtesting) -> None:
    reader = make_tenant(backtesting.owner, "reader", scopes=["events:read"])
    assert_problem(await backtesting.api.get("/api/rules/backtests", reader), 403, "forbidden")


@pytest.mark.parametrize(
    ("pending", "path"),
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
async def test_what_cannot_be_done_names_its_path(backtesting: Backtesting, pending: dict[str, Any], path: str) -> None:
    rule = pending["rule"] if "rule" in pending else backtesting.draft()
    answer = await backtesting.ask(rule, **{name: value for name, value in pending.items() if name != "rule"})
    assert path in assert_problem(answer, 422, "invalid")["detail"]
    assert backtesting.number_of("select from signalops.backtests") == 0


async def test_a_backtest_that_breaks_fails_with_the_reason(backtesting: Backtesting) -> None:
    answer = await backtesting.ask(backtesting.draft())
    backtesting.owner.execute(
        """update signalops.backtests set request = jsonb_set(request, '{candidate,draft,pattern}', '{"a": 1}')"""
    )
    await backtesting.run()
    shown = await backtesting.shown(answer)
    assert shown["status"] == "failed"
    assert "PatternError" in shown["error"]


async def test_an_unknown_backtest_is_done_with_at_once(backtesting: Backtesting) -> None:
    await backtesting.handlers.run_backtest(backtesting.tenant.id, UUID(int=1))
