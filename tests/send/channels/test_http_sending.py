"""The generic HTTP channel against a real HTTP server."""

import json
from typing import Any

import pytest
from aiohttp import web

from signalops import clock
from signalops.config import Settings
from signalops.send.channels import configured
from signalops.send.message_models import Envelope, Message, Notification, Outcome
from signalops.send.transport import Transport
from signalops.types import DeliveryId
from tests.support.receivers import Receiver
from tests.support.worlds.outbox import Outbox

TEMPLATE = {"body": '{"user": "{{ payload.name }}", "amount": {{ payload.amount }}}'}


async def sent(settings: Settings, config: dict[str, Any], body: str, secret: str | None = None) -> Outcome:
    """Send a body through a channel, without a delivery."""
    delivery = DeliveryId(clock.new_id())
    notification = Notification({"type": "user.signup"}, {"severity": "info"})
    transport = Transport(settings)
    try:
        envelope = Envelope(delivery, notification, Message("", body), secret)
        return await configured("http", config).send(envelope, transport)
    finally:
        await transport.close()


async def test_the_body_is_what_the_template_writes(outbox: Outbox, receiver: Receiver) -> None:
    channel, secret = await outbox.channel("http", url=receiver.url, headers={"X-Team": "shop"})
    event = outbox.event({"name": 'Eve", "admin": "yes\n', "amount": 3})
    delivery = outbox.add_delivery(channel, event, outbox.rule(channel, TEMPLATE))
    await outbox.sender().deliver(outbox.tenant, delivery)
    (request,) = receiver.received
    assert (request.method, request.path, secret) == ("POST", "/hook", None)
    assert (request.headers["Content-Type"], request.headers["X-Team"]) == ("application/json", "shop")
    assert json.loads(request.body) == {"user": 'Eve", "admin": "yes\n', "amount": 3}
    assert not {"Authorization", "webhook-signature"} & set(request.headers)
    assert outbox.row(delivery)["status"] == "sent"


async def test_each_attempt_carries_the_same_key(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("http", secret="Bearer abc", url=receiver.url)
    delivery = outbox.delivery(channel, body="{}")
    receiver.answers.append(web.Response(status=500))
    sender = outbox.sender()
    await sender.deliver(outbox.tenant, delivery)
    outbox.wake(delivery)
    await sender.deliver(outbox.tenant, delivery)
    assert [request.headers["Idempotency-Key"] for request in receiver.received] == [str(delivery)] * 2
    assert [request.headers["Authorization"] for request in receiver.received] == ["Bearer abc"] * 2


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_method_media_type_and_secret_are_the_tenant_s(settings: Settings, receiver: Receiver, method: str) -> None:
    config = {"url": receiver.url, "method": method, "contentType": "text/plain", "secretHeader": "X-Api-Key"}
    assert (await sent(settings, config, "no JSON: ü", "s3cret")).kind == "sent"
    (request,) = receiver.received
    assert (request.method, request.body) == (method, "no JSON: ü".encode())
    assert (request.headers["Content-Type"], request.headers["X-Api-Key"]) == ("text/plain", "s3cret")
    assert "Authorization" not in request.headers


async def test_an_answer_that_repeats_the_secret_is_kept_without_it(settings: Settings, receiver: Receiver) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"you sent": request.headers["Authorization"].removeprefix("Bearer ")})

    receiver.answers.append(echo)
    outcome = await sent(settings, {"url": receiver.url}, "{}", "Bearer abcdef0123")
    assert (outcome.kind, outcome.answer) == ("sent", '{"you sent": "***"}')


@pytest.mark.parametrize("body", ["", "hello", "{", '{"a": NaN}', "{} {}", "[" * 100_000])
async def test_what_is_no_json_is_not_sent_as_json(settings: Settings, receiver: Receiver, body: str) -> None:
    outcome = await sent(settings, {"url": receiver.url}, body)
    assert (outcome.kind, receiver.received) == ("misconfigured", [])
    assert (outcome.error or "").startswith("The body is not JSON")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(201, "sent"), (301, "permanent"), (401, "permanent"), (410, "gone"), (429, "throttled"), (500, "transient")],
)
async def test_the_status_decides_as_with_webhooks(settings: Settings, receiver: Receiver, code: int, kind: str) -> None:
    receiver.answers.append(web.Response(status=code, text="said"))
    outcome = await sent(settings, {"url": receiver.url}, "{}")
    assert (outcome.kind, outcome.status_code, outcome.answer) == (kind, code, "said")


async def test_a_put_may_be_repeated_on_a_fresh_connection_as_it_was(settings: Settings, receiver: Receiver) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    transport = Transport(settings)
    channel = configured("http", {"url": receiver.url, "method": "PUT"})
    receiver.answers += [web.Response(), hang_up, hang_up]
    notification = Notification({}, {"severity": "info"})
    kinds = [
        (await channel.send(Envelope(DeliveryId(clock.new_id()), notification, Message("", "{}"), None), transport)).kind
        for _ in range(2)
    ]
    await transport.close()
    assert kinds == ["sent", "transient"]
    _, first, again = receiver.received  # the client assumes that the idle connection was closed
    assert (first.body, first.headers) == (again.body, again.headers)
    assert first.body == b"{}"
