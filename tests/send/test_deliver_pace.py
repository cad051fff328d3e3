"""Circuit breakers, rate limits and fair queueing in PostgreSQL, exact for any number of workers; tests move stored times."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import pytest
from aiohttp import web
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.inbox import inbox_queries as inbox
from signalops.job_handlers import JobHandlers
from signalops.send import Sender
from signalops.send import deliver as deliver_module
from signalops.types import BatchId, ChannelId, DeliveryId
from tests.support.receivers import Receiver
from tests.support.rows import add_event
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.outbox import Outbox

ONE_WAITS = "update signalops.deliveries set next_attempt_at = now() - interval '1 s' where next_attempt_at is not null"
TURN = "update signalops.channel_schedules set next_due_at = now() - interval '1 s' where next_due_at is not null"
SENDS = """
  select (one ->> 'tenant')::uuid as tenant, (one ->> 'delivery')::uuid as delivery, priority
  from procrastinate.procrastinate_jobs, lateral (
    select args - 'more' as one union all select m from jsonb_array_elements(args -> 'more') m) as told
  where task_name = 'send_delivery' and status = 'todo' order by priority desc, id"""


class Pace:
    """A outbox with a channel and a rule, and what tests ask of its pace."""

    def __init__(self, outbox: Outbox, channel: ChannelId) -> None:
        self.outbox = outbox
        self.channel = channel
        self.rule = outbox.rule(channel, {})
        self.sender = outbox.sender()

    def waiting(self, count: int, channel: ChannelId | None = None, **columns: Any) -> list[DeliveryId]:
        """Store pending deliveries."""
        event = self.outbox.event({})
        return [self.outbox.add_delivery(channel or self.channel, event, self.rule, **columns) for _ in range(count)]

    async def deliver(self, *deliveries: DeliveryId, sender: Sender | None = None) -> None:
        await (sender or self.sender).deliver_all([(self.outbox.tenant, delivery) for delivery in deliveries])

    def rows(self, query: LiteralString, *values: object) -> list[dict[str, Any]]:
        with self.outbox.owner.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, values or None).fetchall()

    def send_target(self) -> dict[str, Any]:
        """Return the only send_target, with `open_for`, its seconds until somebody may try."""
        (send_target,) = self.rows(
            "select failures, circuit_open_until, extract(epoch from circuit_open_until - clock_timestamp())::float as open_for"
            " from signalops.send_targets"
        )
        return send_target

    def let_time_pass(self) -> None:
        """Have every wait be over."""
        self.outbox.owner.execute(
            "update signalops.send_targets set circuit_open_until = now() - interval '1 s' where circuit_open_until is not null"
        )
        self.outbox.owner.execute(ONE_WAITS)
        self.outbox.owner.execute(TURN)

    async def sweep(self, at_most: int = 1000) -> int:
        async with self.outbox.worker.connection() as connection:
            return await inbox.enqueue_due(connection, at_most)

    def statuses(self) -> Counter[str]:
        return Counter(row["status"] for row in self.rows("select status from signalops.deliveries"))

    def sends(self) -> list[dict[str, Any]]:
        """Return what has a job, in the order of the jobs."""
        return self.rows(SENDS)

    def attempts(self) -> int:
        return len(self.rows("select from signalops.delivery_attempts"))


@pytest.fixture
async def pace(outbox: Outbox, receiver: Receiver) -> Pace:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    return Pace(outbox, channel)


def down(receiver: Receiver, times: int, status: int = 500) -> None:
    receiver.answers += [web.Response(status=status) for _ in range(times)]


async def open_circuit(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 5)
    for delivery in pace.waiting(5):
        await pace.deliver(delivery)


async def test_the_fifth_failure_in_a_row_opens_the_circuit(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 4)
    receiver.answers.append(web.Response(status=204))
    for delivery in pace.waiting(5):
        await pace.deliver(delivery)
    assert pace.send_target()["circuit_open_until"] is None, "a success between them"
    down(receiver, 5)
    for delivery in pace.waiting(5):
        assert pace.send_target()["circuit_open_until"] is None
        await pace.deliver(delivery)
    assert 10 < pace.send_target()["open_for"] <= 15


async def test_what_an_open_circuit_puts_back_counts_no_attempt(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    (delivery,) = pace.waiting(1)
    await pace.deliver(delivery)
    row = pace.outbox.row(delivery)
    assert (row["status"], row["attempts"], pace.outbox.attempts(delivery)) == ("pending", 0, [])
    assert row["next_attempt_at"] == pace.send_target()["circuit_open_until"]
    assert len(receiver.received) == 5


async def test_of_many_workers_one_alone_probes_and_its_success_closes_the_circuit(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    pace.let_time_pass()
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.Response()

    receiver.answers.append(slow)
    deliveries = pace.waiting(12)
    workers = [asyncio.create_task(pace.deliver(d, sender=pace.outbox.sender())) for d in deliveries]
    await arrived.wait()
    _, waiting = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
    while len(waiting) > 1:
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(receiver.received) == 6, "five that failed, and one probe"
    go.set()
    await asyncio.gather(*workers)
    assert pace.send_target()["circuit_open_until"] is None
    assert pace.send_target()["failures"] == 0
    pace.let_time_pass()
    assert await pace.sweep() == 16
    for send in pace.sends():
        await pace.deliver(send["delivery"])
    assert pace.statuses() == {"sent": 17}


async def test_a_probe_that_fails_opens_the_circuit_for_twice_as_long(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    for seconds in (30, 60, 120, 240, 480, 600, 600):
        pace.let_time_pass()
        down(receiver, 1)
        await pace.deliver(*pace.waiting(1))
        assert seconds - 5 < pace.send_target()["open_for"] <= seconds


async def test_a_burst_that_fails_at_once_opens_the_circuit_as_five_do(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 40)
    await pace.deliver(*pace.waiting(40))
    assert len(receiver.received) == 40
    assert 10 < pace.send_target()["open_for"] <= 15


async def test_a_probe_that_says_nothing_of_the_outlet_leaves_it_to_the_next(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    pace.let_time_pass()
    down(receiver, 1, status=400)
    first, second = pace.waiting(2)
    await pace.deliver(first)
    assert pace.outbox.row(first)["status"] == "dead"
    await pace.deliver(second)
    assert pace.outbox.row(second)["status"] == "sent"
    assert pace.send_target()["circuit_open_until"] is None


async def test_a_probe_whose_worker_dies_is_followed_by_another_in_half_a_minute(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    pace.let_time_pass()
    dead, next_one = pace.waiting(2)
    async with pace.outbox.worker.connection() as connection:
        await connection.execute(
            db.queries("send/send")["claim-deliveries"],
            {"requested": Jsonb([{"tenant": str(pace.outbox.tenant), "delivery": str(dead)}]), "busy": list[UUID]()},
        )
    await pace.deliver(next_one)
    assert pace.outbox.row(next_one)["attempts"] == 0
    assert 20 < pace.send_target()["open_for"] <= 30
    pace.let_time_pass()
    pace.outbox.wake(next_one)
    await pace.deliver(next_one)
    assert pace.outbox.row(next_one)["status"] == "sent"


@pytest.mark.parametrize("status", [429, 503])
async def test_who_asks_for_patience_is_left_alone_for_as_long(pace: Pace, receiver: Receiver, status: int) -> None:
    receiver.answers.append(web.Response(status=status, headers={"Retry-After": "120"}))
    throttled, next_one = pace.waiting(2)
    await pace.deliver(throttled)
    assert 110 < pace.send_target()["open_for"] <= 120
    assert pace.outbox.row(throttled)["wait"] >= 119
    await pace.deliver(next_one)
    assert (pace.outbox.row(next_one)["attempts"], len(receiver.received)) == (0, 1)


async def test_a_429_without_a_time_closes_nothing(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 6, status=429)
    for delivery in pace.waiting(6):
        await pace.deliver(delivery)
    assert pace.send_target()["circuit_open_until"] is None
    assert len(receiver.received) == 6


async def limit(pace: Pace, max_per_minute: int) -> None:
    pace.outbox.owner.execute("update signalops.channels set max_per_minute = %s", [max_per_minute])


async def test_a_rate_limit_is_exact_across_workers(pace: Pace, receiver: Receiver) -> None:
    await limit(pace, 300)  # five a second
    started = clock.now()
    await asyncio.gather(*(pace.deliver(d, sender=pace.outbox.sender()) for d in pace.waiting(60)))
    seconds = (clock.now() - started).total_seconds()
    assert 5 <= len(receiver.received) <= 5 + 5 * seconds
    assert pace.statuses() == {"sent": len(receiver.received), "pending": 60 - len(receiver.received)}
    assert pace.attempts() == len(receiver.received)


async def test_a_rate_limit_refills_by_a_second_s_worth(pace: Pace, receiver: Receiver) -> None:
    await limit(pace, 60)
    first, second, third = pace.waiting(3)
    await pace.deliver(first, second)
    assert len(receiver.received) == 1
    pace.outbox.owner.execute("update signalops.send_targets set refilled_at = refilled_at - interval '1 hour'")
    for delivery in (second, third):
        if pace.outbox.row(delivery)["status"] == "pending":
            pace.outbox.wake(delivery)
            await pace.deliver(delivery)
    assert len(receiver.received) == 2, "an idle hour saves up no more than a second"


async def test_the_sweep_wakes_no_more_than_a_rate_limit_admits(pace: Pace, receiver: Receiver) -> None:
    await limit(pace, 600)  # ten a second
    await many(pace, pace.channel, 100)
    await JobHandlers(pace.outbox.worker, pace.sender).enqueue_due()
    assert len(pace.sends()) == 10
    for send in pace.sends():
        await pace.deliver(send["delivery"])
    pace.outbox.owner.execute("update signalops.send_targets set tokens = 0.5, refilled_at = now()")
    pace.outbox.owner.execute(TURN)
    await limit(pace, 6)
    assert await pace.sweep() == 0
    (turn,) = pace.rows("select extract(epoch from next_due_at - now())::float as seconds from signalops.channel_schedules")
    assert 4 < turn["seconds"] <= 5, "half a message is left to wait for, at six a minute"


async def test_channels_of_one_account_share_its_limit_and_its_circuit(pace: Pace, receiver: Receiver) -> None:
    other, _ = await pace.outbox.channel("webhook", "other", url=receiver.url)
    pace.outbox.owner.execute("update signalops.channels set send_target_id = %s, max_per_minute = 60", [clock.new_id()])
    (mine,), (theirs,) = pace.waiting(1), pace.waiting(1, other)
    await pace.deliver(mine)
    await pace.deliver(theirs)
    assert (pace.outbox.row(mine)["status"], pace.outbox.row(theirs)["status"]) == ("sent", "pending")
    pace.outbox.owner.execute("update signalops.channels set max_per_minute = null")
    await open_circuit(pace, receiver)
    (theirs,) = pace.waiting(1, other)
    await pace.deliver(theirs)
    assert pace.outbox.row(theirs)["attempts"] == 0
    assert len(pace.rows("select from signalops.send_targets")) == 1


async def test_a_channel_that_fails_for_days_is_disabled_and_the_tenant_told_once(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 3)
    first, second, third = pace.waiting(3)
    await pace.deliver(first)
    failing = "update signalops.send_targets set failing_since = now() - make_interval(days => %s)"
    pace.outbox.owner.execute(failing, [4])
    await pace.deliver(second)
    assert pace.rows("select from signalops.channels where enabled")
    pace.outbox.owner.execute(failing, [6])
    await pace.deliver(third)
    (channel,) = pace.rows("select enabled, disabled_because from signalops.channels")
    assert not channel["enabled"]
    assert "The receiver answered 500" in channel["disabled_because"]
    await pace.deliver(*pace.waiting(2))
    assert len(receiver.received) == 3
    (event,) = pace.rows("select type, causation_depth, payload from signalops.events where causation_depth > 0")
    assert event["type"] == "signalops.channel.disabled"
    assert event["payload"]["channel"]["id"] == str(pace.channel)
    assert event["payload"]["reason"] == channel["disabled_because"]


async def test_a_channel_that_is_enabled_again_begins_anew(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    pace.outbox.owner.execute("update signalops.send_targets set failing_since = now() - interval '6 days'")
    pace.outbox.owner.execute("update signalops.channels set enabled = false")
    pace.outbox.owner.execute("update signalops.channels set enabled = true")
    down(receiver, 1)
    await pace.deliver(*pace.waiting(1))
    assert pace.rows("select from signalops.channels where enabled")
    assert (pace.send_target()["failures"], pace.send_target()["circuit_open_until"]) == (1, None)


async def test_410_disables_at_once_and_the_backlog_becomes_letters_without_a_notice_each(pace: Pace, receiver: Receiver) -> None:
    down(receiver, 1, status=410)
    await pace.deliver(*pace.waiting(1))
    assert not pace.rows("select from signalops.channels where enabled")
    await pace.deliver(*pace.waiting(30))
    assert len(receiver.received) == 1
    assert pace.statuses() == {"dead": 31}
    assert len(pace.rows("select from signalops.dead_letters where resolved_at is null")) == 31
    events = pace.rows("select type from signalops.events where causation_depth > 0")
    assert [event["type"] for event in events] == ["signalops.channel.disabled"]


async def process_all(pace: Pace) -> int:
    """Process every batch that waits; return how many."""
    handlers = JobHandlers(pace.outbox.worker, pace.sender)
    batches = pace.rows("select distinct batch from signalops.inbox")
    for row in batches:
        await handlers.process_batch(BatchId(row["batch"]), 1)
    return len(batches)


async def test_a_death_is_an_event_for_rules_and_a_notice_that_dies_itself_ends(pace: Pace, receiver: Receiver) -> None:
    tenant = Tenant(pace.outbox.tenant, "sender", "")
    make_rule(pace.outbox.owner, tenant, {"type": ["signalops.delivery.dead"]}, receiver.url)
    (delivery,) = pace.waiting(1)
    depths = []
    for _ in range(10):
        down(receiver, 1, status=400)
        await pace.deliver(delivery)
        assert await process_all(pace) == 1
        rows = pace.rows(
            "select d.id, e.causation_depth from signalops.deliveries d join signalops.events e on e.id = d.event_id"
            " where status = 'pending'"
        )
        if not rows:
            break
        delivery = rows[0]["id"]
        depths.append(rows[0]["causation_depth"])
    assert depths == list(range(1, len(depths) + 1))
    assert 1 <= len(depths) < 9
    assert set(pace.statuses()) == {"dead"}


async def test_an_attempt_of_a_delivery_retried_by_a_person_begins_the_schedule_anew(pace: Pace, receiver: Receiver) -> None:
    pace.outbox.owner.execute("update signalops.channels set retry_schedule = '{100, 200}'")
    down(receiver, 9)
    (delivery,) = pace.waiting(1)
    waits = []
    for round_ in range(6):
        await pace.deliver(delivery)
        pace.outbox.owner.execute("delete from signalops.send_targets")
        row = pace.outbox.row(delivery)
        if row["status"] == "dead":
            if round_ > 3:
                break
            pace.outbox.owner.execute("select signalops.retry_dead_letters(%s, %s)", [pace.outbox.tenant, [delivery]])
        else:
            waits.append(round(row["wait"], -2))
        pace.outbox.wake(delivery)
    assert waits == [100, 200, 100, 200]
    assert (row["status"], row["attempts"], row["attempts_at_reset"]) == ("dead", 6, 3)
    assert len(pace.rows("select from signalops.dead_letters")) == 1


async def test_a_receiver_that_hangs_keeps_no_job_and_is_not_given_all(
    pace: Pace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver_module, "LINGER", 0.01)
    monkeypatch.setattr(deliver_module, "MAX_PER_CHANNEL", 3)
    go = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await go.wait()
        return web.Response()

    receiver.answers += [hang] * 3
    on_their_way = pace.waiting(3)
    await pace.deliver(*on_their_way)
    assert pace.statuses() == {"sending": 3}
    late, other = pace.waiting(2)
    await pace.deliver(late)
    row = pace.outbox.row(late)
    assert (row["status"], row["attempts"]) == ("pending", 0)
    assert 0 < (row["next_attempt_at"] - clock.now()).total_seconds() <= 1
    elsewhere, _ = await pace.outbox.channel("webhook", "elsewhere", url=receiver.url)
    pace.outbox.owner.execute("update signalops.deliveries set channel_id = %s where id = %s", [elsewhere, other])
    monkeypatch.setattr(deliver_module, "LINGER", 10.0)
    await pace.deliver(other)
    assert pace.outbox.row(other)["status"] == "sent"
    go.set()
    await pace.sender.close()
    assert pace.statuses() == {"sent": 4, "pending": 1}


async def test_the_sweep_shares_what_workers_can_do_among_channels(pace: Pace) -> None:
    ids = [await pace.outbox.channel("webhook", f"c {n}", url="http://127.0.0.1:9/") for n in range(3)]
    for (channel, _), count in zip(ids, (500, 50, 5), strict=True):
        await many(pace, channel, count)
    assert await pace.sweep(150) == 105
    of = {row["id"]: row["channel_id"] for row in pace.rows("select id, channel_id from signalops.deliveries")}
    assert Counter(of[send["delivery"]] for send in pace.sends()) == {ids[0][0]: 50, ids[1][0]: 50, ids[2][0]: 5}
    assert await pace.sweep(150) == 150, "the others are done: all is the first one's"


async def many(pace: Pace, channel: ChannelId, count: int, due: str = "now() - interval '1 s'") -> None:
    """Store many deliveries of a channel that wait, by SQL."""
    pace.outbox.owner.execute(
        "insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, next_attempt_at)"
        f" select %s, signalops.new_id(), signalops.new_id(), %s, 1, %s, 'retrying', {due}"
        " from generate_series(1, %s)".encode(),
        [pace.outbox.tenant, pace.rule, channel, count],
    )
    await mend(pace)


async def mend(pace: Pace) -> int:
    async with pace.outbox.worker.connection() as connection:
        return (await inbox.tidy(connection, 1000))[1]


async def test_what_waits_unnoticed_is_found(pace: Pace) -> None:
    pace.waiting(3, next_attempt_at=clock.now() - timedelta(seconds=1), status="retrying")
    assert await pace.sweep() == 0
    assert await mend(pace) == 1
    assert await mend(pace) == 0
    assert await pace.sweep() == 3


async def test_many_workers_sweep_each_delivery_once(pace: Pace) -> None:
    for number in range(4):
        channel, _ = await pace.outbox.channel("webhook", f"c {number}", url="http://127.0.0.1:9/")
        await many(pace, channel, 100)
    counts = await asyncio.gather(*(pace.sweep() for _ in range(8)))
    deliveries = [send["delivery"] for send in pace.sends()]
    assert len(deliveries) == sum(counts) == len(set(deliveries)) == 400


async def test_the_sweep_stops_when_workers_have_enough_at_hand(pace: Pace) -> None:
    await many(pace, pace.channel, 30_000)
    counts = 0
    while woken := await pace.sweep():
        counts += woken
    assert 20_000 <= counts <= 21_000
    assert len(pace.rows("select from procrastinate.procrastinate_jobs")) <= 1050


async def test_an_open_circuit_costs_the_sweep_nothing_and_lets_one_go_when_it_is_over(pace: Pace, receiver: Receiver) -> None:
    await open_circuit(pace, receiver)
    pace.outbox.owner.execute("delete from signalops.channel_schedules")
    await many(pace, pace.channel, 500)
    assert await pace.sweep() == 0
    (turn,) = pace.rows("select next_due_at from signalops.channel_schedules")
    assert turn["next_due_at"] == pace.send_target()["circuit_open_until"]
    pace.let_time_pass()
    await JobHandlers(pace.outbox.worker, pace.sender).enqueue_due()
    assert len(pace.sends()) == 1


async def test_a_tenant_s_hundred_thousand_delay_no_other_s_first(pace: Pace) -> None:
    """100,000 wait and 2,500 jobs do; the job of another tenant's first delivery is fetched next."""
    await many(pace, pace.channel, 100_000)
    pace.outbox.owner.execute(
        "select signalops.enqueue_deliveries((select jsonb_agg(jsonb_build_object("
        "'tenant', %s::text, 'delivery', signalops.new_id(), 'priority', -6)) from generate_series(1, 50000)))",
        [str(pace.outbox.tenant)],
    )
    other = make_tenant(pace.outbox.owner, "other")
    make_rule(pace.outbox.owner, other, {"type": ["order.paid"]})
    batch = clock.new_id()
    add_event(pace.outbox.owner, other.id, type="order.paid", batch=batch, waits=True)
    await JobHandlers(pace.outbox.worker, pace.sender).process_batch(BatchId(batch), 1)
    sends = pace.sends()
    assert len(sends) > 50_000
    assert (sends[0]["tenant"], sends[0]["priority"]) == (other.id, -5)


async def test_who_sends_more_than_workers_can_waits_for_a_turn(pace: Pace) -> None:
    jobs = [
        {"tenant": str(pace.outbox.tenant), "channel": str(pace.channel), "delivery": str(clock.new_id())} for _ in range(700)
    ]
    granted = []
    for _ in range(3):
        (row,) = pace.rows("select granted, priority from signalops.assign_slots(%s)", Jsonb(jobs))
        granted.append((row["granted"], row["priority"]))
    assert granted[0] == (700, -5)
    assert granted[1][1] == granted[2][1] == -6
    assert 1000 <= sum(count for count, _ in granted) < 1000 + 500 * 5
