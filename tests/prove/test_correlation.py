"""One id, from a producer's request through the logs of both processes to the receiver; and no log tells what it must not."""

import json
from typing import Any

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import running_process
from tests.support.processes import eventually, worker
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant

PLANTED = "planted-4711"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVENT = {"type": "order.paid", "payload": {"word": PLANTED}}


async def test_one_id_leads_from_the_request_to_the_receiver(
    settings: Settings, acme: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNALOPS_LOG_REQUESTS", "all")
    async with running_process(settings) as api, worker(settings, "--concurrency", "2"):
        hook = {"kind": "webhook", "name": "hook", "config": {"url": receiver.url}}
        assert (await api.post(hook, acme, "/api/channels")).status == 201
        rule = {"name": "paid", "pattern": {"type": ["order.paid"]}, "channel": "hook"}
        assert (await api.post(rule, acme, "/api/rules")).status == 201
        sent = {"x_request_id": "order-4711", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await api.post(EVENT, acme, **sent)
        plain = await api.post(EVENT, acme)
        await eventually(lambda: len(receiver.received) == 2)
        await eventually(lambda: _settled(settings) == 2)
    lines = _lines(capfd.readouterr())
    assert answer.headers["X-Request-Id"] == "order-4711"
    for name, expected in (("order-4711", "order-4711"), (plain.json["id"], plain.json["id"])):
        (request,) = [r for r in receiver.received if r.headers["X-Request-Id"] == name]
        assert request.headers.get("traceparent", "").startswith(f"00-{TRACE}-") is (name == "order-4711")
        (attempt,) = [line for line in lines["delivery.attempted"] if line["request_id"] == expected]
        assert (attempt["outcome"], attempt["tenant"]) == ("sent", str(acme.id))
    (event,) = [line for line in lines["request.answered"] if line["request_id"] == "order-4711"]
    assert (event["operation"], event["status"], event["tenant"]) == ("storeEvent", 202, str(acme.id))
    (flush,) = [line for line in lines["events.flushed"] if line.get("request_ids") == ["order-4711"]]
    (batch,) = [line for line in lines["batch.processed"] if line.get("request_ids") == ["order-4711"]]
    assert batch["batch"] == flush["batch"]
    assert {line["job"] for line in lines["batch.processed"]} != {None}


def _settled(settings: Settings) -> int:
    assert settings.database_url
    with psycopg.connect(settings.database_url.get_secret_value()) as owner:
        (count,) = owner.execute("select count(*) from signalops.deliveries where status = 'sent'").fetchone() or (0,)
    return int(count)


def _lines(output: tuple[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines by what they tell; each is JSON, and none holds a word of a payload."""
    assert PLANTED not in "".join(output)
    lines: dict[str, list[dict[str, Any]]] = {}
    for text in output[1].splitlines():
        if text.startswith("{"):
            lines.setdefault(json.loads(text)["message"], []).append(json.loads(text))
    return lines
