"""What is printed for people: ids whole, a tenant's text as it is, and no password among the arguments."""

import os
import pty
import subprocess
import sys
import termios
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from signalops import clock, db
from signalops.cli.inspect import _tree
from signalops.cli.output import console
from signalops.config import Settings
from tests.support.command import Run
from tests.support.rules import make_rule
from tests.support.tenants import Tenant

MARKUP = "x [/y] [bold]z :smile:"


def test_a_name_that_looks_like_markup_is_shown_as_it_is(signalops: Run, acme: Tenant, owner: psycopg.Connection) -> None:
    make_rule(owner, acme, {"type": ["a"]})
    owner.execute("update signalops.rules set name = %s", [MARKUP])
    done = signalops("rule", "list", "--tenant", acme.slug)
    assert done.code == 0
    assert MARKUP in done.out


def test_a_path_whose_names_look_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    done = {"processedAt": clock.now(), "job": 1, "worker": "w[/]", "error": "[/e]", "rulesEvaluated": 1, "rulesetVersion": 1}
    attempt = {"attempt": 1, "startedAt": "now", "durationMs": 1, "outcome": "misconfigured", "statusCode": 500, "error": MARKUP}
    delivery = {"id": "d", "channel": {"kind": "email"}, "status": "dead", "attemptLog": [attempt]}
    shown = {"type": "[/t]", "id": "i", "tenant": "acme", "status": "dead", "receivedAt": clock.now(), "batch": 1}
    shown |= {"processing": done, "matches": [{"name": MARKUP, "version": 1, "outcome": "notified"}], "deliveries": [delivery]}
    console().print(_tree(shown | {"usage": {"period": "2026-11", "accepted": 1, "processed": 1}}))
    out = capsys.readouterr().out
    assert out.count(MARKUP) == 2
    assert all(text in out for text in ("[/t] i of acme", "dead: [/e]", "worker w[/]"))


def test_long_text_loses_nothing_on_a_narrow_terminal(settings: Settings, acme: Tenant, owner: psycopg.Connection) -> None:
    """As on a terminal of 80 columns; the other columns are folded, and lose nothing."""
    make_rule(owner, acme, {"type": ["user.signup"], "payload": {"a_long_field": ["a long value " * 10]}})
    environment = {**os.environ, "DATABASE_URL": db.admin_url(settings), "COLUMNS": "80", "TERM": "xterm"}
    shown = _on_terminal([sys.executable, "-m", "signalops", "rule", "list", "--tenant", acme.slug], environment)
    assert shown.replace("\r\n", " ").count("long") == 11  # of the field and ten times of its value
    assert "…" not in shown


def _on_terminal(command: list[str], environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        limit = threading.Timer(20, process.kill)
        limit.start()
        shown = b""
        try:
            while some := os.read(ours, 65536):
                shown += some
        except OSError:  # Linux's way to say that the other end is closed
            pass
        limit.cancel()
    os.close(ours)
    return shown.decode()


def test_psql_has_no_password_among_its_arguments(
    command: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:se%20krit@h:1/d?sslmode=require")
    done = command("psql", "-c", "select 1")
    password, conninfo, *rest = done.out.splitlines()
    assert password == "se krit"
    assert conninfo_to_dict(conninfo) == {"user": "u", "host": "h", "port": "1", "dbname": "d", "sslmode": "require"}
    assert rest == ["-c", "select 1"]


def test_psql_opens_the_database(signalops: Run, settings: Settings) -> None:
    done = signalops("psql", "-Atc", "select current_database()")
    assert done.out.strip() == conninfo_to_dict(db.admin_url(settings))["dbname"]


def test_a_url_without_a_password_has_none() -> None:
    conninfo, password = db.without_password("postgresql://u@h/d")
    assert conninfo_to_dict(conninfo) == {"user": "u", "host": "h", "dbname": "d"}
    assert password is None
