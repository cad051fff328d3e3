"""Databases of the tests: clones of one migrated template, each acquired by one test at a time and cleaned for the next.

Making a clone takes 80 ms, and a new session in it loads the catalogs first; cleaning one takes about 12 ms.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from pydantic import SecretStr

from signalops import clock, db, embedded, migrate
from signalops.config import Settings

_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30
_VERSION = int(os.environ.get("SIGNALOPS_EMBEDDED_VERSION", "18"))
_ADDED = Path(__file__).with_name("databases.sql")
_LOCK = 7_303_014_519
"""An advisory lock of ours: one process makes the template, the others wait for it."""
_MAX_BYTES = 4 * 2**20
"""A database whose tables are larger is dropped: deleting thousands of rows takes longer than a new clone."""
_MAX_USES = 50
"""Dead rows and index entries of so many tests are not noticed yet."""

_END_SESSIONS = (
    "select pg_terminate_backend(pid) from pg_stat_activity "
    "where datname = %s and pid is distinct from %s::int and backend_type = 'client backend'"
)

# What DISCARD ALL does, except for prepared statements: psycopg would not know that they are gone.
_FORGET = """
close all; set session authorization default; reset role; reset all; unlisten *; select pg_advisory_unlock_all();
discard temp; discard sequences"""


class Databases:
    """The pool of databases of this process; `close` drops them."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._admin = psycopg.connect(server, autocommit=True)
        self._clean: list[str] = []
        self._owners: dict[str, psycopg.Connection] = {}
        self._uses: dict[str, int] = {}

    @property
    def admin(self) -> psycopg.Connection:
        """A superuser's session; another one after a test whose time was up while a statement was running there."""
        if not _is_alive(self._admin):
            self._admin.close()
            self._admin = psycopg.connect(self.server, autocommit=True)
        return self._admin

    def acquire(self) -> str:
        """Return the name of a database that is as migrated, with no other session."""
        name = self._clean.pop() if self._clean else self._clone()
        self._uses[name] = self._uses.get(name, 0) + 1
        return name

    def owner(self, name: str) -> psycopg.Connection:
        """Return a superuser's session of a database. It outlives the tests: a new one would load the catalogs again."""
        owner = self._owners.get(name)
        if owner is None or not _answers(owner):
            owner = psycopg.connect(make_conninfo(self.server, dbname=name), autocommit=True)
            self._owners[name] = owner
        return owner

    def release(self, name: str) -> None:
        """End the sessions of a database, and remove what a test left there; drop it if that can't be done."""
        owner = self._owners.get(name)
        if owner is not None and _is_alive(owner):
            owner.rollback()
        self._end_sessions(name)
        if self._uses[name] < _MAX_USES and self._is_clean_again(name):
            self._clean.append(name)
        else:
            self._drop(name)

    def keep(self, name: str) -> None:
        """Let a database stay on the server, to be looked at."""
        self._close_owner(name)
        del self._uses[name]

    def close(self) -> None:
        """Drop every database, except those of failed tests."""
        for name in list(self._uses):
            self._drop(name)
        self._admin.close()

    @contextmanager
    def acquired(self) -> Iterator[Settings]:
        """Acquire a database for longer than a test; yield the settings of an installation there."""
        name = self.acquire()
        yield settings_for(self.server, name)
        self.release(name)

    @contextmanager
    def empty(self, template: str = "template1") -> Iterator[Settings]:
        """Make a database of its own, empty unless it is a clone; yield the settings of an installation there, and drop it."""
        name = _new_name()
        _create(self.admin, name, template)
        try:
            yield settings_for(self.server, name)
        finally:
            _drop(self.admin, name)

    @cached_property
    def template(self) -> str:
        """The name of the migrated database without rows."""
        return _template(self.admin, self.server)

    def _clone(self) -> str:
        name = _new_name()
        try:
            _create(self.admin, name, self.template)
        except psycopg.errors.InvalidCatalogName:  # another checkout on this server has replaced the template by its own
            del self.template
            _create(self.admin, name, self.template)
        return name

    def _end_sessions(self, name: str) -> None:
        """End the sessions of a database; return when none is left. (The server's own wait looks every 100 ms only.)"""
        until = time.monotonic() + 10
        owner = self._owners.get(name)
        own = owner.info.backend_pid if owner and not owner.closed else None
        while self.admin.execute(_END_SESSIONS, [name, own]).rowcount:
            assert time.monotonic() < until, f"sessions of {name} do not end"
            time.sleep(0.001)

    def _is_clean_again(self, name: str) -> bool:
        owner = self.owner(name)
        owner.execute(_FORGET)
        with owner.transaction():
            owner.execute("set local synchronous_commit = off")
            (is_clean,) = owner.execute("select testing.clean(%s)", [_MAX_BYTES]).fetchone() or (False,)
        return bool(is_clean)

    def _close_owner(self, name: str) -> None:
        if owner := self._owners.pop(name, None):
            owner.close()

    def _drop(self, name: str) -> None:
        self._close_owner(name)
        del self._uses[name]
        _drop(self.admin, name)


def memory() -> Path | None:
    """Return a folder in memory, if there is one with room."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if has_room else None


def server_url() -> str:
    """Return the URL of a superuser's login: DATABASE_URL, or an embedded server whose data stays between runs."""
    if url := os.environ.get("DATABASE_URL"):
        return url
    return str(embedded.make_server(data_folder(), _VERSION).get_uri())


def data_folder() -> Path:
    """Return the folder of the embedded server: in memory, where there is room, by the checkout's own name.

    A database is hundreds of files, and each clone a copy: on disk 533 tests took 192 s, in memory 114 s.
    """
    if folder := memory():
        return folder / f"signalops-{hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]}"
    return Path(".data/test")


def _answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


def _is_alive(connection: psycopg.Connection) -> bool:
    return not connection.closed and connection.info.transaction_status != TransactionStatus.ACTIVE


def settings_for(server: str, database: str) -> Settings:
    """Return the default settings with a database of the server."""
    return Settings(database_url=SecretStr(make_conninfo(server, dbname=database)))


def _template(admin: psycopg.Connection, server: str) -> str:
    """Return the name of the migrated database without rows, which the first process makes that needs it.

    It stays on the server for the next run: its name is made of the SQL that it is made of. Templates of other SQL are dropped.
    """
    name = f"so_template_{_digest()}"
    admin.execute("select pg_advisory_lock(%s)", [_LOCK])
    try:
        others = admin.execute("select datname from pg_database where datname like 'so_template_%%'").fetchall()
        if (name,) not in others:
            for (other,) in others:
                _drop(admin, other)
            _make_template(admin, server, name)
    finally:
        admin.execute("select pg_advisory_unlock(%s)", [_LOCK])
    return name


def drop_leftovers(server: str) -> None:
    """Drop the databases of failed tests of earlier runs, and of runs that were killed: of processes that are gone."""
    with psycopg.connect(server, autocommit=True) as admin:
        databases = admin.execute("select datname, split_part(datname, '_', 2) from pg_database where datname like 'so\\_%'")
        for name, process in databases.fetchall():
            if process.isdecimal() and not psutil.pid_exists(int(process)):
                _drop(admin, name)


def _new_name() -> str:
    return f"so_{os.getpid()}_{secrets.token_hex(4)}"


def _make_template(admin: psycopg.Connection, server: str, name: str) -> None:
    draft = _new_name()
    _create(admin, draft, "template1")
    try:
        settings = settings_for(server, draft)
        migrate.upgrade(settings)
        with psycopg.connect(db.admin_url(settings)) as connection:
            connection.execute(_ADDED.read_bytes())
        admin.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(draft), sql.Identifier(name)))
    except BaseException:
        _drop(admin, draft)
        raise


def _digest() -> str:
    """Return what changes whenever the template would: with the SQL, and with the month, for which partitions are made."""
    from_files = hashlib.sha256()
    for file in sorted([*db.sql_folder().rglob("*.sql"), _ADDED, *Path(migrate.__file__).parent.glob("*.py")]):
        from_files.update(file.read_bytes())
    from_files.update(f"{clock.now():%Y-%m}".encode())
    return from_files.hexdigest()[:12]


def _create(admin: psycopg.Connection, name: str, template: str) -> None:
    admin.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def main() -> None:
    """Open psql on a database of the tests' server: `python -m tests.support.databases NAME`."""
    url, password = db.without_password(make_conninfo(server_url(), dbname=sys.argv[1]))
    program = embedded.program(_VERSION, "psql") if not os.environ.get("DATABASE_URL") else "psql"
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    sys.exit(subprocess.run([program, url], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
