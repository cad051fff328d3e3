"""What `signalops up` prints: a line per request and per delivery, read from the JSON log lines of its processes.

The log lines themselves go to `log/` in the data folder. Tenants, types and answers are looked up for what is printed: the
processes that do the work log no more than they do elsewhere.
"""

import asyncio
import logging
import re
from contextlib import suppress
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from rich.text import Text

from signalops import db
from signalops.cli.output import console
from signalops.types import JsonObject

SQL = db.queries("watch/dev_console")
MAX_PER_SECOND = 30
"""Requests and deliveries printed per second; the others are counted in one line."""
_LOG_BYTES = 10 * 2**20
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_QUIET = {"live", "ready", "scrape", "swaggerUi"}
_STYLES = {"2": "green", "3": "cyan", "4": "yellow", "5": "bold red"}
_OUTCOMES = {"sent": "green", "suppressed": "dim"}


class DevConsole:
    """Prints for one `signalops up`; `read` is called for each process."""

    def __init__(self, folder: Path, owner_url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._owner_url = owner_url
        self._console = console()
        self._lines: asyncio.Queue[JsonObject] = asyncio.Queue()
        self._second, self._printed, self._skipped = 0, 0, 0
        self.is_walking = False
        """The smoke test is running, which polls: its reads are not printed."""

    async def read(self, name: str, stream: asyncio.StreamReader) -> None:
        """Store what a process writes in its log file, and enqueue its log lines for printing, until the stream ends."""
        file = logging.getLogger(f"{__name__}.{name}")
        if not file.handlers:
            handler = RotatingFileHandler(self._folder / f"{name}.log", maxBytes=_LOG_BYTES, backupCount=1)
            handler.setFormatter(logging.Formatter("%(message)s"))
            file.addHandler(handler)
            file.propagate = False
            file.setLevel(logging.INFO)
        while text := (await stream.readline()).decode(errors="replace").rstrip("\n"):
            file.info("%s", text)
            with suppress(orjson.JSONDecodeError):
                line = orjson.loads(text)
                if isinstance(line, dict):
                    self._lines.put_nowait(line)

    async def run(self) -> None:
        """Print the log lines, until cancelled."""
        async with db.dedicated(self._owner_url) as connection:
            while True:
                line = await self._lines.get()
                with suppress(*db.OUTAGE):
                    await self._print(connection, line)

    async def _print(self, connection: db.Connection, line: JsonObject) -> None:
        match line.get("message"):
            case "request.answered":
                if not self._is_quiet(line) and self._may_print(line):
                    self._show(await self._request(connection, line))
            case "delivery.attempted":
                if self._may_print(line):
                    self._show(await self._delivery(connection, line))
            case "delivery.dead_lettered":
                self._show(Text(f"{'':10}   it is a dead letter: signalops dead-letter list", style="yellow"))
            case _ if line.get("level") in ("warning", "error", "critical"):
                self._show(_problem(line))

    def _is_quiet(self, line: JsonObject) -> bool:
        is_poll = self.is_walking and line["method"] == "GET" and line["status"] < 400
        return is_poll or line.get("operation") in _QUIET or line["path"] == "/favicon.ico"

    def _may_print(self, line: JsonObject) -> bool:
        """Return whether a line is printed: under load people read a count."""
        second = int(_time(line).timestamp())
        if second != self._second:
            if self._skipped:
                self._show(Text(f"{'':10}... and {self._skipped:,} more in that second", style="dim"))
            self._second, self._printed, self._skipped = second, 0, 0
        self._printed += 1
        self._skipped += self._printed > MAX_PER_SECOND
        return self._printed <= MAX_PER_SECOND

    async def _request(self, connection: db.Connection, line: JsonObject) -> Text:
        found = await self._found(connection, "request", line, event=_uuid(line.get("request_id")))
        text = _begin(line)
        text.append(f"{line['method']} {line['path']}  ")
        text.append(str(line["status"]), style=_STYLES.get(str(line["status"])[0], ""))
        words = [line.get("reason"), found.get("type"), found.get("slug"), found.get("event") and _short(found["event"])]
        text.append("".join(f"  {word}" for word in words if word))
        return text

    async def _delivery(self, connection: db.Connection, line: JsonObject) -> Text:
        found = await self._found(connection, "delivery", line, delivery=line["delivery"], attempt=line["attempt"])
        text = Text().append(f"{'':10}-> ", style="dim")
        text.append(f"{line['kind']} {found.get('target') or found.get('channel') or ''}  ")
        text.append(line["outcome"], style=_OUTCOMES.get(line["outcome"], "yellow"))
        answer = found.get("error") or (f"{found['status_code']}" if found.get("status_code") else None)
        words = [answer, f"{line['duration_ms']:.0f} ms", f"attempt {line['attempt']}" if line["attempt"] > 1 else None]
        text.append("".join(f"  {word}" for word in words if word))
        return text

    async def _found(self, connection: db.Connection, query: str, line: JsonObject, **parameters: object) -> JsonObject:
        return await db.row(connection, SQL[query], {"tenant": line.get("tenant"), **parameters}) or {}

    def _show(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)


def _begin(line: JsonObject) -> Text:
    return Text().append(f"{_time(line).astimezone():%H:%M:%S}  ", style="dim")


def _problem(line: JsonObject) -> Text:
    """Return a warning or an error of any process, with its fields."""
    text = _begin(line)
    text.append(f"{line['level']}: {line['message']}", style="bold red" if line["level"] != "warning" else "yellow")
    fields = {k: v for k, v in line.items() if k not in ("time", "level", "logger", "message", "request_id", "exception")}
    text.append("".join(f"  {name}={value}" for name, value in fields.items()))
    if exception := line.get("exception"):
        text.append(f"\n{'':10}{str(exception).strip().splitlines()[-1]}")
    return text


def _time(line: JsonObject) -> datetime:
    return datetime.fromisoformat(line["time"])


def _uuid(value: Any) -> UUID | None:
    return UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else None


def _short(event: object) -> str:
    """Return an id that fits a line: its beginning, which is its time, and the end, which differs."""
    return f"{str(event)[:4]}..{str(event)[-4:]}"
