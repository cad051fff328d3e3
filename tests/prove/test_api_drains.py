"""SIGTERM to the API under load: not ready at once, requests in flight are answered, and no accepted event is lost."""

import asyncio
import signal
from itertools import count
from pathlib import Path
from uuid import UUID

import aiohttp
import psycopg
import pytest

from signalops.config import Settings
from tests.support.processes import Process, eventually
from tests.support.producers import producers
from tests.support.tenants import Tenant

URL = "http://signalops/api/events"
CLIENTS = 8


async def post_until_sent_away(socket: Path, tenant: Tenant, stored: set[UUID]) -> int:
    """Post on one connection, as fast as it is answered, until an answer closes it; return how many were answered."""
    connector = aiohttp.UnixConnector(str(socket), limit=1)
    async with aiohttp.ClientSession(connector=connector, headers=tenant.headers) as http:
        for number in count(1):
            async with http.post(URL, json={"type": "order.paid", "payload": {}}) as answer:
                assert answer.status == 202, await answer.text()
                stored.add(UUID((await answer.json())["id"]))
                if answer.headers.get("Connection") == "close":
                    return number
    raise AssertionError


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_stopping_api_answers_all_that_it_is_asked(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setenv("SIGNALOPS_DRAIN_SECONDS", "3")
    socket, stored = settings.data / "api", set[UUID]()
    serving = ("--factory", "signalops.web.app:create", "--uds", str(socket), "--workers", str(processes))
    async with (
        Process(settings, "uvicorn", *serving, "--log-level", "critical") as api,
        producers(socket, [acme]) as late,
        asyncio.timeout(30),
    ):
        await late.ready()
        clients = [asyncio.create_task(post_until_sent_away(socket, acme, stored)) for _ in range(CLIENTS)]
        await eventually(lambda: len(stored) >= 10 * CLIENTS)
        api.send(signal.SIGTERM)
        answered = await asyncio.gather(*clients)
        assert min(answered) > 1, "the connections stayed open until SIGTERM"
        connector = aiohttp.UnixConnector(str(socket), force_close=True)
        async with aiohttp.ClientSession(connector=connector) as balancer:
            for _ in range(15):
                async with balancer.get("http://signalops/readyz") as answer:
                    assert answer.status == 503, "load balancers turn away"
                await asyncio.sleep(0.1)  # between two looks; uvicorn alone would be gone after the first
        assert await post_until_sent_away(socket, acme, stored) == 1, "who comes now is served, and sent away"
        await api.ended()
    stored_ids = {event for (event,) in owner.execute("select id from signalops.events where causation_depth = 0")}
    assert stored_ids == stored
