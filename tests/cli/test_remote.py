"""Commands over HTTP: with SIGNALOPS_URL and SIGNALOPS_API_KEY they need no database; and events as they come."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

import pytest

from signalops.config import Settings
from signalops.send.channels.webhook import signed
from tests.support.api import SIGNUP, Client, running
from tests.support.command import Done, Run, beside
from tests.support.paths import ROOT
from tests.support.processes import eventually
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Client]:
    async with running(settings) as client:
        yield client


@pytest.fixture
def far(command: Run, api: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with acme's key and no database that could be reached."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("SIGNALOPS_URL", api.url)
    monkeypatch.setenv("SIGNALOPS_API_KEY", acme.key)
    return command


async def test_events_are_sent_listed_and_traced(far: Run, tmp_path: object) -> None:
    sent = (await beside(far, "event", "send", "user.signup", "--payload", '{"n":1}', "--json")).json
    again = (await beside(far, "trigger", "user.signup", "--json")).json
    listed = (await beside(far, "event", "list", "--json")).json
    assert [(event["id"], event["payload"]) for event in listed] == [(again["id"], {"n": 1}), (sent["id"], {"n": 1})]
    assert (await beside(far, "event", "list", "--limit", "1", "--json")).json == listed[:1]
    traced = await beside(far, "event", "trace", "--last")
    assert (traced.code, again["id"] in traced.out) == (0, True), traced
    assert (await beside(far, "event", "trace", sent["id"], "--json")).json["id"] == sent["id"]


async def test_what_has_a_name_is_found_by_it(far: Run, api: Client, acme: Tenant) -> None:
    hook = {"kind": "webhook", "name": "hook", "config": {"url": "https://example.com/"}}
    added = (await api.post(hook, acme, "/api/channels")).json
    assert (await beside(far, "channel", "show", "hook", "--json")).json["id"] == added["id"]
    assert (await beside(far, "channel", "disable", "hook")).out == "Channel hook is disabled.\n"
    assert (await beside(far, "channel", "list", "--no-enabled", "--json")).json[0]["enabled"] is False
    assert (await beside(far, "channel", "delete", "hook", "--yes")).code == 0
    assert "There is nothing named 'hook'" in (await beside(far, "channel", "show", "hook")).err


async def test_what_is_refused_is_said(far: Run, api: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = await beside(far, "event", "send", "user signup")
    assert (refused.code, "dot-separated words" in refused.err) == (1, True)
    monkeypatch.setenv("SIGNALOPS_URL", api.url.removeprefix("http://"))
    assert "write it as http://localhost:3000" in (await beside(far, "event", "list")).err
    monkeypatch.delenv("SIGNALOPS_API_KEY")
    assert "set SIGNALOPS_API_KEY" in (await beside(far, "event", "list")).err
    monkeypatch.delenv("SIGNALOPS_URL")
    assert await beside(far, "event", "list") == Done(2, "", (await beside(far, "event", "list")).err)
    assert "Missing option '--tenant'" in (await beside(far, "event", "list")).err


async def test_a_name_with_a_slash_stays_one_part_of_the_path(far: Run) -> None:
    done = await beside(far, "meter", "show", "../usage")
    assert (done.code, "GET /api/meters/..%2Fusage was answered with 404" in done.err) == (1, True), done


async def test_listen_prints_events_and_forwards_them_signed(api: Client, acme: Tenant, receiver: Receiver) -> None:
    arguments = ("listen", "--url", api.url, "--key", acme.key, "--forward-to", receiver.url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signalops", *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    secret = (await process.stderr.readline()).decode().split()[-1]
    await process.stderr.readline()  # it waits
    event = (await api.post(SIGNUP, acme)).json["id"]
    line = (await process.stdout.readline()).decode()
    assert line.split()[1:] == ["user.signup", event, "->", "204"]
    await eventually(lambda: receiver.received)
    [request] = receiver.received
    body = json.loads(request.body)
    assert (body["type"], body["data"]["event"]["id"]) == ("user.signup", event)
    expected = signed(secret, request.headers["webhook-id"], request.body, int(request.headers["webhook-timestamp"]))
    assert request.headers["webhook-signature"] == expected["webhook-signature"]
    process.terminate()
    await process.wait()
