"""The webhook channel against a real HTTP server."""

import asyncio
import json
import time
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from svix.webhooks import Webhook as Svix

from signalops import clock
from signalops.send.channels import configured
from signalops.send.message_models import ANSWER_LIMIT
from tests.support.receivers import Receiver, free_port
from tests.support.worlds.outbox import Outbox


async def test_the_receiver_can_verify_and_read_it(outbox: Outbox, receiver: Receiver) -> None:
    channel, secret = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel, subject="Welcome {{ payload.email }}", body="{{ type }}")
    await outbox.sender().deliver(outbox.tenant, delivery)
    (request,) = receiver.received
    assert secret is not None
    document = Verifier(secret).verify(request.body, dict(request.headers))
    assert request.path == "/hook"
    assert request.headers["Content-Type"] == "application/json"
    row = outbox.row(delivery)
    assert document == {
        "type": "user.signup",
        "timestamp": "2026-11-01T12:00:00+00:00",
        "data": {
            "event": {
                "id": str(row["event_id"]),
                "type": "user.signup",
                "source": None,
                "occurredAt": "2026-11-01T12:00:00+00:00",
                "payload": {"email": "user@example.com", "amount": 1e30},
            },
            "rule": {"id": str(row["rule_id"]), "name": f"rule {row['rule_id']}", "version": 1, "severity": "info"},
            "subject": "Welcome user@example.com",
            "body": "user.signup",
        },
    }


async def test_a_secret_is_rotated_while_both_verify(outbox: Outbox, receiver: Receiver) -> None:
    old, new = (configured("webhook", {"url": receiver.url}).normalize_secret(None) or "" for _ in range(2))
    channel, channel_secret = await outbox.channel("webhook", secret=f"{new} {old}", url=receiver.url)
    await outbox.sender().deliver(outbox.tenant, outbox.delivery(channel))
    (request,) = receiver.received
    assert channel_secret == f"{new} {old}"
    for secret in (old, new):
        Verifier(secret).verify(request.body, dict(request.headers))
        Svix(secret).verify(request.body, dict(request.headers))


async def test_headers_of_the_tenant_s_own_are_sent(outbox: Outbox, receiver: Receiver) -> None:
    headers = {"X-Team": "shop, ops", "User-Agent": "Acme"}
    channel, _ = await outbox.channel("webhook", url=receiver.url, headers=headers)
    await outbox.sender().deliver(outbox.tenant, outbox.delivery(channel))
    (request,) = receiver.received
    assert {name: request.headers.getall(name) for name in headers} == {  # once each
        name: [value] for name, value in headers.items()
    }


async def test_where_nothing_is_opened_loopback_is_refused_for_good(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    await outbox.sender(send_allowed_networks=()).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], outbox.row(delivery)["status"]) == ("misconfigured", "dead")
    assert attempt["error"] == "The receiver is not on the public internet: choose one that is."
    assert receiver.received == []


async def test_each_attempt_carries_the_same_id_and_body(outbox: Outbox, receiver: Receiver) -> None:
    channel, secret = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers += [web.Response(status=500), web.Response(status=429)]
    sender = outbox.sender()
    for _ in range(3):
        await sender.deliver(outbox.tenant, delivery)
        if outbox.row(delivery)["status"] == "retrying":
            outbox.wake(delivery)
    assert outbox.row(delivery)["status"] == "sent"
    assert secret is not None
    for request in receiver.received:
        Verifier(secret).verify(request.body, dict(request.headers))
    assert {request.headers["webhook-id"] for request in receiver.received} == {f"msg_{delivery.hex}"}
    assert len({json.dumps(json.loads(request.body)) for request in receiver.received}) == 1
    assert len(receiver.received) == 3


@pytest.mark.parametrize(
    ("code", "outcome", "status"),
    [
        (200, "sent", "sent"),
        (299, "sent", "sent"),
        (304, "permanent", "dead"),
        (400, "permanent", "dead"),
        (404, "permanent", "dead"),
        (408, "transient", "retrying"),
        (410, "gone", "dead"),
        (425, "transient", "retrying"),
        (429, "throttled", "retrying"),
        (500, "transient", "retrying"),
        (502, "transient", "retrying"),
        (503, "transient", "retrying"),
    ],
)
async def test_the_status_decides(outbox: Outbox, receiver: Receiver, code: int, outcome: str, status: str) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(status=code))
    await outbox.sender().deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"], outbox.row(delivery)["status"]) == (outcome, code, status)


@pytest.mark.parametrize(
    ("header", "least", "most"), [("900", 900, 1080), ("999999999", 86_400, 103_680), ("1", 4, 6), ("0", 4, 6)]
)
async def test_retry_after_is_honoured_within_bounds(
    outbox: Outbox, receiver: Receiver, header: str, least: float, most: float
) -> None:
    for code in (429, 502, 503, 504):
        channel, _ = await outbox.channel("webhook", f"answers {code}", url=receiver.url)
        delivery = outbox.delivery(channel)
        receiver.answers.append(web.Response(status=code, headers={"Retry-After": header}))
        await outbox.sender(retry_schedule=(5.0,)).deliver(outbox.tenant, delivery)
        assert outbox.attempts(delivery)[0]["outcome"] == "throttled"
        assert least <= outbox.row(delivery)["wait"] <= most + 0.1  # the record takes its time


async def test_a_retry_after_may_be_a_date(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    in_two_hours = format_datetime(clock.now() + timedelta(hours=2), usegmt=True)
    receiver.answers.append(web.Response(status=429, headers={"Retry-After": in_two_hours}))
    await outbox.sender(retry_schedule=(5.0,)).deliver(outbox.tenant, delivery)
    assert 7_100 <= outbox.row(delivery)["wait"] <= 7_200 * 1.2


@pytest.mark.parametrize("header", ["soon", "-5", "²", "Mon, 99 Foo"])
async def test_a_retry_after_that_can_t_be_read_is_ignored(outbox: Outbox, receiver: Receiver, header: str) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(status=429, headers={"Retry-After": header}))
    await outbox.sender(retry_schedule=(5.0,)).deliver(outbox.tenant, delivery)
    assert 4 <= outbox.row(delivery)["wait"] <= 6.1


async def test_a_redirect_is_not_followed(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(web.Response(status=307, headers={"Location": receiver.url + "/elsewhere"}))
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert [request.path for request in receiver.received] == ["/hook"]
    (dead_letter,) = outbox.dead_letters(delivery)
    assert "redirects are not followed" in dead_letter["error"]


async def test_a_receiver_that_refuses_connections_is_tried_again(outbox: Outbox) -> None:
    channel, _ = await outbox.channel("webhook", url=f"http://127.0.0.1:{free_port()}/")
    delivery = outbox.delivery(channel)
    await outbox.sender().deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"], attempt["answer"]) == ("transient", None, None)
    assert "can't be reached" in attempt["error"]


async def test_a_receiver_that_does_not_answer_in_time_is_tried_again(outbox: Outbox, receiver: Receiver) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(never)
    await outbox.sender(send_timeout=0.2).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["error"]) == ("transient", "The receiver did not answer in time.")
    assert attempt["duration_ms"] >= 200


async def test_a_receiver_that_hangs_up_is_tried_again(outbox: Outbox, receiver: Receiver) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(hang_up)
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.attempts(delivery)[0]["outcome"] == "transient"


async def test_of_an_endless_answer_two_kib_are_kept(outbox: Outbox, receiver: Receiver) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"\xffx" * 1000)

    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    receiver.answers.append(endless)
    await outbox.sender().deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert attempt["outcome"] == "sent"
    assert attempt["answer"] == "\ufffdx" * (ANSWER_LIMIT // 2)


async def test_a_success_whose_answer_breaks_off_stays_a_success(outbox: Outbox, receiver: Receiver) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"begun")
        assert request.transport is not None
        request.transport.close()
        return response

    async def stalls(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    channel, _ = await outbox.channel("webhook", url=receiver.url)
    for answer in (breaks_off, stalls):
        delivery = outbox.delivery(channel)
        receiver.answers.append(answer)
        await outbox.sender(send_timeout=0.2).deliver(outbox.tenant, delivery)
        (attempt,) = outbox.attempts(delivery)
        assert (attempt["outcome"], attempt["answer"]) == ("sent", "begun")


async def test_a_receiver_s_cookies_are_not_sent_back(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    receiver.answers.append(web.Response(headers={"Set-Cookie": "session=1"}))
    sender = outbox.sender()
    for _ in range(2):
        await sender.deliver(outbox.tenant, outbox.delivery(channel))
    assert [request.headers.get("Cookie") for request in receiver.received] == [None, None]


async def test_a_proxy_of_the_environment_is_not_used(
    outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    delivery = outbox.delivery(channel)
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "sent"


async def test_the_receiver_s_own_id_of_the_request_is_kept(outbox: Outbox, receiver: Receiver) -> None:
    channel, _ = await outbox.channel("webhook", url=receiver.url)
    receiver.answers.append(web.Response(status=500, headers={"x-request-id": "req_" + "7" * 300}))
    delivery = outbox.delivery(channel)
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.attempts(delivery)[0]["request_id"] == ("req_" + "7" * 300)[:200]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "header fields": (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"),
    "one header field": (b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 1000),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n"),
    "a chunk extension": (CHUNKED + b"1;a=", b"x" * 1000),
    "chunk extensions": (CHUNKED, b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"X-More: x\r\n"),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x" * 1000),
}


@pytest.mark.parametrize("shape", ENDLESS)
async def test_an_answer_that_never_ends_is_cut_and_costs_little(outbox: Outbox, shape: str) -> None:
    begin, more = ENDLESS[shape]
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begin)
        with suppress(ConnectionError):
            while sent < 64 * 2**20:
                writer.write(more * (1 + 16_000 // len(more)))
                sent += 16_000
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        channel, _ = await outbox.channel("webhook", url=url)
        delivery = outbox.delivery(channel)
        began = time.process_time()
        await outbox.sender().deliver(outbox.tenant, delivery)
        assert time.process_time() - began < 1.5  # 6 to 9 s of 10 before
    assert sent < 16 * 2**20
    (attempt,) = outbox.attempts(delivery)
    assert attempt["outcome"] in ("sent", "transient")


async def test_a_few_interim_answers_are_passed_over(outbox: Outbox) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 8 + HEAD)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        channel, _ = await outbox.channel("webhook", url=url)
        delivery = outbox.delivery(channel)
        await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["status"] == "sent"
