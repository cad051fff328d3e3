"""The database of a round: a clone of one that is migrated and seeded once, so that every round begins alike."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db, embedded, migrate
from signalops.config import Settings
from signalops.send import keep_key
from tests.bench import events
from tests.people import Tenant, make_rule, make_tenant

TENANTS = 50


class Wrong(Exception):
    """What was measured is worth nothing: something was lost, refused or did not work."""


@dataclass(frozen=True)
class Installation:
    """A migrated database with its tenants, and a superuser's connection to it."""

    settings: Settings
    connection: psycopg.Connection
    tenants: list[Tenant]

    def value(self, query: str) -> Any:
        """Return the first column of the first row."""
        row = self.connection.execute(query.encode()).fetchone()
        return row and row[0]

    def postmaster(self) -> int | None:
        """Return the process id of the server, or None when it runs elsewhere."""
        try:
            parent = psutil.Process(self.connection.info.backend_pid).parent()
        except psutil.NoSuchProcess:
            return None
        return parent.pid if parent and parent.name().startswith("postgres") else None


class Server:
    """A PostgreSQL with a seeded database to be cloned; whatever is made on it is dropped again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        keep_key(settings)
        self._made = ExitStack()
        self._admin = self._made.enter_context(psycopg.connect(db.admin_url(settings), autocommit=True))
        self._tenants: list[Tenant] = []

    def seed(self) -> str:
        """Make the database that rounds without a backlog begin with; return its name."""
        name = self._made.enter_context(self._database(template="template1"))
        migrate.upgrade(self._at(name))
        with psycopg.connect(db.admin_url(self._at(name))) as connection:
            self._tenants = [make_tenant(connection, f"tenant-{number}") for number in range(TENANTS)]
            for tenant in self._tenants:
                for pattern in events.rules():
                    make_rule(connection, tenant, pattern)
        return name

    @contextmanager
    def clone(self, template: str) -> Iterator[Installation]:
        """Clone a database, checkpoint, and drop the clone at the end."""
        with self._database(template) as name:
            settings = self._at(name)
            with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
                connection.execute("checkpoint")
                yield Installation(settings, connection, self._tenants)

    def keep(self, template: str) -> Installation:
        """Clone a database, to stay until the end and be a template itself; close its connection before that."""
        settings = self._at(self._made.enter_context(self._database(template)))
        return Installation(settings, psycopg.connect(db.admin_url(settings), autocommit=True), self._tenants)

    def setting(self, name: str) -> str:
        """Return a setting of the server."""
        row = self._admin.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])

    def close(self) -> None:
        """Drop all that was made."""
        self._made.close()

    def _at(self, name: str) -> Settings:
        return self._settings.model_copy(
            update={"database_url": SecretStr(make_conninfo(db.admin_url(self._settings), dbname=name))}
        )

    @contextmanager
    def _database(self, template: str) -> Iterator[str]:
        name = f"so_bench_{secrets.token_hex(4)}"
        self._admin.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        try:
            yield name
        finally:
            self._admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def track_commits(settings: Settings) -> None:
    """Have the embedded server remember when a transaction committed, for which it must be started anew once."""
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        if connection.execute("show track_commit_timestamp").fetchone() == ("on",):
            return
        connection.execute("alter system set track_commit_timestamp = on")
    handle = embedded.server(settings.data, settings.embedded_version)
    handle.stop()
    handle.ensure_postgres_running()
