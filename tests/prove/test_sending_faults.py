"""Sending through faults: workers that are killed around the provider's yes, and providers that misbehave."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest
from aiohttp import web
from psycopg.types.json import Jsonb

from signalops.config import Settings
from signalops.send import SecretBox
from tests.prove.test_workers_killed_over_time import kill_at_gate
from tests.support.invariants import unsettled
from tests.support.processes import eventually, worker
from tests.support.receivers import Answer, Receiver, free_port
from tests.support.worlds.traffic import Traffic

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DEAD_LETTERS = 10_000


class Site:
    """A traffic whose rules notify a receiver of ours."""

    def __init__(self, traffic: Traffic, receiver: Receiver, settings: Settings) -> None:
        self.traffic = traffic
        self.receiver = receiver
        self.point(receiver.url, settings)

    def point(self, url: str, settings: Settings) -> None:
        """Have every channel call a url."""
        self.traffic.owner.execute(
            "update signalops.channels set config = %s, secret = %s, enabled = true",
            [Jsonb({"url": url}), SecretBox(settings).seal(SECRET)],
        )

    def seen(self) -> Counter[UUID]:
        """Return how often the receiver saw each delivery."""
        return Counter(UUID(r.headers["webhook-id"].removeprefix("msg_")) for r in self.receiver.received)

    def statuses(self) -> Counter[str]:
        return Counter(status for (status,) in self.traffic.owner.execute("select status from signalops.deliveries"))

    def is_sent(self, deliveries: int) -> Callable[[], bool]:
        """Return a question: whether so many deliveries are sent, and no more there."""
        return lambda: self.statuses() == {"sent": deliveries}

    def check(self, deliveries: int, most: int = 1) -> None:
        """Assert the invariants, and that each delivery was seen at least once, and at most so often."""
        assert unsettled(self.traffic.owner) == []
        self.traffic.check()
        ids = {delivery for (delivery,) in self.traffic.owner.execute("select id from signalops.deliveries")}
        seen = self.seen()
        assert len(ids) == deliveries
        assert seen.keys() == ids
        assert max(seen.values()) <= most, "an id came more often than it was cut off"


@pytest.fixture
async def site(traffic: Traffic, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SIGNALOPS_RETRY_SCHEDULE", "[0.2, 0.2, 0.2, 0.2, 0.2, 0.2]")
    monkeypatch.setenv("SIGNALOPS_SEND_TIMEOUT", "2")
    return Site(traffic, receiver, settings)


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def reset(request: web.Request) -> web.StreamResponse:
    """Break off where the answer's head has not ended."""
    assert request.transport
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-")
    request.transport.abort()
    return web.Response()


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(1.5)  # longer than a job waits for it, shorter than its time-out
    return web.Response()


async def oops(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="oops")


async def processed(site: Site, settings: Settings, batches: int) -> None:
    """Accept batches, of which each makes three deliveries, and process them without sending."""
    await site.traffic.accept(batches)
    async with worker(settings, "-q", "events"):
        await eventually(site.traffic.is_done)
    assert site.statuses() == {"pending": 3 * batches}


@pytest.mark.parametrize(
    ("table", "times"), [("deliveries", 1), ("delivery_attempts", 2)], ids=["before the yes", "after the yes"]
)
async def test_a_worker_that_is_killed_around_the_yes(site: Site, settings: Settings, table: str, times: int) -> None:
    await processed(site, settings, batches=2)
    await kill_at_gate(site.traffic, settings, table)
    # Of a tenant's templates one is rendered at a time: not all need have been sent when the first is recorded.
    assert (len(site.seen()) > 0) is (times == 2)
    # Whether their jobs had ended by then: what has none is found after five minutes.
    site.traffic.owner.execute("update signalops.deliveries set updated_at = now() - interval '6 minutes'")
    async with worker(settings):
        await eventually(site.is_sent(6), seconds=30)
    site.check(6, most=times)


async def test_a_worker_that_is_killed_while_the_provider_thinks(site: Site, settings: Settings) -> None:
    await processed(site, settings, batches=1)
    site.receiver.answers += [never] * 3
    async with worker(settings) as victim:
        await eventually(lambda: len(site.receiver.received) == 3)
        victim.send(signal.SIGKILL)
        await victim.ended()
    # Whether its job had ended by then: what has none is found after five minutes.
    site.traffic.owner.execute("update signalops.deliveries set updated_at = now() - interval '6 minutes'")
    async with worker(settings):
        await eventually(site.is_sent(3), seconds=30)
    site.check(3, most=2)


@pytest.mark.parametrize("fault", [oops, never, reset], ids=["failing", "half-open", "resetting"])
async def test_a_provider_that_misbehaves_is_asked_again(site: Site, settings: Settings, fault: Answer) -> None:
    site.receiver.answers += [fault] * 6
    await site.traffic.accept(batches=2)
    async with worker(settings):
        await eventually(lambda: site.traffic.is_done() and site.is_sent(6)(), seconds=30)
    assert site.seen().total() == 12, "each was asked once in vain"
    site.check(6, most=7)


async def test_a_slow_provider_is_asked_once(site: Site, settings: Settings) -> None:
    site.receiver.answers += [slow] * 30
    await site.traffic.accept(batches=10)
    async with worker(settings):
        await eventually(lambda: site.traffic.is_done() and site.is_sent(30)(), seconds=30)
    site.check(30)


async def test_a_provider_that_hangs_delays_nobody_else(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALOPS_SEND_TIMEOUT", "600")
    hanging = Receiver()
    await hanging.start()
    hanging.answers += [never] * 1000
    tenant = site.traffic.tenants[0].id
    site.traffic.owner.execute(
        "update signalops.channels set config = %s where tenant_id = %s", [Jsonb({"url": hanging.url}), tenant]
    )
    await site.traffic.accept(batches=40)
    others = f"select from signalops.deliveries where tenant_id <> '{tenant}' and status = 'sent'"
    async with worker(settings):
        await eventually(lambda: site.traffic.number_of(others) == 80, seconds=15)
        await eventually(lambda: len(hanging.received) == 40)
    await hanging.stop()


async def test_a_stopped_worker_waits_for_a_slow_provider(site: Site, settings: Settings) -> None:
    site.receiver.answers += [slow] * 3
    await processed(site, settings, batches=1)
    async with worker(settings) as stopped:
        await eventually(lambda: len(site.receiver.received) == 3)
        stopped.send(signal.SIGTERM)
        assert await stopped.ended() == 0
    assert site.statuses() == {"sent": 3}
    site.check(3)


async def test_a_provider_that_is_down_is_asked_when_it_is_up(site: Site, settings: Settings) -> None:
    down = Receiver()
    down.url = f"http://127.0.0.1:{free_port()}/hook"
    site.point(down.url, settings)
    await site.traffic.accept(batches=2)
    async with worker(settings):
        await eventually(lambda: site.traffic.number_of("select from signalops.delivery_attempts") >= 6)
        site.point(site.receiver.url, settings)
        await eventually(site.is_sent(6), seconds=30)
    site.check(6)


async def test_a_dead_provider_s_deliveries_end_as_letters(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALOPS_RETRY_SCHEDULE", "[0.1]")
    site.point(f"http://127.0.0.1:{free_port()}/", settings)
    await site.traffic.accept(batches=2)
    async with worker(settings):
        await eventually(lambda: site.statuses() == {"dead": 6} and site.traffic.is_done(), seconds=30)
    assert unsettled(site.traffic.owner) == []
    site.traffic.check()
    notified = site.traffic.number_of("select from signalops.events where type = 'signalops.delivery.dead'")
    assert notified == 6


async def test_ten_thousand_letters_retried_at_once_drain(site: Site, settings: Settings) -> None:
    site.traffic.owner.execute(
        """
        with made as (
          insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
          select v.tenant_id, signalops.new_id(), signalops.new_id(), 'order.paid', now(), now(), '{}'
          from signalops.rule_versions v, generate_series(1, %s) returning tenant_id, id
        ), died as (
          insert into signalops.deliveries
            (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, attempts)
          select m.tenant_id, signalops.new_id(), m.id, v.rule_id, 1, v.channel_id, 'dead', 8
          from made m join signalops.rule_versions v using (tenant_id) returning tenant_id, id, event_id
        )
        insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
        select tenant_id, id, 'delivery', event_id, id, 'The receiver answered 500.' from died""",
        [DEAD_LETTERS // len(site.traffic.tenants) + 1],
    )
    site.traffic.owner.execute("vacuum analyze")
    retry = """select signalops.retry_dead_letters(t.id, array(
      select l.id from signalops.dead_letters l where l.tenant_id = t.id)) from signalops.tenants t"""
    retried = sum(count for (count,) in site.traffic.owner.execute(retry))
    assert retried >= DEAD_LETTERS
    async with worker(settings):
        await eventually(site.is_sent(retried), seconds=90)
    assert unsettled(site.traffic.owner) == []
    assert site.seen().total() == len(site.seen()) == retried
