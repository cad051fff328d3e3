"""What providers call back: only what they sign counts, in any order, and as often as they like."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from signalops import clock
from signalops.access.auth_throttle import MAX_PER_MINUTE
from signalops.config import Settings
from signalops.types import ChannelId, DeliveryId
from tests.support.api import JSON, Answer, Client, assert_problem, capture_log, running
from tests.support.providers import Sns, base, hub_signature, ses_event, whatsapp_post, whatsapp_sent, whatsapp_status
from tests.support.receivers import Mailbox, Receiver
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.outbox import Outbox

APP_SECRET, VERIFY_TOKEN = "0123456789abcdef0123456789abcdef", "verify-me-0123456789"
SECRET = json.dumps({"accessToken": "EAAG", "appSecret": APP_SECRET, "verifyToken": VERIFY_TOKEN})
CONFIG = {"to": "+4915112345678", "phoneNumberId": "1234567"}


@dataclass
class Line:
    """A WhatsApp channel, and the API that its statuses come to."""

    outbox: Outbox
    api: Client
    receiver: Receiver
    channel: ChannelId

    async def sent(self, message: str = "wamid.one") -> DeliveryId:
        """Send a message through the channel."""
        delivery = self.outbox.delivery(self.channel)
        self.receiver.answers.append(whatsapp_sent(message))
        await self.outbox.sender(whatsapp_url=base(self.receiver)).deliver(self.outbox.tenant, delivery)
        assert self.status(delivery) == "sent"
        return delivery

    async def post(self, body: bytes, headers: dict[str, str] | None = None, channel: UUID | None = None) -> Answer:
        """Post a callback, signed unless other headers are given."""
        signature = hub_signature(body, APP_SECRET) if headers is None else headers
        path = f"/api/callbacks/whatsapp/{channel or self.channel}"
        return await self.api.request("POST", path, data=BytesIO(body), headers={**JSON, **signature})

    async def shake_hands(self, query: dict[str, str], channel: object = None) -> Answer:
        path = f"/api/callbacks/whatsapp/{channel or self.channel}"
        return await self.api.request("GET", path, params=query)

    def status(self, delivery: DeliveryId) -> str:
        return str(self.outbox.row(delivery)["status"])


@pytest.fixture
async def line(outbox: Outbox, api: Client, receiver: Receiver) -> Line:
    channel, _ = await outbox.channel("whatsapp", secret=SECRET, **CONFIG)
    return Line(outbox, api, receiver, channel)


async def test_the_handshake_gives_the_challenge_back(line: Line) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
    answer = await line.shake_hands(query)
    assert (answer.status, answer.body) == (200, b"1158201444")
    for changed in ({"hub.verify_token": "x" * 20}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}):
        assert_problem(await line.shake_hands(query | changed), 403, "forbidden")
    assert_problem(await line.shake_hands(query | {"hub.challenge": "<script>"}), 422, "invalid")
    assert_problem(await line.shake_hands(query, clock.new_id()), 403, "forbidden")
    assert_problem(await line.shake_hands(query, "x"), 404, "not-found")


async def test_a_channel_without_an_app_secret_takes_nothing(line: Line) -> None:
    channel, _ = await line.outbox.channel("whatsapp", "plain", secret="EAAG", **CONFIG)
    query = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
    assert_problem(await line.shake_hands(query, channel), 403, "forbidden")
    body = whatsapp_post(whatsapp_status("delivered"))
    assert_problem(await line.post(body, hub_signature(body, ""), channel), 403, "forbidden")


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read"])))
@pytest.mark.parametrize("carried", [True, False])
async def test_statuses_in_any_order_and_repeated_end_at_the_furthest(line: Line, order: tuple[str, ...], carried: bool) -> None:
    delivery = await line.sent()
    furthest = "sent"
    for status in (*order, *order):
        furthest = max(furthest, status, key=["sent", "delivered", "read"].index)
        body = whatsapp_post(whatsapp_status(status, "wamid.one", delivery if carried else None))
        assert (await line.post(body)).status == 200
        assert line.status(delivery) == furthest
    assert line.outbox.dead_letters(delivery) == []


async def test_one_post_may_tell_of_many(line: Line) -> None:
    deliveries = [await line.sent(f"wamid.{number}") for number in range(3)]
    statuses = [whatsapp_status(status, f"wamid.{n}") for n in (2, 0, 1) for status in ("read", "delivered")]
    with capture_log("callback.processed") as taken:
        assert (await line.post(whatsapp_post(*statuses))).status == 200
    assert [line.status(delivery) for delivery in deliveries] == ["read"] * 3
    assert taken.get_nowait() == {"provider": "whatsapp", "tenant": line.outbox.tenant, "received": 6, "applied": 3}


@pytest.mark.parametrize(("before", "after"), [((), "dead"), (("delivered",), "delivered"), (("read",), "read")])
async def test_a_failure_ends_what_has_not_arrived(line: Line, before: tuple[str, ...], after: str) -> None:
    delivery = await line.sent()
    for status in (*before, "failed", "failed"):
        assert (await line.post(whatsapp_post(whatsapp_status(status, "wamid.one", delivery)))).status == 200
    assert line.status(delivery) == after
    errors = [dead_letter["error"] for dead_letter in line.outbox.dead_letters(delivery)]
    assert errors == (["WhatsApp could not deliver it: No WhatsApp (131026)."] if after == "dead" else [])


async def test_what_failed_before_does_not_end_what_was_sent_since(line: Line) -> None:
    delivery = await line.sent("wamid.two")
    assert (await line.post(whatsapp_post(whatsapp_status("failed", "wamid.one", delivery)))).status == 200
    assert line.status(delivery) == "sent"
    assert (await line.post(whatsapp_post(whatsapp_status("failed", "wamid.two", delivery)))).status == 200
    assert line.status(delivery) == "dead"


async def test_statuses_may_overtake_the_record_of_the_answer(line: Line) -> None:
    """A delivered message counts at once; a failure must be reported again, since it may be about an earlier message."""
    delivery = line.outbox.delivery(line.channel)
    query, go = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        query.set()
        await go.wait()
        return whatsapp_sent()

    line.receiver.answers.append(answer)
    sending = asyncio.create_task(line.outbox.sender(whatsapp_url=base(line.receiver)).deliver(line.outbox.tenant, delivery))
    await query.wait()
    assert line.status(delivery) == "sending"
    early = await line.post(whatsapp_post(whatsapp_status("failed", "wamid.one", delivery)))
    assert_problem(early, 503, "overloaded")
    assert (await line.post(whatsapp_post(whatsapp_status("delivered", "wamid.one", delivery)))).status == 200
    assert line.status(delivery) == "delivered"
    go.set()
    await sending
    assert line.status(delivery) == "delivered"
    assert [attempt["outcome"] for attempt in line.outbox.attempts(delivery)] == ["sent"]


async def test_what_has_arrived_is_not_sent_again(line: Line) -> None:
    delivery = line.outbox.delivery(line.channel)
    line.receiver.answers.append(web.Response(status=502))
    sender = line.outbox.sender(whatsapp_url=base(line.receiver))
    await sender.deliver(line.outbox.tenant, delivery)
    assert line.status(delivery) == "retrying"
    assert (await line.post(whatsapp_post(whatsapp_status("read", "wamid.one", delivery)))).status == 200
    await sender.deliver(line.outbox.tenant, delivery)
    assert (line.status(delivery), len(line.receiver.received)) == ("read", 1)


async def test_what_nobody_knows_is_passed_over(line: Line) -> None:
    known = await line.sent()
    odd = {"id": "wamid.x", "status": "held_for_quality_assessment", "biz_opaque_callback_data": "not ours"}
    statuses = [whatsapp_status("read", "wamid.unknown"), whatsapp_status("failed", "wamid.x", clock.new_id()), odd]
    for body in (whatsapp_post(*statuses), whatsapp_post(), b'{"object": "page"}'):
        assert (await line.post(body)).status == 200
    assert line.status(known) == "sent"


async def test_forged_callbacks_are_refused(line: Line) -> None:
    delivery = await line.sent()
    body = whatsapp_post(whatsapp_status("read", "wamid.one", delivery))
    right = hub_signature(body, APP_SECRET)["x-hub-signature-256"]
    forged = ["", right[:-1], right.removeprefix("sha256="), right.upper(), "sha256=" + "0" * 64, "sha256=ü"]
    for signature in forged:
        assert_problem(await line.post(body, {"x-hub-signature-256": signature}), 403, "forbidden")
    assert_problem(await line.post(body, {}), 403, "forbidden")
    assert_problem(await line.post(body + b" ", hub_signature(body, APP_SECRET)), 403, "forbidden")
    assert_problem(await line.post(body, channel=clock.new_id()), 403, "forbidden")
    assert line.status(delivery) == "sent"
    assert (await line.post(body)).status == 200
    assert line.status(delivery) == "read"


async def test_forged_callbacks_are_limited_by_address_and_right_ones_are_not(line: Line) -> None:
    delivery = await line.sent()
    body = whatsapp_post(whatsapp_status("read", "wamid.one", delivery))
    forged = [await line.post(body, hub_signature(body, "wrong")) for _ in range(MAX_PER_MINUTE + 5)]
    assert [answer.status for answer in forged] == [403] * MAX_PER_MINUTE + [429] * 5
    assert (await line.post(body)).status == 200
    assert line.status(delivery) == "read"


async def test_no_channel_speaks_for_another_tenant_s(line: Line, outbox: Outbox) -> None:
    delivery = await line.sent()
    other = make_tenant(outbox.owner, "other")
    stranger = Outbox(outbox.settings, outbox.worker, outbox.api, outbox.owner, other.id)
    channel, _ = await stranger.channel("whatsapp", secret=SECRET, **CONFIG)
    for reported in (delivery, None):
        body = whatsapp_post(whatsapp_status("read", "wamid.one", reported))
        assert (await line.post(body, channel=channel)).status == 200
    assert line.status(delivery) == "sent"


async def test_a_channel_speaks_for_no_other_channel_of_its_tenant(line: Line) -> None:
    other, _ = await line.outbox.channel("whatsapp", "other", SECRET, **CONFIG)
    mine = await line.sent()
    body = whatsapp_post(whatsapp_status("read", "wamid.one", mine))
    assert (await line.post(body, channel=other)).status == 200
    assert line.status(mine) == "sent"
    assert (await line.post(body)).status == 200
    assert line.status(mine) == "read"


@pytest.mark.parametrize("field", ["id", "biz_opaque_callback_data", "errors"])
async def test_a_signed_callback_with_nul_in_it_is_refused(line: Line, field: str) -> None:
    body = json.loads(whatsapp_post(whatsapp_status("failed", "wamid.one", None)))
    status = body["entry"][1]["changes"][0]["value"]["statuses"][0]
    status[field] = [{"code": 1, "title": "a\0b"}] if field == "errors" else "a\0b"
    assert_problem(await line.post(json.dumps(body).encode()), 400, "malformed")


async def test_a_deleted_channel_takes_nothing(line: Line) -> None:
    body = whatsapp_post(whatsapp_status("read"))
    assert (await line.post(body)).status == 200
    line.outbox.owner.execute("update signalops.channels set enabled = false")
    assert (await line.post(body)).status == 200
    line.outbox.owner.execute("update signalops.channels set deleted_at = now()")
    assert_problem(await line.post(body), 403, "forbidden")


async def test_bodies_are_bounded_and_must_be_readable(line: Line) -> None:
    assert_problem(await line.post(b" " * (3 * 1024 * 1024 + 1)), 413, "too-large")
    for body in (b"", b"[]", b'{"entry": 1}', b"[" * 100_000):
        assert_problem(await line.post(body), 400, "malformed")


@dataclass
class Mailing:
    """An email delivery that SES has taken, and the API that its events come to."""

    outbox: Outbox
    api: Client
    sns: Sns
    receiver: Receiver
    delivery: DeliveryId

    async def post(self, post: dict[str, str] | bytes) -> Answer:
        body = post if isinstance(post, bytes) else json.dumps(post).encode()
        headers = {"content-type": "text/plain; charset=UTF-8"}
        return await self.api.request("POST", "/api/callbacks/ses", data=BytesIO(body), headers=headers)

    async def tell(self, kind: str, version: str = "2", **detail: Any) -> Answer:
        return await self.post(self.sns.post(self.event(kind, **detail), version=version))

    def event(self, kind: str, **detail: Any) -> str:
        return ses_event(self.outbox.tenant, self.delivery, kind, **detail)

    async def bounce(self, kind: str = "Permanent", address: str = "Ops@Example.com") -> Answer:
        diagnostic = "smtp; 550 5.1.1 user unknown."
        recipients = [{"emailAddress": address, "action": "failed", "diagnosticCode": diagnostic}]
        return await self.tell("Bounce", bounceType=kind, bounceSubType="General", bouncedRecipients=recipients)

    @property
    def status(self) -> str:
        return str(self.outbox.row(self.delivery)["status"])

    def suppressed(self) -> list[tuple[Any, ...]]:
        return self.outbox.owner.execute("select address, reason, detail from signalops.suppressions").fetchall()


@pytest.fixture
async def mailing(outbox: Outbox, settings: Settings, receiver: Receiver) -> AsyncIterator[Mailing]:
    sns = Sns(receiver)
    receiver.answers.append(sns.served())
    channel, _ = await outbox.channel("email", to="ops@example.com")
    event = outbox.event({})
    delivery = outbox.add_delivery(channel, event, outbox.rule(channel, {}), status="sent", provider_id="0100-ses-1")
    async with running(settings.model_copy(update={"ses_topic_arn": sns.topic, "sns_url": sns.url})) as api:
        yield Mailing(outbox, api, sns, receiver, delivery)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_arrival_is_noted(mailing: Mailing, version: str) -> None:
    for _ in range(2):
        assert (await mailing.tell("Delivery", version, smtpResponse="250 ok")).status == 200
    assert (mailing.status, mailing.suppressed()) == ("delivered", [])
    assert len(mailing.receiver.received) == 1, "the certificate is read once"


async def test_a_bounce_ends_the_delivery_and_suppresses_the_address(mailing: Mailing) -> None:
    with capture_log("address.suppressed") as emitted:
        for _ in range(2):
            assert (await mailing.bounce()).status == 200
    diagnostic = "smtp; 550 5.1.1 user unknown"
    assert mailing.status == "dead"
    assert [dead_letter["error"] for dead_letter in mailing.outbox.dead_letters(mailing.delivery)] == [
        f"The mail bounced: {diagnostic}."
    ]
    assert mailing.suppressed() == [("ops@example.com", "bounce", diagnostic)]
    fields = {"tenant": mailing.outbox.tenant, "delivery": mailing.delivery, "reason": "bounce"}
    assert (emitted.qsize(), emitted.get_nowait()) == (1, fields)


async def test_a_complaint_means_that_it_arrived(mailing: Mailing) -> None:
    recipients = [{"emailAddress": "Ops <ops@example.com>"}]
    for _ in range(2):
        assert (await mailing.tell("Complaint", complainedRecipients=recipients)).status == 200
    assert (mailing.status, mailing.suppressed()) == ("delivered", [("ops@example.com", "complaint", None)])


async def test_a_bounce_after_the_arrival_suppresses_all_the_same(mailing: Mailing) -> None:
    await mailing.tell("Delivery")
    await mailing.bounce()
    assert (mailing.status, len(mailing.suppressed())) == ("delivered", 1)


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
async def test_a_vacation_responder_changes_nothing(mailing: Mailing, kind: str) -> None:
    assert (await mailing.bounce(kind)).status == 200
    assert (mailing.status, mailing.suppressed()) == ("sent", [])


async def test_what_ses_rejects_is_dead_and_its_address_is_not_to_blame(mailing: Mailing) -> None:
    assert (await mailing.tell("Reject", reason="Bad content")).status == 200
    assert (mailing.status, mailing.suppressed()) == ("dead", [])


async def test_other_messages_are_passed_over(mailing: Mailing) -> None:
    greeting = "Successfully validated SNS topic for Amazon SES event publishing."
    foreign = json.dumps({"eventType": "Bounce", "mail": {"messageId": "x", "tags": {}}})
    nobody = ses_event(clock.new_id(), mailing.delivery, "Delivery")
    bounced = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "a@b.example"}]}
    strange = ses_event(clock.new_id(), mailing.delivery, "Bounce", **bounced)
    for message in (greeting, foreign, nobody, strange, "[1]", mailing.event("Open")):
        assert (await mailing.post(mailing.sns.post(message))).status == 200
    assert (mailing.status, mailing.suppressed()) == ("sent", [])


async def test_a_subscription_is_confirmed(mailing: Mailing) -> None:
    mailing.receiver.answers.append(web.Response(text="<ConfirmSubscriptionResponse/>"))
    assert (await mailing.post(mailing.sns.post("You have chosen", "SubscriptionConfirmation"))).status == 200
    certificate, confirmed = mailing.receiver.received
    assert (certificate.method, confirmed.method, confirmed.path) == ("GET", "GET", "/")
    mailing.receiver.answers.append(web.Response(status=500))
    again = await mailing.post(mailing.sns.post("You have chosen", "SubscriptionConfirmation"))
    assert_problem(again, 503, "overloaded")


@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp", "Subject", "Signature", "SignatureVersion"])
async def test_a_post_that_was_changed_is_refused(mailing: Mailing, field: str) -> None:
    post = mailing.sns.post(mailing.event("Delivery"), Subject="Amazon SES")
    changed = {"Message": post["Message"].replace("Delivery", "Complaint"), "SignatureVersion": "1", "Signature": "AAAA"}
    assert_problem(await mailing.post(post | {field: changed.get(field, "other")}), 403, "forbidden")
    assert mailing.status == "sent"
    assert (await mailing.post(post)).status == 200
    assert mailing.status == "delivered"


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://evil.s3.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "{base}.evil.example/SimpleNotificationService-0123abcd.pem",
        "{base}@evil.example/SimpleNotificationService-0123abcd.pem",
        "{base}/../SimpleNotificationService-0123abcd.pem",
        "{base}/SimpleNotificationService-0123abcd.pem?a=b",
        "{base}/other.pem",
        "",
    ],
)
async def test_no_certificate_is_read_from_elsewhere(mailing: Mailing, url: str) -> None:
    post = mailing.sns.post(mailing.event("Delivery"), SigningCertURL=url.format(base=mailing.sns.url))
    assert_problem(await mailing.post(post), 403, "forbidden")
    assert (mailing.receiver.received, mailing.status) == ([], "sent")


async def test_another_topic_is_refused(mailing: Mailing) -> None:
    post = mailing.sns.post(mailing.event("Delivery"), TopicArn="arn:aws:sns:eu-west-1:999999999999:ses")
    assert_problem(await mailing.post(post), 403, "forbidden")
    assert mailing.receiver.received == []


async def test_an_expired_certificate_signs_nothing(mailing: Mailing) -> None:
    expired = Sns(mailing.receiver, lifetime=timedelta(days=-1))
    mailing.receiver.answers.clear()
    mailing.receiver.answers.append(expired.served())
    assert_problem(await mailing.post(expired.post(mailing.event("Delivery"))), 403, "forbidden")


@pytest.mark.parametrize("answer", [{"status": 500}, {"text": "no certificate"}])
async def test_a_certificate_that_can_t_be_read_is_asked_for_again(mailing: Mailing, answer: dict[str, Any]) -> None:
    mailing.receiver.answers.appendleft(web.Response(**answer))
    refused = await mailing.tell("Delivery")
    assert refused.status in (403, 503)
    assert (await mailing.tell("Delivery")).status == 200
    assert mailing.status == "delivered"


async def test_posts_are_bounded_and_must_be_readable(mailing: Mailing) -> None:
    assert_problem(await mailing.post(b" " * (1024 * 1024 + 1)), 413, "too-large")
    for body in (b"", b"{}", b"[" * 100_000):
        assert_problem(await mailing.post(body), 400, "malformed")


async def test_without_a_topic_there_is_nothing(api: Client) -> None:
    answer = await api.request("POST", "/api/callbacks/ses", data=b"{}")
    assert_problem(answer, 404, "not-found")


async def test_no_mail_goes_to_a_suppressed_address_until_that_is_lifted(mailing: Mailing, mailbox: Mailbox) -> None:
    outbox = mailing.outbox
    channel, _ = await outbox.channel("email", "again", to="OPS@example.com")
    sender = outbox.sender(smtp_port=mailbox.port)
    await mailing.bounce()
    kept_back, sent = outbox.delivery(channel), outbox.delivery(channel)
    await sender.deliver(outbox.tenant, kept_back)
    assert (outbox.row(kept_back)["status"], mailbox.received) == ("suppressed", [])
    (attempt,) = outbox.attempts(kept_back)
    assert (attempt["outcome"], attempt["error"].endswith("lift it in /api/suppressions.")) == ("suppressed", True)

    outbox.owner.execute("delete from signalops.suppressions")
    await sender.deliver(outbox.tenant, sent)
    assert (outbox.row(sent)["status"], len(mailbox.received)) == ("sent", 1)


async def test_suppressions_are_listed_and_lifted_by_their_tenant_alone(mailing: Mailing, acme: Tenant) -> None:
    for number in range(3):
        await mailing.bounce(address=f"user{number}@example.com")
    api, owner = mailing.api, mailing.outbox.owner
    owner.execute("update signalops.suppressions set tenant_id = %s where address <> 'user2@example.com'", [acme.id])
    listed = (await api.get("/api/suppressions", acme)).json
    assert [one["address"] for one in listed["data"]] == ["user1@example.com", "user0@example.com"]
    assert (await api.get("/api/suppressions", acme, limit=1)).json["hasMore"] is True
    (one,) = (await api.get("/api/suppressions", acme, address="User1@example.com")).json["data"]
    assert (one["reason"], one["delivery"]) == ("bounce", str(mailing.delivery))

    foreign = owner.execute("select id from signalops.suppressions where tenant_id <> %s", [acme.id]).fetchone()
    assert foreign
    for unknown in (foreign[0], clock.new_id(), "x"):
        assert_problem(await api.request("DELETE", f"/api/suppressions/{unknown}", acme), 404, "not-found")
    removed = await api.request("DELETE", f"/api/suppressions/{one['id']}", acme)
    assert (removed.status, removed.json) == (200, one)
    assert {left[0] for left in mailing.suppressed()} == {"user0@example.com", "user2@example.com"}
