"""The whatsapp channel against a server that speaks as Meta's Cloud API does."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from signalops.types import ChannelId
from tests.support.providers import base, whatsapp_refused, whatsapp_sent
from tests.support.receivers import Receiver
from tests.support.worlds.outbox import Outbox

Answer = Callable[[], web.Response]
TOKEN = "EAAGm0PX4ZCpsBAKZC"


async def number(outbox: Outbox, **config: Any) -> ChannelId:
    named: dict[str, Any] = {"to": "+4915112345678", "phoneNumberId": "1234567"} | config
    channel, _ = await outbox.channel("whatsapp", secret=TOKEN, **named)
    return channel


async def test_a_text_arrives(outbox: Outbox, receiver: Receiver) -> None:
    delivery = outbox.delivery(await number(outbox), subject="New", body="_Hi_ {{ '*bold*' }}")
    receiver.answers.append(whatsapp_sent("wamid.HBgL"))
    await outbox.sender(whatsapp_url=f"{base(receiver)}/v24.0").deliver(outbox.tenant, delivery)
    (request,) = receiver.received
    assert request.path == "/v24.0/1234567/messages"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+4915112345678",
        "biz_opaque_callback_data": str(delivery),
        "type": "text",
        "text": {"body": "*New*\n\n_Hi_ \u200b*\u200bbold\u200b*\u200b", "preview_url": False},
    }
    row = outbox.row(delivery)
    assert (row["status"], row["provider_id"]) == ("sent", "wamid.HBgL")


async def test_a_template_is_filled_in(outbox: Outbox, receiver: Receiver) -> None:
    parameters = ["{{ payload.email }}", "{{ 'a\n  b' }}", "{{ nothing | default: '' }}"]
    template = {"name": "signup_1", "language": "en_US", "parameters": parameters}
    delivery = outbox.delivery(await number(outbox, template=template))
    receiver.answers.append(whatsapp_sent())
    await outbox.sender(whatsapp_url=base(receiver)).deliver(outbox.tenant, delivery)
    sent = json.loads(receiver.received[0].body)
    texts = [{"type": "text", "text": text} for text in ("user@example.com", "a b", "-")]
    components = [{"type": "body", "parameters": texts}]
    assert sent["type"] == "template"
    assert sent["template"] == {"name": "signup_1", "language": {"code": "en_US"}, "components": components}
    assert "text" not in sent


async def test_a_parameter_that_can_t_be_rendered_is_a_broken_configuration(outbox: Outbox, receiver: Receiver) -> None:
    template = {"name": "t", "language": "en", "parameters": ["{{ payload.missing }}"]}
    delivery = outbox.delivery(await number(outbox, template=template))
    await outbox.sender(whatsapp_url=base(receiver)).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], receiver.received) == ("misconfigured", [])


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (lambda: whatsapp_refused(429, 130429, "Cloud API message throughput"), "throttled", "130429"),
        (lambda: whatsapp_refused(400, 131048, "Spam rate limit"), "throttled", "131048"),
        (lambda: whatsapp_refused(400, 131056, "Pair rate limit"), "throttled", "131056"),
        (lambda: whatsapp_refused(400, 80007, "Rate limit"), "throttled", "80007"),
        (lambda: whatsapp_refused(400, 131047, "More than 24 hours"), "permanent", "More than 24 hours (131047)"),
        (lambda: whatsapp_refused(400, 131026, "No WhatsApp"), "permanent", "131026"),
        (lambda: whatsapp_refused(401, 190, "Access token has expired"), "misconfigured", "190"),
        (lambda: whatsapp_refused(404, 132001, "Template does not exist"), "misconfigured", "132001"),
        (lambda: whatsapp_refused(400, 100, "Invalid parameter"), "misconfigured", "100"),
        (lambda: whatsapp_refused(500, 131000, "Something went wrong"), "transient", "131000"),
        (lambda: whatsapp_refused(400, 999999, "Something new"), "permanent", "999999"),
        (lambda: whatsapp_refused(503, 999999, "Something new"), "transient", "999999"),
        (lambda: web.json_response({"error": "no"}, status=401), "misconfigured", "401"),
        (lambda: web.Response(status=502, text="<html>"), "transient", "502"),
        (lambda: web.Response(text="welcome to this Wi-Fi"), "transient", "nothing that can be read"),
        (lambda: web.json_response({"messages": [{}]}), "transient", "nothing that can be read"),
    ],
)
async def test_the_code_decides(outbox: Outbox, receiver: Receiver, answer: Answer, outcome: str, error: str) -> None:
    delivery = outbox.delivery(await number(outbox))
    receiver.answers.append(answer())
    await outbox.sender(whatsapp_url=base(receiver)).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert attempt["outcome"] == outcome
    assert error in attempt["error"]
    assert outbox.row(delivery)["status"] == ("retrying" if outcome in ("transient", "throttled") else "dead")
