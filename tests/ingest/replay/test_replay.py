"""Replays: past events run through the rules again; notified again and marked, billed once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock
from tests.support.api import assert_problem
from tests.support.rows import add
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.replaying import Replaying

PRO: dict[str, object] = {"payload": {"plan": ["pro"]}}


async def test_chosen_events_are_told_again_and_billed_once(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, PRO)
    pro, free, other = await replaying.accept({"plan": "pro"}, {"plan": "free"}, {"plan": "pro"})
    await replaying.process()
    answer = await replaying.replay(events=[pro, free])
    assert (answer.status, answer.json["events"]) == (202, 2)
    replay = UUID(answer.json["id"])
    assert (await replaying.shown(answer))["waiting"] == 2
    await replaying.process()

    assert replaying.deliveries() == [(pro, None), (other, None), (pro, replay)]
    assert replaying.used() == 3
    assert replaying.rows("select accepted from signalops.accepted_counters") == [(3,)]
    shown = await replaying.shown(answer)
    assert (shown["waiting"], shown["deliveries"], shown["reason"]) == (0, 1, "the receiver lost them")
    assert len(replaying.rows("select from signalops.matches")) == 2
    path = (await replaying.api.get(f"/api/events/{pro}", replaying.tenant)).json
    assert [delivery["replay"] for delivery in path["deliveries"]] == [None, str(replay)]


async def test_an_event_stays_processed_while_its_replay_waits(replaying: Replaying) -> None:
    (event,) = await replaying.accept({})
    await replaying.process()
    await replaying.replay(events=[event])
    assert (await replaying.api.get(f"/api/events/{event}", replaying.tenant)).json["status"] == "processed"


async def test_twice_is_twice_on_purpose(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, PRO)
    (event,) = await replaying.accept({"plan": "pro"})
    await replaying.process()
    replays = []
    for _ in range(2):
        replays.append(UUID((await replaying.replay(events=[event])).json["id"]))
        await replaying.process()
    assert replaying.deliveries() == [(event, None), (event, replays[0]), (event, replays[1])]
    assert [job["delivery"] for (job,) in replaying.rows(_SENDS)] == [
        str(i) for (i,) in replaying.rows("select id from signalops.deliveries order by id")
    ]


_SENDS = "select args from procrastinate.procrastinate_jobs where task_name = 'send_delivery' order by id"


async def test_it_is_the_rules_of_now_that_decide(replaying: Replaying) -> None:
    (event,) = await replaying.accept({"plan": "pro"})
    await replaying.process()
    rule = make_rule(replaying.owner, replaying.tenant, PRO)
    await replaying.replay(events=[event])
    await replaying.process()
    assert replaying.rows("select event_id::text, rule_id, outcome from signalops.matches") == [(event, rule, "notified")]
    assert len(replaying.deliveries()) == 1


async def test_only_some_rules_if_so_asked(replaying: Replaying) -> None:
    one, _ = make_rule(replaying.owner, replaying.tenant, PRO), make_rule(replaying.owner, replaying.tenant, PRO)
    (event,) = await replaying.accept({"plan": "pro"})
    await replaying.replay(events=[event])
    await replaying.process()
    await replaying.replay(events=[event], rules=[str(one)])
    await replaying.process()
    replayed = "select rule_id from signalops.deliveries where replay_id is not null"
    assert replaying.rows(replayed) == [(one,)]
    problem = assert_problem(await replaying.replay(events=[event], rules=[str(clock.new_id())]), 422, "invalid")
    assert "there is no rule" in problem["detail"]


async def test_a_window_does_not_count_an_event_twice(replaying: Replaying) -> None:
    window = {"within": "10m", "count": 2}
    make_rule(replaying.owner, replaying.tenant, PRO, time_window=window)
    (event,) = await replaying.accept({"plan": "pro"})
    await replaying.process()
    await replaying.replay(events=[event])
    await replaying.process()
    assert replaying.deliveries() == []


async def test_a_span_of_time_and_a_type(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, PRO)
    await replaying.accept(*[{"plan": "pro"}] * 7)
    await replaying.process()
    now = clock.now()
    span = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    assert (await replaying.replay(**span, type="order.paid", dryRun=True)).json["events"] == 7
    assert (await replaying.replay(**span, type="order.other")).json["events"] == 0
    assert (await replaying.replay(**span)).json["events"] == 7
    earlier = {"from": "2026-01-01T00:00:00Z", "to": (now - timedelta(hours=1)).isoformat()}
    assert (await replaying.replay(**earlier)).json["events"] == 0


async def test_a_dry_run_only_counts(replaying: Replaying) -> None:
    event, _ = await replaying.accept({}, {})
    await replaying.process()
    answer = await replaying.replay(events=[event, str(clock.new_id())], dryRun=True)
    skipped = {"waiting": 0, "operational": 0, "dead": 0, "unknown": 1}
    assert (answer.status, answer.json) == (200, {"events": 1, "skipped": skipped})
    assert replaying.rows("select from signalops.inbox") == replaying.rows("select from signalops.replays") == []


async def test_what_waits_is_dead_or_operational_is_skipped(replaying: Replaying) -> None:
    dead, operational = await replaying.accept({}, {})
    await replaying.process()
    add(replaying.owner, "dead_letters", replaying.tenant.id, id=dead, event_id=dead)
    replaying.owner.execute("update signalops.events set causation_depth = 1 where id = %s", [operational])
    (waiting,) = await replaying.accept({})
    answer = await replaying.replay(events=[dead, operational, waiting])
    assert answer.json["events"] == 0
    assert answer.json["skipped"] == {"waiting": 1, "operational": 1, "dead": 1, "unknown": 0}
    assert await replaying.process() == 1
    assert replaying.used() == 3


async def test_batches_have_at_most_five_hundred_and_jobs_of_their_own(replaying: Replaying) -> None:
    events = await replaying.accept(*[{}] * 501)
    await replaying.process()
    await replaying.replay(events=events)
    sizes = replaying.rows("select count(*) from signalops.inbox group by batch order by 1")
    assert sizes == [(1,), (500,)]
    jobs = "select priority, args from procrastinate.procrastinate_jobs where task_name = 'process_batch' and priority < 0"
    batches = replaying.rows("select distinct batch::text from signalops.inbox order by 1")
    assert [(args["batch"],) for _, args in sorted(replaying.rows(jobs), key=lambda job: job[1]["batch"])] == batches
    await replaying.process()
    assert (replaying.used(), replaying.rows("select from signalops.inbox")) == (501, [])


async def test_two_replays_at_once_share_an_event_out(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, PRO)
    events = await replaying.accept(*[{"plan": "pro"}] * 20)
    await replaying.process()
    answers = await asyncio.gather(*(replaying.replay(events=events) for _ in range(4)))
    counts = [(answer.json["events"], answer.json["skipped"]["waiting"]) for answer in answers]
    assert sum(events for events, _ in counts) == 20
    assert all(sum(count) == 20 for count in counts)
    await replaying.process()
    assert len(replaying.deliveries()) == 40


async def test_a_worker_that_dies_in_the_middle_has_done_nothing(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, PRO)
    (event,) = await replaying.accept({"plan": "pro"})
    await replaying.process()
    answer = await replaying.replay(events=[event])
    replaying.owner.execute(
        "create function signalops.hang_up() returns trigger language plpgsql security definer as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
        "create trigger hang_up before insert on signalops.batch_results execute function signalops.hang_up();"
    )
    with pytest.raises(psycopg.OperationalError):
        await replaying.process()
    assert (await replaying.shown(answer))["waiting"] == 1
    replaying.owner.execute("drop trigger hang_up on signalops.batch_results")
    await replaying.process()
    shown = await replaying.shown(answer)
    assert (shown["waiting"], shown["deliveries"], replaying.used()) == (0, 1, 1)


async def test_no_tenant_replays_anothers_events(replaying: Replaying, globex: Tenant) -> None:
    (foreign,) = await replaying.accept({}, tenant=globex)
    (own,) = await replaying.accept({})
    await replaying.process()
    answer = await replaying.replay(events=[foreign, own])
    assert (answer.json["events"], answer.json["skipped"]["unknown"]) == (1, 1)
    assert_problem(await replaying.api.get(answer.headers["location"], globex), 404, "not-found")
    assert (await replaying.api.get("/api/replays", globex)).json["data"] == []
    assert [r["id"] for r in (await replaying.api.get("/api/replays", replaying.tenant)).json["data"]] == [answer.json["id"]]


async def test_the_scope_is_that_of_rules(replaying: Replaying) -> None:
    reader = make_tenant(replaying.owner, "reader", scopes=["events:read", "events:write"])
    assert_problem(await replaying.api.get("/api/replays", reader), 403, "forbidden")


async def test_too_many_are_refused_with_the_remedy(replaying: Replaying) -> None:
    replaying.owner.execute(
        "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload) "
        "select %s, signalops.new_id(), %s, 'a.b', now(), now(), '{}' from generate_series(1, 10001)",
        [replaying.tenant.id, clock.new_id()],
    )
    now = clock.now()
    span = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    problem = assert_problem(await replaying.replay(**span), 422, "invalid")
    assert "More than 10000 events" in problem["detail"]
    assert replaying.rows("select from signalops.inbox") == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "events"),
        ({"events": []}, "events"),
        ({"events": ["x"]}, "events.0"),
        ({"events": [str(UUID(int=1))], "from": "2026-11-01T00:00:00Z"}, "events"),
        ({"from": "2026-11-01T00:00:00Z"}, "from and to"),
        ({"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"}, "later"),
        ({"events": [str(UUID(int=1))], "reason": ""}, "reason"),
    ],
)
async def test_what_cannot_be_done_names_its_path(replaying: Replaying, body: dict[str, Any], path: str) -> None:
    assert path in assert_problem(await replaying.replay(**body), 422, "invalid")["detail"]
