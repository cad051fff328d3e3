"""What a connection may do: bounds on size and time, and what is no HTTP; on raw sockets, as attackers have them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from yarl import URL

from signalops.config import Settings
from signalops.web.protocol import MAX_FIELDS, MAX_HEAD_BYTES, MAX_URL_BYTES, BoundedProtocol
from tests.support.api import NOTHING, Client, assert_problem, rows, running
from tests.support.tenants import Tenant

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
EVENT = b'{"type":"user.signup","payload":{}}'
NO_HTTP = [
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    *(
        POST + b"Content-Length: " + length + b"\r\n\r\n"
        for length in (
            b"4\r\nContent-Length: 5",
            b"4\r\nContent-Length: 4",
            b"-1",
            b"+5",
            b"1_0",
            b"0x10",
            b"5, 5",
            b"",
            b"9" * 23,
        )
    ),
    POST + b"Content-Length : 2\r\n\r\n{}",
    # RFC 9112, sections 3.2 and 6.1
    b"GET /healthz HTTP/1.1\r\n\r\n",
    GET + b"Host: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: user@x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x:port\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"a: b\r\n c\r\n\r\n",
    GET + b"a: b\rc: d\r\n\r\n",
    GET + b"a: b\0c\r\n\r\n",
    GET + b"a: b\x1b[2Jc\r\n\r\n",
    b"GET /healthz HTTP/1.1\nHost: x\n\n",
    b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a\x1bb HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/3.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
]


class Hurried(BoundedProtocol):
    """The same with less patience."""

    HEAD_SECONDS = WINDOW_SECONDS = 0.2
    BODY_SECONDS = 0.6
    WINDOW_BYTES = 10


@pytest.fixture
async def hurried(settings: Settings) -> AsyncIterator[Client]:
    """An API that waits for nobody."""
    async with running(settings, http=Hurried, timeout_keep_alive=0.3) as client:
        yield client


@asynccontextmanager
async def connected(api: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    async with asyncio.timeout(20):
        yield reader, writer
    writer.close()


async def exchange(api: Client, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts, with a pause after each; return all that is answered until the server closes."""
    async with connected(api) as (reader, writer):
        answer = asyncio.create_task(_read(reader))
        for part in parts:
            writer.write(part)
            await asyncio.wait([answer], timeout=pause)
        return await answer


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Read until the end: what was refused in the middle of its sending may end with a reset."""
    answer = b""
    try:
        while part := await reader.read(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def problem(answer: bytes, status: int, kind: str) -> None:
    """Check that an answer is one problem document of a kind, after which the connection ends, and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    assert first.startswith(f"http/1.1 {status} ")
    assert {"content-type: application/problem+json", "connection: close", "x-content-type-options: nosniff"} <= set(lines)
    assert f"content-length: {len(body)}" in lines
    shown = json.loads(body)
    assert (shown["type"], shown["status"]) == (f"urn:signalops:problem:{kind}", status)


@pytest.mark.parametrize("request_", NO_HTTP)
async def test_what_is_no_http_or_could_be_read_in_two_ways_is_refused(api: Client, request_: bytes) -> None:
    problem(await exchange(api, request_ + GET + b"\r\n"), 400, "malformed")


@pytest.mark.parametrize("parts", [1, 40])
async def test_a_head_has_a_size(api: Client, parts: int) -> None:
    long = GET + b"a: " + b"x" * (2 * MAX_HEAD_BYTES)
    step = len(long) // parts + 1
    pieces = [long[start : start + step] for start in range(0, len(long), step)]
    problem(await exchange(api, *pieces, pause=0.001), 431, "head-too-large")


async def test_a_head_has_so_many_fields_and_an_address_so_many_bytes(api: Client) -> None:
    fields = b"".join(b"h%d: v\r\n" % number for number in range(MAX_FIELDS))
    problem(await exchange(api, GET + fields + b"\r\n"), 431, "head-too-large")
    enough = fields.partition(b"h98:")[0]
    assert (await exchange(api, GET + enough + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
    problem(await exchange(api, b"GET /" + b"a" * MAX_URL_BYTES + b" HTTP/1.1\r\n\r\n"), 414, "url-too-long")


async def test_what_is_slow_ends(hurried: Client) -> None:
    assert await exchange(hurried) == b""
    assert await exchange(hurried, *[b"\r\n"] * 50, pause=0.02) == b""
    problem(await exchange(hurried, b"GET / HTTP/1.1\r\n", *[b"a"] * 50, pause=0.02), 408, "too-slow")


async def test_a_connection_that_rests_ends_whatever_is_sent_between_requests(hurried: Client) -> None:
    answer = await exchange(hurried, GET + b"\r\n", *[b"\r\n"] * 100, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"Content-Length: 1000\r\n\r\n{", b" "),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", b"a: b\r\n"),
    ],
)
async def test_a_body_that_drips_ends_before_and_after_its_answer(
    hurried: Client, acme: Tenant, owner: psycopg.Connection, head: bytes, drip: bytes
) -> None:
    key = b"x-api-key: " + acme.headers["x-api-key"].encode() + b"\r\n"
    problem(await exchange(hurried, POST + key + head, *[drip] * 100, pause=0.025), 408, "too-slow")
    refused = await exchange(hurried, POST + head, *[drip] * 100, pause=0.025)
    assert refused.startswith(b"HTTP/1.1 401")
    assert refused.count(b"HTTP/1.1") == 1
    assert rows(owner) == NOTHING


async def test_a_body_that_moves_has_a_while_and_no_longer(hurried: Client, acme: Tenant) -> None:
    key = b"x-api-key: " + acme.headers["x-api-key"].encode() + b"\r\n"
    head = POST + key + b"Connection: close\r\n"
    parts = [EVENT[start : start + 2] for start in range(0, len(EVENT), 2)]
    moved = await exchange(hurried, head + b"Content-Length: %d\r\n\r\n" % len(EVENT), *parts, pause=0.02)
    assert moved.startswith(b"HTTP/1.1 202")
    problem(await exchange(hurried, head + b"Content-Length: 9999\r\n\r\n", *[b" " * 9] * 100, pause=0.03), 408, "too-slow")


@pytest.mark.parametrize(
    "framing", [b"2;a=" + b"x" * 200_000 + b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 40_000]
)
async def test_framing_has_a_size(api: Client, acme: Tenant, framing: bytes) -> None:
    key = b"x-api-key: " + acme.headers["x-api-key"].encode() + b"\r\n"
    answer = await exchange(api, CHUNKED + key + b"\r\n", framing)
    assert not answer or answer.startswith(b"HTTP/1.1 4")


async def test_trailers_are_no_headers(api: Client, acme: Tenant, owner: psycopg.Connection) -> None:
    key = b"x-api-key: " + acme.headers["x-api-key"].encode() + b"\r\n"
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(EVENT), EVENT)
    ended = CHUNKED + b"Connection: close\r\n"
    assert (await exchange(api, ended + b"\r\n" + chunk + key + b"\r\n")).startswith(b"HTTP/1.1 401")
    assert (await exchange(api, ended + key + b"\r\n" + chunk + b"a: b\r\n\r\n")).startswith(b"HTTP/1.1 202")
    assert rows(owner)["events"] == 1


async def test_pipelined_requests_are_answered_in_turn_and_a_flood_is_cut(api: Client) -> None:
    few = await exchange(api, (GET + b"\r\n") * 20 + GET + b"Connection: close\r\n\r\n")
    assert few.count(b"HTTP/1.1 200") == 21
    assert (await exchange(api, (GET + b"\r\n") * 2000)).count(b"HTTP/1.1 200") < 2000


async def test_nothing_is_answered_in_the_place_of_a_request_that_is_under_way(api: Client) -> None:
    assert await exchange(api, POST + b"Content-Length: 2\r\n\r\n{}garbage\r\n\r\n") == b""


@pytest.mark.parametrize("wish", [b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"])
async def test_what_would_be_another_protocol_is_answered_in_this_one_and_ends(api: Client, wish: bytes) -> None:
    answer = await exchange(api, GET + wish + b"\r\n" + GET + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_body_that_was_asked_about_and_refused_takes_no_request_for_itself(api: Client, acme: Tenant) -> None:
    expect_head = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(EVENT)
    refused = await exchange(api, POST + expect_head + b"\r\n")
    assert refused.startswith(b"HTTP/1.1 401")
    key = b"x-api-key: " + acme.headers["x-api-key"].encode() + b"\r\n"
    async with connected(api) as (reader, writer):
        writer.write(POST + expect_head + key + b"\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(EVENT)
        assert (await reader.read()).startswith(b"HTTP/1.1 202")


async def test_an_answer_that_nobody_reads_ends(hurried: Client) -> None:
    page = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(hurried) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(page * 90)
        async with asyncio.timeout(10):
            while not writer.transport.is_closing():
                await asyncio.sleep(0.01)
                writer.write(b"\r\n")
        with pytest.raises(ConnectionError):
            await reader.read()


async def test_an_answer_that_is_read_too_slowly_ends(settings: Settings) -> None:
    lost, loop = asyncio.Event(), asyncio.get_running_loop()

    class Noted(Hurried):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async with running(settings, http=Noted) as api:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            await loop.sock_connect(slow, ("127.0.0.1", URL(api.url).port))
            await loop.sock_sendall(slow, b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40)
            reading = asyncio.create_task(_trickle(slow))
            await asyncio.wait_for(lost.wait(), 10)
            reading.cancel()


async def _trickle(slow: socket.socket) -> None:
    """Read a kilobyte a second."""
    while True:
        await asyncio.get_running_loop().sock_recv(slow, 50)
        await asyncio.sleep(0.05)


async def test_no_redirect_has_a_key_sent_again_in_plain(api: Client, acme: Tenant) -> None:
    assert_problem(await api.request("GET", "/api/events/", acme, allow_redirects=False), 404, "not-found")


async def test_there_are_so_many_connections(settings: Settings) -> None:
    async with running(settings, limit_concurrency=2) as api, connected(api) as first, connected(api) as second:
        for _, writer in (first, second):
            writer.write(GET)
        assert (await exchange(api, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 503")
        problem(await exchange(api, GET + b"\r\n"), 503, "overloaded")
    async with running(settings, limit_concurrency=2) as api, connected(api):
        assert (await exchange(api, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_who_rests_on_connections_keeps_nobody_out(settings: Settings) -> None:
    async with running(settings, limit_concurrency=2) as api, connected(api) as (older, asking), connected(api) as newer:
        for reader, writer in (newer, (older, asking)):
            writer.write(GET + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert (await exchange(api, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
        asking.write(GET + b"Connection: close\r\n\r\n")
        assert (await _read(older)).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("host", [b"x", b"x:80", b"127.0.0.1:3000", b"[::1]:3000", b"", b"x:", b"a.example.", b"%41"])
async def test_a_host_as_rfc_3986_has_it_is_taken(api: Client, host: bytes) -> None:
    request_ = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert (await exchange(api, request_)).startswith(b"HTTP/1.1 200")


async def test_http_1_0_needs_no_host(api: Client) -> None:
    assert (await exchange(api, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")
