"""What becomes of a delivery: its states, its attempts on record, its dead letter."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

from signalops import clock
from signalops.errors import Conflict
from signalops.facts import subscribe
from signalops.send import check_template
from signalops.terms import DeliveryId, TenantId
from tests.station.send.receivers import Receiver, World


async def test_a_success_is_recorded_and_never_repeated(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    receiver.answers.append(web.Response(text="thanks"))
    sender = world.sender()
    await sender.deliver(world.tenant, delivery)
    await sender.deliver(world.tenant, delivery)

    row = world.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("sent", 1, None)
    (attempt,) = world.attempts(delivery)
    assert (attempt["attempt"], attempt["outcome"], attempt["status_code"]) == (1, "sent", 200)
    assert (attempt["answer"], attempt["error"]) == ("thanks", None)
    assert attempt["started_at"] >= row["created_at"]
    assert len(receiver.received) == 1


async def test_a_temporary_failure_waits_out_its_step_of_the_schedule(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    receiver.answers += [web.Response(status=500, text="oops\0"), web.Response(status=502)]
    sender = world.sender(retry_schedule=(100.0, 1000.0))
    for attempt, step in ((1, 100), (2, 1000)):
        await sender.deliver(world.tenant, delivery)
        row = world.row(delivery)
        assert (row["status"], row["attempts"]) == ("retrying", attempt)
        assert step * 0.8 <= row["wait"] <= step * 1.2
        world.wake(delivery)
    assert [(a["outcome"], a["status_code"]) for a in world.attempts(delivery)] == [
        ("temporary", 500),
        ("temporary", 502),
    ]
    assert world.attempts(delivery)[0]["answer"] == "oops\ufffd"
    assert world.attempts(delivery)[0]["error"] == "The receiver answered 500."
    assert world.letters(delivery) == []


async def test_a_job_that_comes_back_does_not_cut_the_wait_short(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    receiver.answers.append(web.Response(status=500))
    for _ in range(2):
        await world.sender().deliver(world.tenant, delivery)
    assert (world.row(delivery)["status"], len(receiver.received)) == ("retrying", 1)


async def test_after_the_last_attempt_there_is_a_dead_letter(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    receiver.answers += [web.Response(status=500), web.Response(status=503)]
    sender = world.sender(retry_schedule=(5.0,))
    facts: list[str] = []
    unsubscribe = subscribe(lambda name, fields: facts.append(name))
    await sender.deliver(world.tenant, delivery)
    assert facts == ["delivery.attempted"]
    world.wake(delivery)
    await sender.deliver(world.tenant, delivery)
    unsubscribe()
    await sender.deliver(world.tenant, delivery)

    row = world.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("dead", 2, None)
    (letter,) = world.letters(delivery)
    assert (letter["id"], letter["kind"], letter["event_id"]) == (delivery, "delivery", row["event_id"])
    assert letter["error"] == "The receiver answered 503."
    assert facts[1:] == ["delivery.attempted", "delivery.died"]
    assert len(receiver.received) == 2


async def test_an_attempt_that_was_cut_off_is_made_again_with_the_next_number(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    receiver.answers.append(never)
    job = asyncio.create_task(world.sender().deliver(world.tenant, delivery))
    await arrived.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert world.row(delivery)["status"] == "sending"
    await world.sender().deliver(world.tenant, delivery)
    assert world.row(delivery)["status"] == "sent"
    assert [attempt["attempt"] for attempt in world.attempts(delivery)] == [2]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


@pytest.mark.parametrize("first", [204, 500, 400])
async def test_of_two_workers_with_one_delivery_success_wins(world: World, receiver: Receiver, first: int) -> None:
    """The first worker hangs, its job is given to a second one, which succeeds; then the first one's answer comes."""
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.Response(status=first)

    receiver.answers.append(late)
    hanging = asyncio.create_task(world.sender().deliver(world.tenant, delivery))
    await arrived.wait()
    await world.sender().deliver(world.tenant, delivery)
    facts: list[str] = []
    unsubscribe = subscribe(lambda name, fields: facts.append(name))
    go.set()
    await hanging
    unsubscribe()
    assert facts == ["delivery.attempted"]
    assert world.row(delivery)["status"] == "sent"
    assert len(world.attempts(delivery)) == 2
    assert world.letters(delivery) == []


async def test_an_older_attempt_s_success_ends_the_wait_of_a_newer_one(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.Response()

    receiver.answers += [late, web.Response(status=500)]
    hanging = asyncio.create_task(world.sender().deliver(world.tenant, delivery))
    await arrived.wait()
    await world.sender().deliver(world.tenant, delivery)
    assert world.row(delivery)["status"] == "retrying"
    go.set()
    await hanging
    row = world.row(delivery)
    assert (row["status"], row["next_attempt_at"]) == ("sent", None)


async def test_what_waits_for_its_hour_is_not_sent_before_the_sweep_wakes_it(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    soon = clock.now() + timedelta(hours=1)
    event, rule = world.event({}), world.rule(channel, {})
    delivery = world.told(channel, event, rule, next_attempt_at=soon)
    await world.sender().deliver(world.tenant, delivery)
    row = world.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, soon)
    world.wake(delivery)
    await world.sender().deliver(world.tenant, delivery)
    assert (world.row(delivery)["status"], len(receiver.received)) == ("sent", 1)


@pytest.mark.parametrize(
    ("part", "source", "reason"),
    [
        ("subject", "{{ payload.nmae }}", "subject failed: payload.nmae is undefined"),
        ("body", "{{ payload.nmae }}", "body failed: payload.nmae is undefined"),
        ("body", "{{ payload.email | divided_by: 0 }}", "body failed: divided_by"),
        ("body", "{% for i in (1..99999) %}{% endfor %}", "body failed: loop iteration limit"),
        ("html", "{{ window.value }}", "html failed: window.value is undefined"),
    ],
)
async def test_a_template_that_fails_is_a_dead_letter_with_the_reason(
    world: World, receiver: Receiver, part: str, source: str, reason: str
) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    check_template({part: source})
    delivery = world.delivery(channel, **{part: source})
    await world.sender().deliver(world.tenant, delivery)
    (letter,) = world.letters(delivery)
    assert reason in letter["error"]
    assert world.attempts(delivery)[0]["outcome"] == "broken"
    assert world.row(delivery)["status"] == "dead"
    assert receiver.received == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("update signalops.channels set enabled = false where tenant_id = %s", "channel is disabled"),
        ("""update signalops.channels set config = '{"url": "nonsense"}' where tenant_id = %s""", "not valid: url"),
        ("update signalops.channels set secret = null where tenant_id = %s", "no signing secret"),
        ("delete from signalops.rules where tenant_id = %s", "was deleted"),
        ("delete from signalops.events where tenant_id = %s", "was deleted"),
    ],
)
async def test_what_can_t_be_sent_any_more_is_dead_at_once(
    world: World, receiver: Receiver, damage: str, reason: str
) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    world.owner.execute(damage.encode(), [world.tenant])
    await world.sender().deliver(world.tenant, delivery)
    (letter,) = world.letters(delivery)
    assert reason in letter["error"]
    assert world.row(delivery)["status"] == "dead"
    assert receiver.received == []


async def test_a_secret_of_a_lost_key_waits_for_the_operator(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    await world.sender(secret_key=SecretStr(Fernet.generate_key().decode())).deliver(world.tenant, delivery)
    assert world.row(delivery)["status"] == "retrying"
    assert "SIGNALOPS_SECRET_KEY" in world.attempts(delivery)[0]["error"]
    world.wake(delivery)
    await world.sender().deliver(world.tenant, delivery)
    assert world.row(delivery)["status"] == "sent"


async def test_a_delivery_of_another_tenant_is_not_touched(world: World, receiver: Receiver) -> None:
    channel, _ = await world.channel("webhook", url=receiver.url)
    delivery = world.delivery(channel)
    await world.sender().deliver(TenantId(DeliveryId(delivery)), delivery)
    assert (world.row(delivery)["status"], receiver.received) == ("pending", [])
    await world.sender().deliver(world.tenant, delivery)
    assert world.row(delivery)["status"] == "sent"


async def test_a_secret_is_sealed_in_the_table(world: World, receiver: Receiver) -> None:
    channel, secret = await world.channel("webhook", url=receiver.url)
    assert secret is not None
    stored = world.owner.execute("select secret, c::text from signalops.channels c where id = %s", [channel]).fetchone()
    assert stored is not None
    assert stored[0] is not None
    assert secret.removeprefix("whsec_").encode() not in stored[0]
    assert secret.removeprefix("whsec_") not in stored[1]


async def test_a_channel_s_name_is_taken_once_per_tenant(world: World) -> None:
    await world.channel("email", to="ops@example.com")
    with pytest.raises(Conflict, match="choose another name"):
        await world.channel("email", to="other@example.com")
    with pytest.raises(ValidationError, match="at least 1 character"):
        await world.channel("email", name="", to="ops@example.com")
