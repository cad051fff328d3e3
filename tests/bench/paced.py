"""A steady load from a process of its own: `python -m tests.bench.paced URL RATE SECONDS [wanted]`, API keys on standard input.

With `wanted`, one rule matches each event.

Requests start at fixed times, whatever became of those before (an open loop), and their time begins before they wait for a
connection: a slow server can't hide by slowing the generator. Prints {"statuses": {status: count}, "p50", "p99", "late99"} in
milliseconds; late99 is how late the generator itself woke for a request (99th percentile), and no part of the times.
"""

import asyncio
import json
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from tests.bench import events
from tests.bench.installation import KEYS, Installation, Wrong

CONNECTIONS = 8
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def load(url: str, home: Installation, rate: int, seconds: int, *options: str) -> dict[str, Any]:
    """Post at a steady rate for some seconds, from another process; return what it printed."""
    command = [sys.executable, "-m", "tests.bench.paced", url, str(rate), str(seconds), *options]
    keys = "\n".join(tenant.key for tenant in home.tenants[:KEYS])
    ended = subprocess.run(command, input=keys, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Wrong(f"the paced load broke off: {ended.stderr[-2000:]}")
    seen: dict[str, Any] = json.loads(ended.stdout)
    if seen["statuses"] != {"202": rate * seconds}:
        raise Wrong(f"of {rate * seconds} requests not all were answered with 202: {seen['statuses']}")
    return seen


class _Generator:
    def __init__(self, host: str, keys: list[str], is_wanted: bool) -> None:
        self._heads = [f"POST /api/events HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\n" for key in keys]
        self._body = orjson.dumps(events.event(is_wanted) | {"idempotencyKey": "@KEY@"}).decode()
        self._word = secrets.token_hex(4)
        # In turn: one that is idle for long is closed by the server.
        self._free: asyncio.Queue[Streams] = asyncio.Queue()
        self.statuses: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.late: list[float] = []

    async def run(self, address: tuple[str, int], rate: int, seconds: int) -> None:
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection(*address))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as requests:
            for number in range(rate * seconds):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                started = time.perf_counter()
                self.late.append((started - due) * 1000)
                requests.create_task(self._post(number, started))

    async def _post(self, number: int, started: float) -> None:
        reader, writer = streams = await self._free.get()
        writer.write(self._request(number))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length, "the API always tells the length of its answers"
        await reader.readexactly(int(length[1]))
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        self.statuses[head[9:12].decode()] += 1
        self._free.put_nowait(streams)

    def _request(self, number: int) -> bytes:
        body = self._body.replace("@KEY@", f"{self._word}-{number}")
        head = self._heads[number % len(self._heads)]
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def main() -> None:
    url, rate, seconds = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    assert url.hostname
    assert url.port
    generator = _Generator(url.netloc, sys.stdin.read().split(), "wanted" in sys.argv)
    uvloop.run(generator.run((url.hostname, url.port), rate, seconds))
    cuts = statistics.quantiles(generator.milliseconds, n=100, method="inclusive")
    late = statistics.quantiles(generator.late, n=100, method="inclusive")
    print(json.dumps({"statuses": generator.statuses, "p50": cuts[49], "p99": cuts[98], "late99": late[98]}))


if __name__ == "__main__":
    main()
