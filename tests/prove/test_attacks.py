"""One tenant does its worst, while another tenant's single events are answered and processed within a second.

Nine in ten are, and each within a few seconds: a machine that others use stalls now and then, for all its processes.

Each attack is one that once stopped all tenants, for seconds or permanently; the bound that stops it has tests of its own.
"""

import asyncio
import itertools
import json
import signal
import statistics
import string
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import psycopg
import pytest
from aiohttp import web

from signalops.config import Settings
from tests.support.api import Client, running_process
from tests.support.processes import Process, worker
from tests.support.receivers import Receiver
from tests.support.rows import add_channel, add_rule
from tests.support.tenants import Tenant

MAX_SECONDS = 1.0
"""Seconds until nine in ten of the other tenant's events are answered, and until they are processed."""
NEVER = 8.0
"""Seconds that none of them takes; before the fixes, attacks stopped all tenants for 16 s or longer."""
EVENTS = 25
APART = 0.2
LATENCY = """
  select extract(epoch from b.processed_at - e.received_at)::float8
  from signalops.events e left join signalops.batch_results b on b.tenant_id = e.tenant_id and b.batch = e.batch
  where e.tenant_id = %s and e.causation_depth = 0 order by e.id
"""


@dataclass
class Stage:
    """An installation of two processes, and a tenant with a channel that attacks it."""

    api: Client
    owner: psycopg.Connection
    attacker: Tenant
    receiver: Receiver

    def channel(self, **columns: Any) -> Any:
        return add_channel(self.owner, self.attacker.id, self.receiver.url, **columns)

    def rule(self, pattern: dict[str, Any], **columns: Any) -> None:
        columns = {"channel": self.channel(), **columns}
        add_rule(self.owner, self.attacker.id, columns.pop("channel"), pattern=pattern, **columns)

    async def ask(self, method: str, path: str, body: object) -> int:
        """Ask the API for something; return the status. body: bytes as they are, all else as JSON."""
        data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        headers = {"content-type": "application/json"}
        return (await self.api.request(method, path, self.attacker, data=data, headers=headers)).status

    async def post(self, *payloads: dict[str, Any]) -> None:
        """Bring events in, which the attack is about."""
        events = [{"type": "order", "payload": payload} for payload in payloads]
        assert await self.ask("POST", "/api/events/batch", events) == 202


async def templates_that_never_end(stage: Stage) -> None:
    for loop in ("{% for i in (1..10000) %}{% for j in (1..10000) %}{% endfor %}{% endfor %}", _SLOW_MAP, _RANGE):
        stage.rule({"type": ["order"]}, template={"subject": loop, "body": loop})
    await stage.post(*({"x": [{}] * 2000} for _ in range(10)))


async def trials_of_templates(stage: Stage) -> None:
    trial = {"pattern": {"type": ["order"]}, "channel": str(stage.channel()), "template": {"body": _SLOW_MAP}}
    dry_run = {"rule": trial, "event": {"type": "order", "payload": {"x": [{}] * 12_000}}}
    answers = await asyncio.gather(*(stage.ask("POST", "/api/rules/test", dry_run) for _ in range(40)))
    assert set(answers) == {200, 429}


async def one_field_in_many_spellings(stage: Stage) -> None:
    stage.rule({"type": ["order"], "payload": {f"a.b.c.d.e.{name}": [1] for name in "xyz"}})
    elements = [{"x": 1, "y": 1, "z": 1}] * 16
    for _ in range(10):
        await stage.post(*(_spelled(["a", "b", "c", "d", "e"], elements) for _ in range(10)))


async def wildcards_on_long_arrays(stage: Stage) -> None:
    pattern = [{"wildcard": f"*{a}{b}*"} for a, b in itertools.product(string.ascii_lowercase[:11], repeat=2)]
    for _ in range(4):
        stage.rule({"type": ["order"], "payload": {"v": pattern}})
    for _ in range(10):
        await stage.post(*({"v": ["xxx"] * 40_000} for _ in range(5)))


async def duplicate_keys_at_the_end(stage: Stage) -> None:
    keys = ["".join(characters) for characters in itertools.islice(itertools.product(string.ascii_letters, repeat=3), 30_000)]
    text = ",".join(f'"{key}":1' for key in [*keys, keys[-1]])
    for _ in range(20):
        assert await stage.ask("POST", "/api/events", ('{"type":"order","payload":{' + text + "}}").encode()) == 400


async def nested_and_wide_bodies(stage: Stage) -> None:
    for text in ("[" + "[]," * 2_600_000 + "[]]", "[" * 4_000_000, "[" + "1," * 4_000_000 + "1]") * 2:
        assert await stage.ask("POST", "/api/events/batch", text.encode()) in (400, 413, 422)


async def schemas_of_extreme_numbers(stage: Stage) -> None:
    for divisor in (3e-308, 0.01):
        schema = {"schema": {"properties": {"v": {"items": {"multipleOf": divisor}}}}, "mode": "reject"}
        assert await stage.ask("PUT", "/api/event-types/order/schema", schema) == (422 if divisor < 1e-15 else 200)
        for _ in range(5):
            await stage.post(*({"v": [0.3] * 50_000} for _ in range(8)))


async def windows_by_group(stage: Stage) -> None:
    channel = stage.channel()
    for _ in range(60):
        window = {"count": 5, "within": "1h", "groupBy": ["payload.g"]}
        stage.rule({"type": ["order"]}, channel=channel, time_window=window)
    await asyncio.gather(*(stage.post(*({"g": f"{n}-{m}"} for m in range(200))) for n in range(12)))


async def distinct_values(stage: Stage) -> None:
    for n in range(10):
        meter = {"key": f"m{n}", "name": "M", "aggregation": "unique_count", "field": "payload.v", "pattern": {"type": ["order"]}}
        assert await stage.ask("POST", "/api/meters", meter) == 201
    for n in range(5):
        await stage.post(*({"v": list(range(1000 * (20 * n + m), 1000 * (20 * n + m + 1)))} for m in range(20)))


async def receivers_that_answer_slowly(stage: Stage) -> None:
    async def late(_: web.Request) -> web.Response:
        await asyncio.sleep(9)
        return web.Response()

    stage.receiver.answers += [late] * 2000
    for _ in range(16):
        stage.rule({"type": ["order"]})
    await stage.post(*({} for _ in range(60)))


ATTACKS: list[Callable[[Stage], Coroutine[Any, Any, None]]] = [
    templates_that_never_end,
    trials_of_templates,
    one_field_in_many_spellings,
    wildcards_on_long_arrays,
    duplicate_keys_at_the_end,
    nested_and_wide_bodies,
    schemas_of_extreme_numbers,
    windows_by_group,
    distinct_values,
    receivers_that_answer_slowly,
]
_SLOW_MAP = "{{ payload.x | map: payload.x }}"
_RANGE = "{% if (1..100000000000) contains 1.5 %}{% endif %}"


def _spelled(path: list[str], value: object) -> dict[str, Any]:
    """Return an object in which a path stands in each way: with dots in the names, and as objects in objects."""
    if len(path) == 1:
        return {path[0]: value}
    found: dict[str, Any] = {}
    for length in range(1, len(path) + 1):
        rest = path[length:]
        found[".".join(path[:length])] = _spelled(rest, value) if rest else value
    return found


@pytest.fixture
async def running(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, receiver: Receiver
) -> AsyncIterator[tuple[Stage, Process]]:
    async with running_process(settings) as api, worker(settings) as jobs:
        yield Stage(api, owner, acme, receiver), jobs


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_another_tenants_events_are_answered_and_processed_within_a_second(
    running: tuple[Stage, Process], globex: Tenant, attack: Callable[[Stage], Coroutine[Any, Any, None]]
) -> None:
    stage, jobs = running
    await _post(stage.api, globex)  # the processes have started, and know the key
    await _processed(stage.owner, globex, 1)
    attacking = asyncio.create_task(attack(stage))
    answered = []
    for _ in range(EVENTS):
        answered.append(await _post(stage.api, globex))
        await asyncio.sleep(APART)
    latencies = await _processed(stage.owner, globex, EVENTS + 1)
    print(f"{attack.__name__}: answered within {max(answered):.3f} s, processed within {max(latencies):.3f} s")
    for seconds in (answered, latencies):
        assert statistics.quantiles(seconds, n=10)[-1] < MAX_SECONDS
        assert max(seconds) < NEVER
    jobs.send(signal.SIGTERM)
    await jobs.ended(30)
    async with asyncio.timeout(60):
        await attacking


async def _post(api: Client, tenant: Tenant) -> float:
    """Post one event; return after how many seconds it was accepted."""
    began = time.perf_counter()
    assert (await api.post({"type": "order", "payload": {"n": 1}}, tenant)).status == 202
    return time.perf_counter() - began


async def _processed(owner: psycopg.Connection, tenant: Tenant, events: int) -> list[float]:
    """Return after how many seconds each event of a tenant was processed, once all are."""
    async with asyncio.timeout(60):
        while True:
            seconds = [row[0] for row in owner.execute(LATENCY, [tenant.id])]
            if len(seconds) == events and None not in seconds:
                return seconds
            await asyncio.sleep(0.05)
