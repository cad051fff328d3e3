"""The receivers of the benchmark, as cheap as they can be: `python -m tests.bench.sink` prints {"http": port, "smtp": port}.

A webhook is answered with 204 at once, its id and Unix time stored; GET returns those since the last GET. Mails are accepted.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_EVENT = re.compile(rb'"event":\{"id":"([0-9a-f-]{36})"')


@dataclass(frozen=True)
class Sink:
    """Where the receivers listen."""

    http: int
    smtp: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}/hook"

    def seen(self) -> dict[str, float]:
        """Return when each event's first webhook came in, by its id, since the last question."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            came: list[tuple[str, float]] = orjson.loads(answer.read())
        return dict(reversed(came))


@contextmanager
def sink() -> Iterator[Sink]:
    """Run the receivers in a process of their own."""
    with subprocess.Popen([sys.executable, "-m", "tests.bench.sink"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield Sink(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()


class _Conversation(asyncio.Protocol):
    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.greet()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while self.answer_next():
            pass

    def say(self, answer: bytes) -> None:
        self._transport.write(answer)

    def take(self, end: int) -> bytes:
        taken, self._unread = self._unread[:end], self._unread[end:]
        return taken

    def greet(self) -> None:
        """Say something first."""

    def answer_next(self) -> bool:
        """Answer one request, if there is a whole one; tell whether."""
        raise NotImplementedError


class _Web(_Conversation):
    came: list[tuple[str, float]] = []  # one for all connections

    def answer_next(self) -> bool:
        head = self._unread.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._unread, 0, head)
        whole = head + int(length[1]) if length else head
        if head < 4 or len(self._unread) < whole:
            return False
        request = self.take(whole)
        if request.startswith(b"GET"):
            body = orjson.dumps(self.came)
            self.came.clear()
            self.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return True
        if event := _EVENT.search(request, head):
            self.came.append((event[1].decode(), time.time()))
        self.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True


class _Mail(_Conversation):
    def greet(self) -> None:
        self.say(b"220 sink\r\n")
        self._is_data = False

    def answer_next(self) -> bool:
        ending = b"\r\n.\r\n" if self._is_data else b"\r\n"
        end = self._unread.find(ending)
        if end < 0:
            return False
        line = self.take(end + len(ending))
        self.say(b"250 OK\r\n" if self._is_data else _ANSWERS.get(line[:4].upper(), b"250 OK\r\n"))
        self._is_data = not self._is_data and line[:4].upper() == b"DATA"
        return True


_ANSWERS = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b"EHLO": b"250-sink\r\n250 8BITMIME\r\n"}


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    ports = []
    for protocol in (_Web, _Mail):
        server = await loop.create_server(protocol, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(dict(zip(("http", "smtp"), ports, strict=True))), flush=True)
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(_serve())
