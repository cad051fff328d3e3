"""Past events run through the rules again, on purpose: told anew and marked, billed once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock
from tests.api import assert_problem
from tests.people import Tenant, make_rule, make_tenant
from tests.station.replay.conftest import World

PRO: dict[str, object] = {"payload": {"plan": ["pro"]}}


async def test_chosen_events_are_told_again_and_billed_once(world: World) -> None:
    make_rule(world.owner, world.tenant, PRO)
    pro, free, other = await world.accept({"plan": "pro"}, {"plan": "free"}, {"plan": "pro"})
    await world.process()
    answer = await world.replay(events=[pro, free])
    assert (answer.status, answer.json["events"]) == (202, 2)
    replay = UUID(answer.json["id"])
    assert (await world.shown(answer))["waiting"] == 2
    await world.process()

    assert world.deliveries() == [(pro, None), (other, None), (pro, replay)]
    assert world.used() == 3
    assert world.rows("select accepted from signalops.quotas") == [(3,)]
    shown = await world.shown(answer)
    assert (shown["waiting"], shown["deliveries"], shown["reason"]) == (0, 1, "the receiver lost them")
    assert len(world.rows("select from signalops.matches")) == 2
    path = (await world.api.get(f"/api/events/{pro}", world.tenant)).json
    assert [delivery["replay"] for delivery in path["deliveries"]] == [None, str(replay)]


async def test_an_event_stays_processed_while_its_replay_waits(world: World) -> None:
    (event,) = await world.accept({})
    await world.process()
    await world.replay(events=[event])
    assert (await world.api.get(f"/api/events/{event}", world.tenant)).json["status"] == "processed"


async def test_twice_is_twice_on_purpose(world: World) -> None:
    make_rule(world.owner, world.tenant, PRO)
    (event,) = await world.accept({"plan": "pro"})
    await world.process()
    replays = []
    for _ in range(2):
        replays.append(UUID((await world.replay(events=[event])).json["id"]))
        await world.process()
    assert world.deliveries() == [(event, None), (event, replays[0]), (event, replays[1])]
    assert [job["delivery"] for (job,) in world.rows(_SENDS)] == [
        str(i) for (i,) in world.rows("select id from signalops.deliveries order by id")
    ]


_SENDS = "select args from procrastinate.procrastinate_jobs where task_name = 'send_delivery' order by id"


async def test_it_is_the_rules_of_now_that_decide(world: World) -> None:
    (event,) = await world.accept({"plan": "pro"})
    await world.process()
    rule = make_rule(world.owner, world.tenant, PRO)
    await world.replay(events=[event])
    await world.process()
    assert world.rows("select event_id::text, rule_id, outcome from signalops.matches") == [(event, rule, "notified")]
    assert len(world.deliveries()) == 1


async def test_only_some_rules_if_so_asked(world: World) -> None:
    one, _ = make_rule(world.owner, world.tenant, PRO), make_rule(world.owner, world.tenant, PRO)
    (event,) = await world.accept({"plan": "pro"})
    await world.replay(events=[event])
    await world.process()
    await world.replay(events=[event], rules=[str(one)])
    await world.process()
    replayed = "select rule_id from signalops.deliveries where replay_id is not null"
    assert world.rows(replayed) == [(one,)]
    problem = assert_problem(await world.replay(events=[event], rules=[str(clock.new_id())]), 422, "invalid")
    assert "there is no rule" in problem["detail"]


async def test_a_window_does_not_count_an_event_twice(world: World) -> None:
    window = {"within": "10m", "count": 2}
    make_rule(world.owner, world.tenant, PRO, time_window=window)
    (event,) = await world.accept({"plan": "pro"})
    await world.process()
    await world.replay(events=[event])
    await world.process()
    assert world.deliveries() == []


async def test_a_span_of_time_and_a_type(world: World) -> None:
    make_rule(world.owner, world.tenant, PRO)
    await world.accept(*[{"plan": "pro"}] * 7)
    await world.process()
    now = clock.now()
    span = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    assert (await world.replay(**span, type="order.paid", dryRun=True)).json["events"] == 7
    assert (await world.replay(**span, type="order.other")).json["events"] == 0
    assert (await world.replay(**span)).json["events"] == 7
    earlier = {"from": "2026-01-01T00:00:00Z", "to": (now - timedelta(hours=1)).isoformat()}
    assert (await world.replay(**earlier)).json["events"] == 0


async def test_a_dry_run_only_counts(world: World) -> None:
    event, _ = await world.accept({}, {})
    await world.process()
    answer = await world.replay(events=[event, str(clock.new_id())], dryRun=True)
    skipped = {"waiting": 0, "operational": 0, "dead": 0, "unknown": 1}
    assert (answer.status, answer.json) == (200, {"events": 1, "skipped": skipped})
    assert world.rows("select from signalops.inbox") == world.rows("select from signalops.replays") == []


async def test_what_waits_is_dead_or_operational_is_skipped(world: World) -> None:
    dead, operational = await world.accept({}, {})
    await world.process()
    world.owner.execute(
        "insert into signalops.dead_letters (tenant_id, id, kind, event_id, error) values (%s, %s, 'event', %s, 'e')",
        [world.tenant.id, dead, dead],
    )
    world.owner.execute("update signalops.events set depth = 1 where id = %s", [operational])
    (waiting,) = await world.accept({})
    answer = await world.replay(events=[dead, operational, waiting])
    assert answer.json["events"] == 0
    assert answer.json["skipped"] == {"waiting": 1, "operational": 1, "dead": 1, "unknown": 0}
    assert await world.process() == 1
    assert world.used() == 3


async def test_batches_have_at_most_five_hundred_and_jobs_of_their_own(world: World) -> None:
    events = await world.accept(*[{}] * 501)
    await world.process()
    await world.replay(events=events)
    sizes = world.rows("select count(*) from signalops.inbox group by batch order by 1")
    assert sizes == [(1,), (500,)]
    jobs = (
        "select priority, args from procrastinate.procrastinate_jobs where task_name = 'process_batch' and priority < 0"
    )
    wanted = world.rows("select distinct batch::text from signalops.inbox order by 1")
    assert [(args["batch"],) for _, args in sorted(world.rows(jobs), key=lambda job: job[1]["batch"])] == wanted
    await world.process()
    assert (world.used(), world.rows("select from signalops.inbox")) == (501, [])


async def test_two_replays_at_once_share_an_event_out(world: World) -> None:
    make_rule(world.owner, world.tenant, PRO)
    events = await world.accept(*[{"plan": "pro"}] * 20)
    await world.process()
    answers = await asyncio.gather(*(world.replay(events=events) for _ in range(4)))
    counts = [(answer.json["events"], answer.json["skipped"]["waiting"]) for answer in answers]
    assert sum(events for events, _ in counts) == 20
    assert all(sum(count) == 20 for count in counts)
    await world.process()
    assert len(world.deliveries()) == 40


async def test_a_worker_that_dies_in_the_middle_has_done_nothing(world: World) -> None:
    make_rule(world.owner, world.tenant, PRO)
    (event,) = await world.accept({"plan": "pro"})
    await world.process()
    answer = await world.replay(events=[event])
    world.owner.execute(
        "create function signalops.hang_up() returns trigger language plpgsql security definer as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
        "create trigger hang_up before insert on signalops.batches execute function signalops.hang_up();"
    )
    with pytest.raises(psycopg.OperationalError):
        await world.process()
    assert (await world.shown(answer))["waiting"] == 1
    world.owner.execute("drop trigger hang_up on signalops.batches")
    await world.process()
    shown = await world.shown(answer)
    assert (shown["waiting"], shown["deliveries"], world.used()) == (0, 1, 1)


async def test_no_tenant_replays_anothers_events(world: World, globex: Tenant) -> None:
    (foreign,) = await world.accept({}, tenant=globex)
    (own,) = await world.accept({})
    await world.process()
    answer = await world.replay(events=[foreign, own])
    assert (answer.json["events"], answer.json["skipped"]["unknown"]) == (1, 1)
    assert_problem(await world.api.get(answer.headers["location"], globex), 404, "not-found")
    assert (await world.api.get("/api/replays", globex)).json["data"] == []
    assert [r["id"] for r in (await world.api.get("/api/replays", world.tenant)).json["data"]] == [answer.json["id"]]


async def test_the_scope_is_that_of_rules(world: World) -> None:
    reader = make_tenant(world.owner, "reader", scopes=["events:read", "events:write"])
    assert_problem(await world.api.get("/api/replays", reader), 403, "forbidden")


async def test_too_many_are_refused_with_the_remedy(world: World) -> None:
    world.owner.execute(
        "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload) "
        "select %s, signalops.new_id(), %s, 'a.b', now(), now(), '{}' from generate_series(1, 10001)",
        [world.tenant.id, clock.new_id()],
    )
    now = clock.now()
    span = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    problem = assert_problem(await world.replay(**span), 422, "invalid")
    assert "More than 10000 events" in problem["detail"]
    assert world.rows("select from signalops.inbox") == []


@pytest.mark.parametrize(
    ("asked", "path"),
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
async def test_what_cannot_be_done_names_its_path(world: World, asked: dict[str, Any], path: str) -> None:
    assert path in assert_problem(await world.replay(**asked), 422, "invalid")["detail"]
