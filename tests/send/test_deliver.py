"""A delivery's states, attempts and dead letter."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from aiohttp import web
from cryptography.fernet import Fernet
from psycopg import sql
from pydantic import SecretStr, ValidationError

from signalops import clock, db
from signalops.errors import Conflict
from signalops.send import attempt_queries, check_template
from signalops.send.attempt_writer import AttemptWriter
from signalops.send.deliveries.delivery_queries import cancel_delivery
from signalops.send.message_models import Outcome, OutcomeKind
from signalops.telemetry import subscribe
from signalops.types import DeliveryId, DeliveryStatus, TenantId
from tests.support.providers import base
from tests.support.receivers import Receiver
from tests.support.worlds.outbox import Outbox


async def test_a_success_is_recorded_and_never_repeated(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(text="thanks"))
    sender = outbox.sender()
    await sender.deliver(outbox.tenant, delivery)
    await sender.deliver(outbox.tenant, delivery)

    row = outbox.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("sent", 1, None)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["attempt"], attempt["outcome"], attempt["status_code"]) == (1, "sent", 200)
    assert (attempt["answer"], attempt["error"]) == ("thanks", None)
    assert attempt["started_at"] >= row["created_at"]
    assert len(receiver.received) == 1


async def test_a_temporary_failure_waits_out_its_step_of_the_schedule(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers += [web.Response(status=500, text="oops\0"), web.Response(status=502)]
    sender = outbox.sender(retry_schedule=(100.0, 1000.0))
    for attempt, step in ((1, 100), (2, 1000)):
        await sender.deliver(outbox.tenant, delivery)
        row = outbox.row(delivery)
        assert (row["status"], row["attempts"]) == ("retrying", attempt)
        assert step * 0.8 <= row["wait"] <= step * 1.2
        outbox.wake(delivery)
    assert [(a["outcome"], a["status_code"]) for a in outbox.attempts(delivery)] == [("transient", 500), ("transient", 502)]
    assert outbox.attempts(delivery)[0]["answer"] == "oops\ufffd"
    assert outbox.attempts(delivery)[0]["error"] == "The receiver answered 500."
    assert outbox.dead_letters(delivery) == []


async def test_a_job_that_comes_back_does_not_cut_the_wait_short(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(status=500))
    for _ in range(2):
        await outbox.sender().deliver(outbox.tenant, delivery)
    assert (outbox.row(delivery)["status"], len(receiver.received)) == ("retrying", 1)


async def test_after_the_last_attempt_there_is_a_dead_letter(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers += [web.Response(status=500), web.Response(status=503)]
    sender = outbox.sender(retry_schedule=(5.0,))
    facts: list[str] = []
    unsubscribe = subscribe(lambda name, fields: facts.append(name))
    await sender.deliver(outbox.tenant, delivery)
    assert facts == ["delivery.attempted"]
    outbox.wake(delivery)
    await sender.deliver(outbox.tenant, delivery)
    unsubscribe()
    await sender.deliver(outbox.tenant, delivery)

    row = outbox.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("dead", 2, None)
    (dead_letter,) = outbox.dead_letters(delivery)
    assert (dead_letter["id"], dead_letter["kind"], dead_letter["event_id"]) == (delivery, "delivery", row["event_id"])
    assert dead_letter["error"] == "The receiver answered 503."
    assert facts[1:] == ["delivery.attempted", "delivery.dead_lettered"]
    assert len(receiver.received) == 2


async def test_an_attempt_that_was_cut_off_is_made_again_with_the_next_number(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    receiver.answers.append(never)
    job = asyncio.create_task(outbox.sender().deliver(outbox.tenant, delivery))
    await arrived.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert outbox.row(delivery)["status"] == "sending"
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "sent"
    assert [attempt["attempt"] for attempt in outbox.attempts(delivery)] == [2]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


@pytest.mark.parametrize("first", [204, 500, 400])
async def test_of_two_workers_with_one_delivery_success_wins(outbox: Outbox, receiver: Receiver, first: int) -> None:
    """The first worker hangs, its job is given to a second one, which succeeds; then the first one's answer comes."""
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.Response(status=first)

    receiver.answers.append(late)
    hanging = asyncio.create_task(outbox.sender().deliver(outbox.tenant, delivery))
    await arrived.wait()
    await outbox.sender().deliver(outbox.tenant, delivery)
    facts: list[str] = []
    unsubscribe = subscribe(lambda name, fields: facts.append(name))
    go.set()
    await hanging
    unsubscribe()
    assert facts == ["delivery.attempted"]
    assert outbox.row(delivery)["status"] == "sent"
    assert len(outbox.attempts(delivery)) == 2
    assert outbox.dead_letters(delivery) == []


async def test_what_came_of_an_attempt_is_recorded_after_an_outage_and_not_sent_again(
    outbox: Outbox, receiver: Receiver, admin: psycopg.Connection, database: str
) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    allow = sql.SQL("alter database {} allow_connections {}")

    async def fall(_: web.Request) -> web.Response:
        admin.execute(allow.format(sql.Identifier(database), sql.Literal(False)))
        others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s"
        admin.execute(others, [database, outbox.owner.info.backend_pid])
        return web.Response(text="thanks")

    receiver.answers.append(fall)
    sending = asyncio.create_task(outbox.sender().deliver(outbox.tenant, delivery))
    await asyncio.wait([sending], timeout=2)
    assert not sending.done()
    admin.execute(allow.format(sql.Identifier(database), sql.Literal(True)))
    await sending
    assert outbox.row(delivery)["status"] == "sent"
    assert [attempt["answer"] for attempt in outbox.attempts(delivery)] == ["thanks"]
    assert len(receiver.received) == 1


async def test_an_attempt_that_is_on_record_already_is_not_sent_again(outbox: Outbox) -> None:
    """The record was committed, and the answer lost with the connection."""
    channel, _ = await outbox.channel("webhook", url="http://127.0.0.1:9/")
    delivery = outbox.delivery(channel)
    async with outbox.worker.connection() as connection:
        [claim] = await attempt_queries.claim(connection, [(outbox.tenant, delivery)], [])
    outcome = Outcome("sent", 200)
    whose = (claim.tenant, claim.delivery, claim.send_target, claim.channel, claim.attempt)
    attempt = attempt_queries.Attempt(*whose, clock.now(), 1, outcome, "sent", None, 60.0)
    recorder = AttemptWriter(outbox.worker)
    assert [await recorder.record(attempt) for _ in range(2)] == [False, False]
    assert outbox.row(delivery)["status"] == "sent"
    assert len(outbox.attempts(delivery)) == 1


async def test_an_older_attempt_s_success_ends_the_wait_of_a_newer_one(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.Response()

    receiver.answers += [late, web.Response(status=500)]
    hanging = asyncio.create_task(outbox.sender().deliver(outbox.tenant, delivery))
    await arrived.wait()
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "retrying"
    go.set()
    await hanging
    row = outbox.row(delivery)
    assert (row["status"], row["next_attempt_at"]) == ("sent", None)


async def test_what_waits_for_its_hour_is_not_sent_before_the_sweep_wakes_it(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    soon = clock.now() + timedelta(hours=1)
    event, rule = outbox.event({}), outbox.rule(channel, {})
    delivery = outbox.add_delivery(channel, event, rule, next_attempt_at=soon)
    await outbox.sender().deliver(outbox.tenant, delivery)
    row = outbox.row(delivery)
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, soon)
    outbox.wake(delivery)
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert (outbox.row(delivery)["status"], len(receiver.received)) == ("sent", 1)


@pytest.mark.parametrize(
    ("part", "source", "reason"),
    [
        ("subject", "{{ payload.nmae }}", "subject failed: payload.nmae is undefined"),
        ("body", "{{ payload.nmae }}", "body failed: payload.nmae is undefined"),
        ("body", "{{ payload.email | divided_by: 0 }}", "body failed: divided_by"),
        ("body", "{% for i in (1..9999) %}{% for j in (1..9) %}{% endfor %}{% endfor %}", "body failed: loop iteration limit"),
        ("html", "{{ window.value }}", "html failed: window.value is undefined"),
    ],
)
async def test_a_template_that_fails_is_a_dead_letter_with_the_reason(
    outbox: Outbox, receiver: Receiver, part: str, source: str, reason: str
) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    check_template({part: source})
    delivery = outbox.delivery(channel, **{part: source})
    await outbox.sender().deliver(outbox.tenant, delivery)
    (dead_letter,) = outbox.dead_letters(delivery)
    assert reason in dead_letter["error"]
    assert outbox.attempts(delivery)[0]["outcome"] == "misconfigured"
    assert outbox.row(delivery)["status"] == "dead"
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
async def test_what_can_t_be_sent_any_more_is_dead_at_once(outbox: Outbox, receiver: Receiver, damage: str, reason: str) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    outbox.owner.execute(damage.encode(), [outbox.tenant])
    await outbox.sender().deliver(outbox.tenant, delivery)
    (dead_letter,) = outbox.dead_letters(delivery)
    assert reason in dead_letter["error"]
    assert outbox.row(delivery)["status"] == "dead"
    assert receiver.received == []


async def test_a_secret_of_a_lost_key_waits_for_the_operator(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    await outbox.sender(secret_key=SecretStr(Fernet.generate_key().decode())).deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "retrying"
    assert "SIGNALOPS_SECRET_KEY" in outbox.attempts(delivery)[0]["error"]
    outbox.wake(delivery)
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "sent"


async def test_a_delivery_of_another_tenant_is_not_touched(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    await outbox.sender().deliver(TenantId(DeliveryId(delivery)), delivery)
    assert (outbox.row(delivery)["status"], receiver.received) == ("pending", [])
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "sent"


async def test_a_secret_is_sealed_in_the_table(outbox: Outbox, receiver: Receiver) -> None:
    channel, secret = await outbox.channel("webhook", url=receiver.url)
    assert secret is not None
    stored = outbox.owner.execute("select secret, c::text from signalops.channels c where id = %s", [channel]).fetchone()
    assert stored is not None
    assert stored[0] is not None
    assert secret.removeprefix("whsec_").encode() not in stored[0]
    assert secret.removeprefix("whsec_") not in stored[1]


async def test_a_channel_s_name_is_taken_once_per_tenant(outbox: Outbox) -> None:
    await outbox.channel("email", to="ops@example.com")
    with pytest.raises(Conflict, match="choose another name"):
        await outbox.channel("email", to="other@example.com")
    with pytest.raises(ValidationError, match="at least 1 character"):
        await outbox.channel("email", name="", to="ops@example.com")


DIGITS = ["99999999999", "99999999999999", "1" + "0" * 30, "9" * 400, "9" * 5000, "-1", "1e400", "inf", "nan", "٣"]
DATES = ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Foo", "Fri, 31 Dec 99999 23:59:59 GMT"]


@pytest.mark.parametrize("message", DIGITS + DATES)
@pytest.mark.parametrize("status", [429, 503])
async def test_no_retry_after_keeps_an_attempt_off_the_record(
    outbox: Outbox, receiver: Receiver, status: int, message: str
) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(status=status, headers={"Retry-After": message[:4000]}))
    await outbox.sender().deliver(outbox.tenant, delivery)
    row = outbox.row(delivery)
    assert (row["status"], len(outbox.attempts(delivery))) == ("retrying", 1)
    assert 0 < row["wait"] <= 86_400 * 1.2
    paused = outbox.owner.execute("select circuit_open_until - now() <= '1 day' from signalops.send_targets").fetchone()
    assert paused in ((True,), (None,))


@pytest.mark.parametrize("answer", ["99999999999999", 10**30, -5, True, 1e300, None, [], "9" * 400])
@pytest.mark.parametrize("name", ["retry_after", "migrate_to_chat_id"])
async def test_no_number_of_telegram_keeps_an_attempt_off_the_record(
    outbox: Outbox, receiver: Receiver, name: str, answer: object
) -> None:
    channel, _ = await outbox.channel("telegram", secret="123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx", chatId=1)
    delivery = outbox.delivery(channel)
    document = {"ok": False, "error_code": 429, "description": "x" * 5000, "parameters": {name: answer}}
    receiver.answers.append(web.json_response(document, status=429))
    await outbox.sender(telegram_url=base(receiver)).deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] in ("retrying", "dead")
    assert len(outbox.attempts(delivery)) == 1


async def test_an_outcome_that_can_t_be_stored_is_stored_without_what_the_receiver_said(outbox: Outbox) -> None:
    channel, _ = await outbox.channel("webhook", url="http://127.0.0.1:1/")
    sent, failed = outbox.delivery(channel), outbox.delivery(channel)
    recorder = AttemptWriter(outbox.worker)
    async with outbox.worker.connection() as connection:
        claims = await attempt_queries.claim(connection, [(outbox.tenant, one) for one in (sent, failed)], [])
    assert len(claims) == 2
    cases: list[tuple[OutcomeKind, DeliveryStatus]] = [("sent", "sent"), ("transient", "retrying")]
    for claim, (kind, status) in zip(claims, cases, strict=True):
        outcome = Outcome(kind, 10**12, "thanks", "It failed.")  # no integer of PostgreSQL's
        of_whom = (claim.tenant, claim.delivery, claim.send_target, claim.channel, claim.attempt)
        delay = 5.0 if status == "retrying" else None
        await recorder.record(attempt_queries.Attempt(*of_whom, clock.now(), 1, outcome, status, delay, 1e6))
        (attempt,) = outbox.attempts(claim.delivery)
        assert (attempt["outcome"], attempt["status_code"], attempt["answer"]) == (kind, None, None)
        assert outbox.row(claim.delivery)["status"] == status


async def test_a_disabled_rule_s_deliveries_are_not_rendered_any_more(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery, other = outbox.delivery(channel), outbox.delivery(channel)
    outbox.owner.execute(
        "update signalops.rules set enabled = false where id = (select rule_id from signalops.deliveries where id = %s)",
        [delivery],
    )
    await outbox.sender().deliver(outbox.tenant, delivery)
    await outbox.sender().deliver(outbox.tenant, other)
    assert (outbox.row(delivery)["status"], outbox.row(other)["status"]) == ("dead", "sent")
    assert outbox.dead_letters(delivery)[0]["error"] == "The rule is disabled: enable it."


@pytest.mark.parametrize("sign", ["late", "cut off", "just begun"])
async def test_what_a_worker_has_had_in_hand_for_too_long_can_be_cancelled(outbox: Outbox, sign: str) -> None:
    channel, _ = await outbox.channel("webhook", url="http://127.0.0.1:1/")
    delivery = outbox.delivery(channel)
    late = {"late": "31 seconds", "cut off": "0", "just begun": "0"}[sign]
    outbox.owner.execute(
        "update signalops.deliveries set status = 'sending', attempts = %s, updated_at = now() - %s::interval where id = %s",
        [2 if sign == "cut off" else 1, late, delivery],
    )
    async with db.as_tenant(outbox.api, outbox.tenant) as connection:
        assert await cancel_delivery(connection, outbox.tenant, delivery) is (sign != "just begun")
    assert outbox.row(delivery)["status"] == ("sending" if sign == "just begun" else "cancelled")
