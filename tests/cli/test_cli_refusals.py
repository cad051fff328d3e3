"""Errors of the command line are one sentence, without a traceback and without a password."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from signalops import migrate
from signalops.config import Settings
from signalops.errors import Unusable
from tests.support.command import Run
from tests.support.tenants import Tenant

ONE_RULE = ("rule", "create", "--tenant", "acme", "--channel", "ops", "--pattern", '{"type": ["a"]}')


@pytest.mark.parametrize("arguments", [["tenant", "list"], ["psql", "-c", "select 1"], ["serve"]])
def test_a_url_that_is_none_is_not_quoted(command: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres//u:sekrit@h/db")
    done = command(*arguments)
    sentence = "signalops: DATABASE_URL is not a PostgreSQL URL: write postgresql://user:password@host/database."
    assert done == (1, "", sentence)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SIGNALOPS_WORKER_CONCURRENCY", "0", "SIGNALOPS_WORKER_CONCURRENCY can't be used: must be at least 1"),
        ("SIGNALOPS_RETRY_SCHEDULE", "[5, -]", "write a list as JSON"),
        ("SIGNALOPS_RETRY_SCHEDULE", '["soon"]', "SIGNALOPS_RETRY_SCHEDULE can't be used: must be a number"),
    ],
)
def test_a_setting_that_cant_be_used_is_named(
    command: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = command("tenant", "list")
    assert done.code == 1
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_what_is_refused_is_named(signalops: Run, acme: Tenant, owner: psycopg.Connection) -> None:
    assert "name: must have at least 1 character" in signalops(*ONE_RULE, "").err
    owner.execute("alter table signalops.api_keys add constraint short_label check (length(label) < 6)")
    done = signalops("key", "create", "--tenant", acme.slug, "--label", "longer")
    assert done.code == 1
    assert done.err.startswith("signalops: PostgreSQL refuses this (")
    assert "label" in done.err
    assert len(done.err.splitlines()) == 1
    assert signalops("key", "create", "--tenant", acme.slug, "--label", "first").code == 0


def test_roles_that_are_missing_are_made_by_migrate(settings: Settings, owner: psycopg.Connection) -> None:
    """The roles of the other tests can't be dropped; a login that is none of them is refused in the same words."""
    assert settings.database_url
    with (
        pytest.raises(Unusable, match="run `signalops migrate` first"),
        migrate.connect(make_conninfo(settings.database_url.get_secret_value(), options="-c role=signalops_nobody")),
    ):
        pytest.fail("it was let in")


def test_an_empty_database_is_filled_by_migrate(
    command: Run, server: str, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sql.Identifier("so_empty_of_cli")
    admin.execute(sql.SQL("create database {}").format(name))
    try:
        monkeypatch.setenv("DATABASE_URL", make_conninfo(server, dbname="so_empty_of_cli"))
        assert "run `signalops migrate` first" in command("serve").err
    finally:
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "pattern": '{"type": ["a"]}',
        "fits": '{"type": "a"}',
        "other": '{"type": "b"}',
        "broken": '{"type": ',
        "numbers": "[1, 2]",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["pattern.json", "fits.json"], 0),
        (["pattern.json", "other.json"], 1),
        (["nope.json", "fits.json"], 2),
        (["pattern.json", "nope.json"], 2),
        (["pattern.json", "numbers.json"], 2),
        (["pattern.json", "binary.json"], 2),
        (["broken.json", "fits.json"], 2),
        (["pattern.json"], 2),
        (["--cases", "nope.json"], 2),
        (["--cases", "broken.json"], 2),
        (["--cases", "numbers.json"], 2),
        (["--cases", "pattern.json"], 2),
    ],
)
def test_match_tells_no_match_from_not_understood(command: Run, arguments: list[str], code: int) -> None:
    done = command("rule", "match", *arguments)
    assert done.code == code, done
    assert bool(done.err) == (code == 2)
    assert "Traceback" not in done.err
