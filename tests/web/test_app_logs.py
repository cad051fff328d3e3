"""What real processes write: no line that somebody else made up, no secret, no payload; and still what a person needs."""

import asyncio
import io
import logging
import sys
from collections.abc import Iterator

import psycopg
import pytest

from signalops import logs
from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Client, running_process
from tests.support.tenants import Tenant

PLANTED = "planted-4711"
FORGED = "x\r\n2026-01-01 00:00:00,000 INFO signalops api.stopped\x1b[2J\u2028\u202e\x85y"


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the loggers of an installation write, in each form."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    factory, root = logging.getLogRecordFactory(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.install(Settings(log_format=request.param))
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(factory)


def test_a_line_can_not_be_forged(written: io.StringIO) -> None:
    tell = logs.lines_of("notable")
    tell("event.dead_lettered", {"tenant": "acme", "event": FORGED, "error": FORGED})
    tell("request.answered", {"operation": None, "status": 404, "reason": FORGED})
    logging.getLogger("uvicorn.error").warning("%s", FORGED)
    logging.getLogger("procrastinate").warning(FORGED)
    lines = written.getvalue().splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert r"\\r\\n2026-01-01" in lines[0]  # escaped for a person, and then for JSON


def test_a_traceback_shows_where_and_why_but_no_value(written: io.StringIO, owner: psycopg.Connection) -> None:
    for statement, shown in (
        ("select * from signalops.nothing_such", "UndefinedTable (42P01): relation"),
        (f"select '{PLANTED}'::int", "InvalidTextRepresentation (22P02)"),
        (f"do $$ begin raise unique_violation using detail = 'Key ({PLANTED})', message = 'twice'; end $$", "twice"),
    ):
        try:
            try:
                owner.execute(statement.encode())
            except psycopg.Error as error:
                raise ValueError(PLANTED + FORGED) from error
        except ValueError:
            logging.getLogger("signalops").exception("A bug.")
        text = written.getvalue()
        assert shown in text
        assert "test_app_logs.py" in text
        assert "ValueError" in text
        assert PLANTED not in text
    begun = [line for line in text.splitlines() if not line.startswith("    ")]
    assert len(begun) == 3
    assert all("A bug." in line and "error" in line for line in begun)


@pytest.mark.prove
async def test_a_process_tells_no_secret_and_no_payload(
    settings: Settings, acme: Tenant, owner: psycopg.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = {"type": "user.signup", "payload": {"word": PLANTED}}
    answers: list[Answer] = []
    async with running_process(settings) as api:
        answers += [await api.post(body, acme) for body in (secret, {**secret, "type": FORGED}, [PLANTED])]
        answers.append(await api.post(SIGNUP, x_api_key=f"so_live_{PLANTED}"))
        owner.execute("alter table signalops.inbox rename to inbox_away")
        answers.append(await api.post(secret, acme))
        owner.execute("alter table signalops.inbox_away rename to inbox")
        owner.execute("alter table signalops.silences rename to silences_away")
        await _bug(api, f"/api/silences?state={PLANTED}", acme)
        await _bug(api, "/api/silences", acme)
        owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'signalops api' and datname = current_database()"
        )
        answers.append(await api.post(secret, acme))
    output = "".join(capfd.readouterr())
    everything = output + "".join(answer.body.decode() for answer in answers)
    assert {answer.status for answer in answers} >= {202, 401, 422, 503}
    assert PLANTED not in everything
    assert acme.headers["x-api-key"] not in everything
    assert "events.flush_failed" in output
    assert "UndefinedTable (42P01)" in output


async def _bug(api: Client, path: str, tenant: Tenant) -> None:
    """Ask for what fails in a way that nobody foresaw: an answer of no document."""
    reader, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
    key = tenant.headers["x-api-key"]
    writer.write(f"GET {path} HTTP/1.0\r\nx-api-key: {key}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert PLANTED.encode() not in answer.partition(b"\r\n\r\n")[2]
