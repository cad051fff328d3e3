"""Events are answered past Starlette's layers as by them: with the same headers, in one piece, also when something fails."""

import asyncio

import aiohttp
import pytest

from signalops.config import Settings
from signalops.ingest.flush import Flusher
from signalops.web import protocol
from tests.support.api import SIGNUP, Answer, Client, running
from tests.support.tenants import Tenant
from tests.web.test_headers import ORIGIN, SECURE


async def test_an_unexpected_error_is_answered_and_logged(
    api: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(Flusher, "submit", fail)
        async with aiohttp.request("POST", f"{api.url}/api/events", headers=acme.headers, json=SIGNUP) as bug:
            answer = Answer(bug.status, bug.headers, await bug.read())  # which no document describes
    assert (answer.status, answer.media_type) == (500, "application/problem+json")
    assert {name: answer.headers[name] for name in SECURE} == SECURE
    assert "a bug" in caplog.text
    assert (await api.post(SIGNUP, acme)).status == 202, "the connection and the process go on"


async def test_head_and_body_are_one_write(api: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    responses: list[int] = []
    respond = protocol.BoundedProtocol.respond

    def counted(self: protocol.BoundedProtocol, *arguments: object) -> bool:
        responses.append(1)
        return respond(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(protocol.BoundedProtocol, "respond", counted)
    for body in (SIGNUP, b"{"):
        await api.post(body, acme)
    await api.get("/api/events", acme)
    assert len(responses) == 2, "a list of events goes the other way"


async def test_pipelined_events_are_answered_in_order(api: Client, acme: Tenant) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    body = b'{"type":"user.signup"}'
    head = (
        f"POST /api/events HTTP/1.1\r\nHost: {host}\r\nx-api-key: {acme.headers['x-api-key']}\r\nContent-Type: application/json"
    )
    request = head.encode() + b"\r\nContent-Length: %d\r\n" % len(body)
    writer.write(
        (request + b"x-request-id: one\r\n\r\n" + body) + (request + b"x-request-id: two\r\nConnection: close\r\n\r\n" + body)
    )
    answers = (await reader.read()).decode()
    writer.close()
    assert answers.count("HTTP/1.1 202 Accepted\r\n") == 2
    assert answers.index("x-request-id: one") < answers.index("x-request-id: two") < answers.index("connection: close")


async def test_with_allowed_origins_the_middleware_answers(settings: Settings, acme: Tenant) -> None:
    async with running(settings.model_copy(update={"cors_origins": (ORIGIN,)})) as api:
        answer = await api.post(SIGNUP, acme, Origin=ORIGIN)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (202, ORIGIN)
