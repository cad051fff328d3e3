"""The Slack channel against a server that answers as Slack's incoming webhooks do."""

import json
from typing import Any

import pytest
from aiohttp import web

from signalops.send.channels.slack import TEXT_LIMIT
from signalops.types import DeliveryId
from tests.support.receivers import Receiver
from tests.support.worlds.outbox import Outbox


@pytest.fixture(autouse=True)
def slack_is_here(outbox: Outbox, receiver: Receiver) -> None:
    outbox.settings = outbox.settings.model_copy(update={"slack_url": f"{receiver.url}/"})


async def notified(outbox: Outbox, receiver: Receiver, payload: dict[str, Any], template: dict[str, str]) -> DeliveryId:
    """Deliver one event through the channel."""
    channel, _ = await outbox.channel("slack", secret=f"{receiver.url}/services/T000/B000/secret")
    delivery = outbox.add_delivery(channel, outbox.event(payload), outbox.rule(channel, template))
    await outbox.sender().deliver(outbox.tenant, delivery)
    return delivery


async def test_a_message_arrives(outbox: Outbox, receiver: Receiver) -> None:
    receiver.answers.append(web.Response(text="ok"))
    delivery = await notified(outbox, receiver, {"n": 3}, {"subject": "Orders", "body": "*{{ payload.n }}* <https://a.b|new>"})
    (request,) = receiver.received
    assert (request.method, request.path) == ("POST", "/hook/services/T000/B000/secret")
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(request.body) == {"text": "*Orders*\n*3* <https://a.b|new>", "unfurl_links": False, "unfurl_media": False}
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["answer"]) == ("sent", "ok")


async def test_no_value_mentions_or_links(outbox: Outbox, receiver: Receiver) -> None:
    template = dict.fromkeys(("subject", "body"), "{{ payload.name }}")
    await notified(outbox, receiver, {"name": "<!channel> <@U1> <https://evil.example|log in> & *b*"}, template)
    text = json.loads(receiver.received[0].body)["text"]
    subject, body = text.split("\n")
    for part in (subject.removeprefix("*").removesuffix("*"), body):
        assert "<" not in part
        assert part.startswith("&lt;!channel&gt; &lt;@U1&gt; &lt;https")
        assert "*b*" not in part


async def test_a_text_beyond_the_limit_is_cut(outbox: Outbox, receiver: Receiver) -> None:
    await notified(outbox, receiver, {"text": "ü" * (TEXT_LIMIT + 1)}, {"subject": "", "body": "{{ payload.text }}"})
    assert json.loads(receiver.received[0].body)["text"] == "ü" * (TEXT_LIMIT - 1) + "…"


@pytest.mark.parametrize(
    ("code", "answer", "outcome"),
    [
        (400, "invalid_payload", "permanent"),
        (403, "action_prohibited", "permanent"),
        (403, "invalid_token", "gone"),
        (404, "no_service", "gone"),
        (404, "channel_not_found", "gone"),
        (404, "<html>a proxy's page</html>", "permanent"),
        (410, "channel_is_archived", "gone"),
        (429, "rate_limited", "throttled"),
        (500, "rollup_error", "transient"),
        (302, "no_service", "permanent"),
    ],
)
async def test_slack_s_word_decides(outbox: Outbox, receiver: Receiver, code: int, answer: str, outcome: str) -> None:
    receiver.answers.append(web.Response(status=code, text=answer))
    (attempt,) = outbox.attempts(await notified(outbox, receiver, {}, {"subject": "x", "body": "y"}))
    assert (attempt["outcome"], attempt["status_code"], attempt["answer"]) == (outcome, code, answer)
    assert "T000" not in attempt["error"]


async def test_a_retry_after_is_honoured(outbox: Outbox, receiver: Receiver) -> None:
    receiver.answers.append(web.Response(status=429, headers={"Retry-After": "900"}))
    delivery = await notified(outbox, receiver, {}, {"subject": "x", "body": "y"})
    assert outbox.row(delivery)["status"] == "retrying"
    assert 900 <= outbox.row(delivery)["wait"] <= 1080


async def test_another_address_than_slack_s_is_never_called(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("slack", secret=f"{receiver.url}/services/T000/B000/secret")
    delivery = outbox.delivery(channel, subject="x", body="y")
    await outbox.sender(slack_url="https://hooks.slack.com/").deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], receiver.received) == ("misconfigured", [])
    assert "begins with https://hooks.slack.com/" in attempt["error"]
    assert receiver.url not in attempt["error"]
