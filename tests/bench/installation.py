"""The database of a round: a clone of one that is prepared once, so that every round begins alike."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import clock, db, embedded, migrate
from signalops.config import Settings
from signalops.secret_key import ensure_key
from signalops.types import TenantId
from tests.bench import events
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant

TENANTS = 50
KEYS = 10
"""Tenants whose keys the load is sent with: each costs an API process a quarter of a second when it is first seen."""


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
    """A PostgreSQL with prepared databases to be cloned. On the embedded one they stay until SQL or benches change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        ensure_key(settings)
        self._made = ExitStack()
        self._admin = self._made.enter_context(psycopg.connect(db.admin_url(settings), autocommit=True))
        self._prefix = f"so_bench_{_digest()}"
        self._drop_outdated()

    def migrated(self) -> str:
        """Return the name of a migrated database without rows."""
        return self.prepared("migrated", _migrate)

    def seed(self) -> str:
        """Return the name of the database that rounds without a backlog begin with."""
        return self.prepared("seed", _seed)

    def prepared(
        self, name: str, *steps: Callable[["Installation"], None], template: str = "template1", is_kept: bool = True
    ) -> str:
        """Return the name of the database that some steps make of another one; it is made unless it is there."""
        database = f"{self._prefix}_{name}"
        began, how = time.monotonic(), "kept from before"
        if not is_kept:
            self._drop(database)  # an interrupted run may have left it
        if database not in self._databases():
            draft = f"so_bench_{secrets.token_hex(4)}"
            self._create(draft, template)
            try:
                with self._open(draft) as home:
                    for step in steps:
                        step(home)
                    home.connection.execute("vacuum analyze")
            except BaseException:
                self._drop(draft)
                raise
            self._admin.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(draft), sql.Identifier(database)))
            how = f"made in {time.monotonic() - began:.0f} s"
        (size,) = self._admin.execute("select pg_size_pretty(pg_database_size(%s))", [database]).fetchone() or (None,)
        print(f"database    {name}: {size}, {how}", flush=True)
        if not is_kept or self._settings.database_url:
            self._made.callback(self._drop, database)
        return database

    @contextmanager
    def clone(self, template: str) -> Iterator[Installation]:
        """Clone a database, checkpoint, and drop the clone at the end."""
        name = f"so_bench_{secrets.token_hex(4)}"
        self._create(name, template)
        try:
            with self._open(name) as home:
                home.connection.execute("checkpoint")
                yield home
        finally:
            self._drop(name)

    def setting(self, name: str) -> str:
        """Return a setting of the server."""
        row = self._admin.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])

    def close(self) -> None:
        """Drop the databases that are not reused."""
        self._made.close()

    @contextmanager
    def _open(self, name: str) -> Iterator[Installation]:
        url = make_conninfo(db.admin_url(self._settings), dbname=name)
        settings = self._settings.model_copy(update={"database_url": SecretStr(url)})
        with psycopg.connect(url, autocommit=True) as connection:
            yield Installation(settings, connection, _tenants(connection))

    def _databases(self) -> set[str]:
        return {name for (name,) in self._admin.execute("select datname from pg_database").fetchall()}

    def _drop_outdated(self) -> None:
        for name in self._databases():
            if name.startswith("so_bench_") and not name.startswith(self._prefix) and not self._settings.database_url:
                self._drop(name)

    def _create(self, name: str, template: str) -> None:
        statement = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        self._admin.execute(statement)

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _migrate(home: Installation) -> None:
    migrate.upgrade(home.settings)


def _seed(home: Installation) -> None:
    """Migrate, and make tenants with rules and keys as the product makes them, by bcrypt at its cost."""
    _migrate(home)
    home.connection.execute("create schema bench; create table bench.keys (tenant_id uuid, slug text, key text)")
    for number in range(TENANTS):
        tenant = make_tenant(home.connection, f"tenant-{number}")
        home.connection.execute("insert into bench.keys values (%s, %s, %s)", [tenant.id, tenant.slug, tenant.key])
        for pattern in events.rules():
            make_rule(home.connection, tenant, pattern)


def _tenants(connection: psycopg.Connection) -> list[Tenant]:
    """Return the seeded tenants, if there are any."""
    if connection.execute("select to_regclass('bench.keys')").fetchone() == (None,):
        return []
    rows = connection.execute("select tenant_id, slug, key from bench.keys order by length(slug), slug").fetchall()
    return [Tenant(TenantId(tenant), slug, key) for tenant, slug, key in rows]


def _digest() -> str:
    """Return what changes with the SQL, with the benches and with the month, for which partitions are made."""
    digest = hashlib.sha256(f"{clock.now():%Y-%m}".encode())
    for file in sorted([*db.sql_folder().rglob("*.sql"), *Path(__file__).parent.glob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def track_commits(settings: Settings) -> None:
    """Have the embedded server remember when a transaction committed, for which it must be restarted once."""
    handle = embedded.make_server(settings.data, settings.embedded_version)
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        if connection.execute("show track_commit_timestamp").fetchone() == ("on",):
            return
        connection.execute("alter system set track_commit_timestamp = on")
    handle.stop()
    handle.ensure_postgres_running()
