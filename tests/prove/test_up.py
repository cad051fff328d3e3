"""A stranger's first minutes: `signalops up`, the README's curl, the mail, the tables; Ctrl-C; and the next day again."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from signalops import db
from signalops.config import ON_ONE_MACHINE, Settings
from tests.support.paths import ROOT

CURL = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("curl -X POST"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Installation:
    """A data folder and ports of its own, and the commands run with them."""

    def __init__(self, data: Path) -> None:
        self.port = free_port()
        ports = {"SIGNALOPS_PORT": self.port, "SIGNALOPS_SMTP_PORT": free_port(), "SIGNALOPS_SINK_PORT": free_port()}
        outside = {name: value for name, value in os.environ.items() if name not in ON_ONE_MACHINE}
        self.environment = {**outside, **{name: str(port) for name, port in ports.items()}}
        self.environment |= {"SIGNALOPS_DATA": str(data), "PYTHONUNBUFFERED": "1"}

    def signalops(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "signalops", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sh(self, command: str) -> str:
        """Run a command of the README as written, except the port."""
        command = command.replace("localhost:3000", f"localhost:{self.port}")
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True).stdout

    @contextmanager
    def up(self) -> Iterator["Up"]:
        command = [sys.executable, "-m", "signalops", "up"]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            limit = threading.Timer(90, process.terminate)  # reading what it prints has no limit of its own
            limit.start()
            try:
                yield Up(process)
            finally:
                limit.cancel()
                process.terminate()  # not killed: what it started has to end with it


class Up:
    """The running command, and what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []

    def says(self, words: str) -> str:
        """Read on until a line holds some words; return it. Fail when it ends before."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return line
        pytest.fail(f"`signalops up` ended without saying {words!r}:\n{''.join(self.lines)}")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Press Ctrl-C, or give another signal; check that it ends cleanly, with all that it started."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        assert len(children) >= 2
        self.process.send_signal(number)
        self.says("Stopped.")
        assert self.process.wait(20) == 0
        assert not psutil.wait_procs(children, timeout=10)[1]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data")


def test_a_strangers_first_minutes(installation: Installation) -> None:
    with installation.up() as up:
        up.says("SignalOps is up at")
        up.says("python -m signalops event trace --last")
        up.says("counted ")  # of the greeting
        assert "revoke it" not in "".join(up.lines)
        answer = json.loads(installation.sh(CURL))
        assert answer["status"] == "accepted"
        assert "user@example.com" in up.says("mail to team@acme.example")

        path = json.loads(installation.signalops("event", "trace", answer["id"], "--json"))
        assert path["status"] == "processed"
        assert [match["name"] for match in path["matches"]] == ["greet new users"]
        assert path["processing"]["rulesEvaluated"] == 2
        assert [d["channel"]["kind"] for d in path["deliveries"]] == ["email"]

        # A rule of the first grammar, and the signed webhook.
        installation.sh(CURL.replace('"user.signup"', '"order.paid"').replace('"email":"user@example.com"', '"currency":"EUR"'))
        assert "webhook-signature" in up.says("webhook to /hooks/shop")
        usage = json.loads(installation.signalops("usage", "show", "--tenant", "acme", "--json"))
        assert (usage["accepted"], usage["processed"]) == (3, 3)
        rows = installation.signalops("psql", "-Atc", "select type, status from signalops.event_status order by id")
        assert rows.split() == ["user.signup|processed", "user.signup|processed", "order.paid|processed"]
        walked = installation.signalops("smoke")
        assert [line.split()[2] for line in walked.splitlines()] == ["received", "answered", "processed", "delivered", "counted"]
        assert "WRONG" not in installation.signalops("doctor")
        up.interrupt()

    with installation.up() as up:
        up.says("counted ")
        usage_report = json.loads(installation.signalops("usage", "show", "--tenant", "acme", "--json"))
        assert usage_report["accepted"] == 5
        up.interrupt()


def worker_of(process: int) -> psutil.Process:
    """Return the worker that `signalops up` has started: its API may answer before the worker's program has been loaded."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with suppress(psutil.Error):
            for child in psutil.Process(process).children(recursive=True):
                if "signalops.queue.run" in child.cmdline():
                    return child
        time.sleep(0.05)
    raise AssertionError("there is no worker")


def test_a_part_that_dies_is_started_again(installation: Installation) -> None:
    with installation.up() as up:
        up.says("SignalOps is up at")
        worker_of(up.process.pid).kill()
        up.says("worker ended with exit code -9")
        installation.sh(CURL)
        up.says("mail to team@acme.example")
        up.interrupt()


def test_on_a_server_of_ones_own_the_open_key_is_said_and_sigterm_ends_all(
    installation: Installation, settings: Settings
) -> None:
    key = Fernet.generate_key().decode()
    installation.environment |= {"DATABASE_URL": db.admin_url(settings), "SIGNALOPS_SECRET_KEY": key}
    with installation.up() as up:
        up.says("The documentation's key opens the tenant acme on this server: revoke it before others can reach it.")
        up.says("SignalOps is up at")
        up.interrupt(signal.SIGTERM)
