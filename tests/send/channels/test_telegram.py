"""The telegram channel against a server that speaks as the Bot API does."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from signalops.types import ChannelId
from tests.support.providers import base, telegram_refused, telegram_sent
from tests.support.receivers import Receiver, free_port
from tests.support.worlds.outbox import Outbox

Answer = Callable[[], web.Response]
TOKEN = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"


async def bot(outbox: Outbox, **config: Any) -> ChannelId:
    channel, _ = await outbox.channel("telegram", secret=TOKEN, **{"chatId": -1001, **config})
    return channel


async def test_a_message_arrives(outbox: Outbox, receiver: Receiver) -> None:
    channel = await bot(outbox, messageThreadId=7, disableNotification=True)
    delivery = outbox.delivery(channel, subject="A & {{ payload.email }}", body="<i>{{ '<b>' }}</i>")
    receiver.answers.append(telegram_sent(42))
    await outbox.sender(telegram_url=base(receiver)).deliver(outbox.tenant, delivery)
    (request,) = receiver.received
    assert request.path == f"/bot{TOKEN}/sendMessage"
    assert json.loads(request.body) == {
        "chat_id": -1001,
        "message_thread_id": 7,
        "disable_notification": True,
        "link_preview_options": {"is_disabled": True},
        "parse_mode": "HTML",
        "text": "<b>A &amp; user@example.com</b>\n\n<i>&lt;b&gt;</i>",
    }
    row = outbox.row(delivery)
    assert (row["status"], row["provider_id"]) == ("sent", "42")


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (lambda: telegram_refused(429, "Too Many Requests", retry_after=31), "throttled", "Too Many Requests"),
        (lambda: telegram_refused(403, "Forbidden: bot was blocked by the user"), "permanent", "blocked"),
        (lambda: telegram_refused(400, "Bad Request: chat not found"), "permanent", "chat not found"),
        (lambda: telegram_refused(400, "Bad Request: can't parse entities"), "permanent", "parse"),
        (lambda: telegram_refused(400, "Upgraded", migrate_to_chat_id=-10099), "misconfigured", "chatId to -10099"),
        (lambda: telegram_refused(401, "Unauthorized"), "misconfigured", "Unauthorized"),
        (lambda: telegram_refused(404, "Not Found"), "misconfigured", "Not Found"),
        (lambda: telegram_refused(500, "Internal Server Error"), "transient", "Internal"),
        (lambda: web.Response(status=502, text="<html>Bad Gateway"), "transient", "502"),
        (lambda: web.Response(text="welcome to this Wi-Fi"), "transient", "nothing that can be read"),
        (lambda: web.json_response(["ok"]), "transient", "nothing that can be read"),
        (lambda: web.Response(status=302, headers={"Location": "/elsewhere"}), "transient", "302"),
    ],
)
async def test_the_answer_decides(outbox: Outbox, receiver: Receiver, answer: Answer, outcome: str, error: str) -> None:
    delivery = outbox.delivery(await bot(outbox))
    receiver.answers.append(answer())
    await outbox.sender(telegram_url=base(receiver), retry_schedule=(1.0,)).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    row = outbox.row(delivery)
    assert attempt["outcome"] == outcome
    assert error in attempt["error"]
    assert row["status"] == ("retrying" if outcome in ("transient", "throttled") else "dead")
    assert outcome != "throttled" or row["wait"] >= 31
    assert len(receiver.received) == 1


@pytest.mark.parametrize("up", [True, False])
async def test_the_token_stays_secret(outbox: Outbox, receiver: Receiver, caplog: pytest.LogCaptureFixture, up: bool) -> None:
    delivery = outbox.delivery(await bot(outbox))
    caplog.set_level(logging.DEBUG)
    receiver.answers.append(web.Response(status=404, text=f"nothing at /bot{TOKEN}/sendMessage"))
    url = base(receiver) if up else f"http://127.0.0.1:{free_port()}"
    await outbox.sender(telegram_url=url).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert len(receiver.received) == up
    assert attempt["error"]
    ours = [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]  # the stand-in's own
    error = [str(outbox.attempts(delivery)), str(outbox.dead_letters(delivery)), str(outbox.row(delivery)), *ours]
    assert [text for text in error if TOKEN in text] == []
    config = outbox.owner.execute("select config::text, encode(secret, 'escape') from signalops.channels").fetchone()
    assert TOKEN not in str(config)
