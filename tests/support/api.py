"""The real application under a real server, and a client that holds every answer against the API's own OpenAPI document."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

import aiohttp
import psycopg
import pytest
import uvicorn
from openapi_schema_validator import OAS31Validator
from psycopg.rows import dict_row

from signalops import telemetry
from signalops.config import Settings
from signalops.web.app import Api
from signalops.web.protocol import server_options
from tests.support.tenants import Tenant

JSON = {"content-type": "application/json"}
PROTOCOL = "signalops.web.protocol:BoundedProtocol"
NDJSON = {"content-type": "application/x-ndjson"}
SIGNUP = {"type": "user.signup", "payload": {"email": "user@example.com"}}


@dataclass(frozen=True)
class Answer:
    """An answer of the API, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Client:
    """A client of one running API process, by default of one tenant."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._session = session

    async def request(self, method: str, path: str, tenant: Tenant | None = None, **arguments: Any) -> Answer:
        """Send a request; check that the API documents such an answer."""
        headers = {**(tenant.headers if tenant else {}), **(arguments.pop("headers", None) or {})}
        async with self._session.request(method, self.url + path, headers=headers, **arguments) as response:
            answer = Answer(response.status, response.headers, await response.read())
        assert answer.headers["X-Request-Id"]  # every answer has one, whatever it is
        (await self._document()).check(method, path.partition("?")[0], answer)
        return answer

    async def get(self, path: str, tenant: Tenant | None = None, **params: object) -> Answer:
        return await self.request("GET", path, tenant, params={name: str(value) for name, value in params.items()})

    async def post(self, body: object, tenant: Tenant | None = None, path: str = "/api/events", **headers: str) -> Answer:
        """Post a body: bytes as they are, all else as JSON. Header names have _ for -."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", path, tenant, data=BytesIO(data), headers={**JSON, **named})

    async def post_batch(self, body: object, tenant: Tenant, **headers: str) -> Answer:
        return await self.post(body, tenant, "/api/events/batch", **headers)

    async def described(self) -> dict[str, Any]:
        """Return the API's OpenAPI document."""
        return (await self._document()).content

    async def _document(self) -> "Document":
        """Return the document, read once in each test process: that every API serves the same one is a test of its own."""
        global _document  # noqa: PLW0603
        if _document is None:
            async with self._session.get(f"{self.url}/api/openapi.json") as response:
                _document = Document(await response.json())
        return _document


class Document:
    """An OpenAPI document, and the check of answers against it."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._validators: dict[str, OAS31Validator] = {}
        self._templates = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path)), content["paths"][path])
            for path in sorted(content["paths"], key=lambda path: "{" in path)
        ]

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Assert that an answer is documented; that of an address that is not documented may be anything."""
        operation = self._operation(method, path)
        if operation is None:
            return
        assert str(answer.status) in operation["responses"], f"{method} {path} documents no {answer.status}"
        content = operation["responses"][str(answer.status)]["content"]
        assert answer.media_type in content, f"{method} {path} documents no {answer.media_type} at {answer.status}"
        body = answer.json if answer.media_type.endswith("json") else answer.body.decode()
        errors = self._validator(content[answer.media_type]["schema"]).iter_errors(body)
        assert [error.message for error in errors] == []

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self._templates:
            if template.fullmatch(path):
                operation: dict[str, Any] | None = operations.get(method.lower())
                return operation
        return None

    def _validator(self, schema: dict[str, Any]) -> OAS31Validator:
        """Return the validator of a schema of the document; making one costs more than the request."""
        name = json.dumps(schema)
        if name not in self._validators:
            self._validators[name] = OAS31Validator({**schema, "components": self.content["components"]})
        return self._validators[name]


_document: Document | None = None


def without_request_limit(settings: Settings) -> Settings:
    """Return settings by which no request is refused for coming too soon."""
    return settings.model_copy(update={"request_rate": 1_000_000, "request_burst": 1_000_000})


class _Server(uvicorn.Server):
    """uvicorn's server, whose own shutdown takes at least 0.1 s: a thousand tests would wait for nothing."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what listens, let the connections end, then the application."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # those that have nothing to answer end now
        async with asyncio.timeout(10):
            await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


@asynccontextmanager
async def running(settings: Settings, **options: Any) -> AsyncIterator[Client]:
    """Run one API process' worth of application in this event loop, on a free port, with other options of uvicorn's."""
    application = Api(settings).application()
    config = uvicorn.Config(application, port=0, lifespan="on", log_config=None, **server_options(settings) | options)
    config.load()
    server = _Server(config)
    server.lifespan = config.lifespan_class(config)
    with capture_log("api_key_cache.invalidated") as listening:
        await server.startup()
        async with asyncio.timeout(10):
            await listening.get()  # when it begins to listen: a test that waits for a change must not take that for it
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Client(session, f"http://127.0.0.1:{port}")
    finally:
        await server.shutdown()


@asynccontextmanager
async def running_process(settings: Settings) -> AsyncIterator[Client]:
    """Run the application in a process of its own; it takes over a socket on which clients may wait for it already."""
    assert settings.database_url is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {**os.environ, "DATABASE_URL": settings.database_url.get_secret_value()}
        arguments = ["-m", "uvicorn", "--factory", "signalops.web.app:create", "--fd", str(listener.fileno())]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            "--http",
            PROTOCOL,
            "--log-level",
            "warning",
            env=environment,
            pass_fds=[listener.fileno()],
        )
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                yield Client(session, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            process.terminate()
            try:
                async with asyncio.timeout(30):
                    code = await process.wait()
            except TimeoutError:
                process.kill()
                raise
            assert code in (0, -signal.SIGTERM)


Process = Callable[[], Awaitable[None]]
Blocked = Callable[[], Awaitable[int]]


@pytest.fixture
def blocked_backend(admin: psycopg.Connection, api: Client, database: str) -> Blocked:
    """Waits until a statement waits for a lock; returns the process id of its backend."""

    async def blocked() -> int:
        query = "select pid from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
        async with asyncio.timeout(5):
            while (row := admin.execute(query, [database]).fetchone()) is None:
                await api.get("/healthz")
        pid: int = row[0]
        return pid

    return blocked


@contextmanager
def capture_log(fact: str) -> Iterator[asyncio.Queue[dict[str, Any]]]:
    """Put the fields of every fact of a name into a queue, for a test to await."""
    emitted: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    end = telemetry.subscribe(lambda name, fields: emitted.put_nowait(fields) if name == fact else None)
    try:
        yield emitted
    finally:
        end()


def assert_problem(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem document (RFC 9457) of a kind; return it."""
    assert (answer.status, answer.media_type) == (status, "application/problem+json"), answer
    problem: dict[str, Any] = answer.json
    assert problem["type"] == f"urn:signalops:problem:{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert problem["instance"].startswith("/")
    return problem


_ROWS = """
select (select count(*) from signalops.events) as events,
  (select count(*) from signalops.idempotency_keys) as keys,
  (select count(*) from signalops.inbox) as inbox,
  (select coalesce(sum(accepted), 0)::int from signalops.accepted_counters where meter = 'events') as accepted,
  (select count(*) from procrastinate.procrastinate_jobs where task_name = 'process_batch') as jobs
"""


def rows(owner: psycopg.Connection) -> dict[str, int]:
    """Return how many rows accepting has left: events, keys, inbox, accepted (the sum of the counters) and jobs."""
    with owner.cursor(row_factory=dict_row) as cursor:
        counted = cursor.execute(_ROWS).fetchone()
    assert counted is not None
    return counted


NOTHING = {"events": 0, "keys": 0, "inbox": 0, "accepted": 0, "jobs": 0}


def stored(owner: psycopg.Connection, event: str) -> dict[str, Any]:
    """Return an event's row as it is stored."""
    with owner.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("select * from signalops.events where id = %s", [UUID(event)]).fetchone()
    assert row is not None, f"there is no event {event}"
    return row
