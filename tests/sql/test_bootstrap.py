"""The way of a DBA: a login that may create neither roles nor schemas migrates what `sql/bootstrap.sql` has prepared."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from tests.sql.test_migrations import MIGRATIONS

GRANT = "grant signalops_owner, signalops_api, signalops_worker, signalops_platform to {}"


@pytest.fixture
def dba(empty: Settings) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the empty database."""
    with psycopg.connect(db.admin_url(empty), autocommit=True) as connection:
        yield connection


@pytest.fixture
def modest(empty: Settings, admin: psycopg.Connection) -> Iterator[tuple[sql.Identifier, Settings]]:
    """A login without any right of its own, by name, and the settings of an installation that has only that login."""
    name, password = f"so_modest_{secrets.token_hex(4)}", secrets.token_hex(8)
    login = sql.Identifier(name)
    admin.execute(sql.SQL("create role {} login password {}").format(login, password))
    url = make_conninfo(db.admin_url(empty), user=name, password=password)
    yield login, empty.model_copy(update={"database_url": SecretStr(url)})
    admin.execute(sql.SQL("drop role {}").format(login))


def bootstrap(dba: psycopg.Connection) -> None:
    dba.execute((db.sql_folder() / "bootstrap.sql").read_bytes())


def test_after_a_dba_a_modest_login_migrates_up_and_down(
    dba: psycopg.Connection, modest: tuple[sql.Identifier, Settings]
) -> None:
    login, settings = modest
    bootstrap(dba)
    assert GRANT.format("APP_LOGIN") in (db.sql_folder() / "bootstrap.sql").read_text()
    dba.execute(sql.SQL(GRANT).format(login))
    assert migrate.upgrade(settings).migrations == [path.stem for path in MIGRATIONS]
    migrate.require_current(settings, "api")
    migrate.require_current(settings, "worker")
    assert not migrate.upgrade(settings)
    assert migrate.downgrade(settings) == [path.stem for path in MIGRATIONS][::-1]


@pytest.mark.parametrize("prepared", [False, True], ids=["nothing prepared", "no grant"])
def test_without_a_dba_a_modest_login_is_told_what_it_needs(
    dba: psycopg.Connection, modest: tuple[sql.Identifier, Settings], prepared: bool
) -> None:
    _, settings = modest
    if prepared:
        bootstrap(dba)
    with pytest.raises(Unusable, match=r"permission denied .*: have a DBA run sql/bootstrap\.sql"):
        migrate.upgrade(settings)


def test_a_second_bootstrap_does_nothing_and_needs_no_right(
    dba: psycopg.Connection, modest: tuple[sql.Identifier, Settings]
) -> None:
    _, settings = modest
    bootstrap(dba)
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        bootstrap(connection)


def test_a_url_s_login_is_made_for_the_processes_roles_alone(empty: Settings, dba: psycopg.Connection) -> None:
    own = SecretStr("postgresql://signalops_operator:secret@db.example/signalops")
    migrate.upgrade(empty.model_copy(update={"api_database_url": own}))
    query = "select rolcanlogin from pg_roles where rolname = 'signalops_operator'"
    assert dba.execute(query).fetchone() == (False,)
