"""What a person sees of `signalops up` on a terminal of 80 and 120 columns."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.prove.test_up import CURL, Installation
from tests.support.paths import ROOT

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A running `signalops up` on a pseudo-terminal."""

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self.text = ""

    def shows(self, pattern: str) -> str:
        """Read on until the lines match a pattern; return the line, without colours."""
        while not (found := re.search(f"(?m)^.*{pattern}.*$", COLOUR.sub("", self.text))):
            self.text += os.read(self._screen, 65536).decode(errors="replace").replace("\r\n", "\n")
        return found[0]


@contextmanager
def up_at(installation: Installation, columns: int, **environment: str) -> Iterator[Terminal]:
    """Run `signalops up` on a terminal of some columns; it is ended with Ctrl-C's signal."""
    screen, end = pty.openpty()
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in installation.environment.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "signalops", "up"],
        cwd=ROOT,
        stdout=end,
        stderr=end,
        env={**inherited, "TERM": "xterm-256color", **environment},
    )
    os.close(end)
    limit = threading.Timer(90, process.kill)
    limit.start()
    try:
        yield Terminal(screen)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        limit.cancel()
        os.close(screen)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_request_and_its_delivery_are_a_line_each(installation: Installation, columns: int) -> None:
    with up_at(installation, columns) as terminal:
        terminal.shows("counted ")  # the greeting walks one event through
        terminal.text = ""
        event = json.loads(installation.sh(CURL))["id"]
        line = terminal.shows("POST /api/events")
        assert re.fullmatch(rf"\d\d:\d\d:\d\d  POST /api/events  202  user\.signup  acme  {event[:4]}\.\.{event[-4:]}", line)
        assert re.fullmatch(r" {10}-> email team@acme\.example  sent  250  \d+ ms", terminal.shows("-> email"))
        terminal.shows("mail to team@acme.example")
        installation.sh(CURL.replace('"type"', '"typ"'))
        assert "POST /api/events  422  invalid  acme" in terminal.shows("  422  ")
        installation.sh(CURL.replace('"email"', '"mail"'))
        assert "misconfigured" in terminal.shows("-> email .*misconfigured")
        assert "payload.email" in terminal.shows("payload.email"), "the whole error, in as many lines as it takes"
        terminal.shows("it is a dead letter")
        assert COLOUR.search(terminal.text)
        plain = COLOUR.sub("", terminal.text)
        assert "{" not in plain.replace("{}", "")  # no log line of a machine
        requests = [line for line in plain.splitlines() if re.match(r"\d\d:\d\d:\d\d  | {10}-> ", line)]
        assert len(requests) >= 3
        assert max(map(len, requests)) <= columns


def test_without_colours_and_with_the_machines_lines_in_a_file(installation: Installation) -> None:
    with up_at(installation, 100, NO_COLOR="1") as terminal:
        terminal.shows("counted ")
        installation.sh("curl -s localhost:3000/nowhere")
        terminal.shows("GET /nowhere  404  not-found")
        assert not COLOUR.search(terminal.text)
    lines = (Path(installation.environment["SIGNALOPS_DATA"]) / "log" / "api.log").read_text().splitlines()
    answered = [json.loads(line) for line in lines if "request.answered" in line]
    assert ("GET", "/nowhere", 404) in [(line["method"], line["path"], line["status"]) for line in answered]
