"""Lines as a person at a terminal sees them, on a pseudo-terminal; and as a machine reads them, in a pipe."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

PROGRAM = """
import logging
from signalops import telemetry, logs
from signalops.config import Settings
logs.install(Settings(log_format={form!r}))
telemetry.subscribe(logs.lines_of("all"))
fields = dict(method="POST", path="/", status=202, reason=None, duration_ms=1.25, tenant=None, request_id="c")
telemetry.emit("request.answered", operation="storeEvent", **fields)
logging.getLogger("elsewhere").warning("it said %s", "\\x1b[31mred\\x1b[0m\\u202eevil")
try:
    raise OSError("broken \\x1b[2J pipe")
except OSError:
    logging.getLogger("elsewhere").exception("it failed")
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def at_a_terminal(form: str, columns: int) -> str:
    """Run the program with a terminal as its standard error; return what it wrote there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "NO_COLOR": ""}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(form=form)], stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(20) == 0
    return written.decode()


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("form", ["auto", "text"])
def test_colours_are_colours_and_what_others_sent_is_text(form: str, columns: int) -> None:
    written = at_a_terminal(form, columns)
    assert COLOUR.search(written), "it is coloured"
    seen = COLOUR.sub("", written)
    assert "\x1b" not in seen, "and nothing but colours reaches the terminal"
    assert r"it said \x1b[31mred\x1b[0m\u202eevil" in seen
    assert r"\x1b[2m" not in seen, "no colour is written out as text"
    answered = next(line for line in seen.splitlines() if "request.answered" in line)
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z) \[info +\] request\.answered ", answered)
    assert {"operation=storeEvent", "status=202", "duration_ms=1.25"} <= set(answered.split())
    assert r"OSError: broken \x1b[2J pipe" in seen
    assert seen.count("it failed") == 1


def test_a_pipe_gets_json_without_colours() -> None:
    program = [sys.executable, "-c", PROGRAM.format(form="auto")]
    lines = subprocess.run(program, capture_output=True, check=True, timeout=20, text=True).stderr.splitlines()
    assert [json.loads(line)["message"] for line in lines] == [
        "request.answered",
        r"it said \x1b[31mred\x1b[0m\u202eevil",
        "it failed",
    ]


def test_a_terminal_gets_json_where_that_is_asked_for() -> None:
    assert all(json.loads(line)["level"] for line in at_a_terminal("json", 80).splitlines())
