"""Producers that never give up: each posts an event under its own idempotency key until the event is acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from uuid import UUID

import aiohttp

from tests.support.tenants import Tenant

URL = "http://signalops/api/events"
CLIENTS = 32
PATIENCE = 60.0
"""Seconds for which a producer sends an event again."""


class Load:
    """Producers of some tenants against one API; `acknowledged` holds (tenant, key) -> id of every event that is stored."""

    def __init__(self, http: aiohttp.ClientSession, tenants: Sequence[Tenant]) -> None:
        self._http = http
        self._tenants = tenants
        self._stopped = False
        self.acknowledged: dict[tuple[Tenant, str], UUID] = {}
        self.refused: set[str] = set()

    async def run(self) -> None:
        """Post until stopped; return when the last event is acknowledged."""
        numbers = count()
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self._post_all(numbers))

    def stop(self) -> None:
        """Begin no further event."""
        self._stopped = True

    def has(self, events: int) -> Callable[[], bool]:
        """Return a question: whether so many events are acknowledged."""
        return lambda: len(self.acknowledged) >= events

    async def ask_again(self) -> None:
        """Post every acknowledged event once more: each must be known by the same id."""
        for (tenant, key), event in self.acknowledged.items():
            answer = await self._post(tenant, key)
            assert answer == (200, event), f"key {key} of {tenant.slug}: {answer}, and not the same as {event}"

    async def ready(self) -> None:
        """Return when the API answers."""
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self._http.get("http://signalops/readyz") as answer:
                        if answer.ok:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def _post_all(self, numbers: Iterator[int]) -> None:
        while not self._stopped:
            number = next(numbers)
            tenant, key = self._tenants[number % len(self._tenants)], str(number)
            self.acknowledged[tenant, key] = await self._insist(tenant, key)

    async def _insist(self, tenant: Tenant, key: str) -> UUID:
        until = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < until:
            try:
                status, event = await self._post(tenant, key)
                if event is not None:
                    return event
                self.refused.add(str(status))
            except (aiohttp.ClientError, ConnectionError) as error:
                self.refused.add(type(error).__name__)
            await asyncio.sleep(0.02)  # a producer's wait before it tries again
        raise TimeoutError(f"event {key} was not stored in {PATIENCE} s: {self.refused}")

    async def _post(self, tenant: Tenant, key: str) -> tuple[int, UUID | None]:
        body = {"type": "order.paid", "payload": {"key": key, "rare": int(key) % 10 == 0}, "idempotencyKey": key}
        async with self._http.post(URL, json=body, headers=tenant.headers) as answer:
            answered = await answer.json(content_type=None)
            assert answer.status in (200, 202) or answer.status >= 500, answered
            return answer.status, UUID(answered["id"]) if answer.ok else None


@asynccontextmanager
async def producers(socket: Path, tenants: Sequence[Tenant]) -> AsyncIterator[Load]:
    """Open the producers of an API that listens on a socket of the file system."""
    connector = aiohttp.UnixConnector(str(socket), limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield Load(http, tenants)
