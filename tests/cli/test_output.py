"""What commands print for people: tables that keep numbers and ids whole, records, local times; JSON for scripts."""

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

from signalops import db
from signalops.config import Settings
from tests.support.command import Run
from tests.support.paths import ROOT
from tests.support.tenants import Tenant


def at_terminal(settings: Settings, columns: int, *arguments: str, zone: str = "Europe/Berlin") -> list[str]:
    """Run a command on a terminal of some columns; return its lines without colours."""
    screen, end = pty.openpty()
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "DATABASE_URL": db.admin_url(settings), "TZ": zone, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen([sys.executable, "-m", "signalops", *arguments], cwd=ROOT, env=environment, stdout=end, stderr=end)
    os.close(end)
    text = b""
    try:
        while part := os.read(screen, 65536):
            text += part
    except OSError:  # how Linux reports that the other end is closed
        pass
    finally:
        os.close(screen)
    assert process.wait(20) == 0, text
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).splitlines()


@pytest.fixture
def api_event(signalops: Run, acme: Tenant) -> str:
    """The id of an event of acme."""
    return str(signalops("event", "send", "user.signup", "--tenant", acme.slug, "--json").json["id"])


@pytest.mark.parametrize("columns", [80, 120])
def test_a_list_keeps_ids_and_times_whole_at_any_width(settings: Settings, acme: Tenant, api_event: str, columns: int) -> None:
    lines = at_terminal(settings, columns, "event", "list", "--tenant", "acme", "--since", "1h")
    assert max(map(len, lines)) <= columns
    assert any(api_event in line for line in lines)
    assert any(re.search(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", line) for line in lines)
    assert at_terminal(settings, columns, "event", "list", "--tenant", "acme", "--until", "1h") == ["No events."]


def test_cells_are_prose_and_json_not_python(settings: Settings, acme: Tenant) -> None:
    lines = at_terminal(settings, 80, "key", "list", "--tenant", "acme")
    assert any("events:write, events:read" in line for line in lines)
    assert not any(word in line for line in lines for word in ("None", "True", "[", "'"))


def test_a_record_is_key_and_value_with_times_of_the_local_zone(settings: Settings, acme: Tenant) -> None:
    shown = json.loads("\n".join(at_terminal(settings, 80, "tenant", "show", "acme", "--json")))
    [created] = [line for line in at_terminal(settings, 80, "tenant", "show", "acme") if line.startswith("createdAt:")]
    [in_utc] = [line for line in at_terminal(settings, 80, "tenant", "show", "acme", "--utc") if line.startswith("createdAt:")]
    assert in_utc.split(maxsplit=1)[1] == shown["createdAt"][:19].replace("T", " ") + "Z"
    assert re.fullmatch(r"createdAt: +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", created)
    assert created.split()[2][:2] != in_utc.split()[2][:2]  # Berlin is an hour or two ahead


def test_an_empty_list_is_a_sentence(settings: Settings, acme: Tenant) -> None:
    assert at_terminal(settings, 80, "dead-letter", "list", "--tenant", "acme") == ["No dead letters."]
    assert at_terminal(settings, 80, "delivery", "list", "--tenant", "acme", "--json") == ["[]"]


def test_the_help_lists_every_command_by_section(settings: Settings) -> None:
    lines = at_terminal(settings, 80, "-h")
    assert {"Start:", "Events and notifications:", "Usage and billing:", "Tenants and access:", "Operations:"} <= set(lines)
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines if line.startswith("  "))
    assert re.fullmatch(r"signalops \d+\.\d+\.\d+", at_terminal(settings, 80, "--version")[0])
