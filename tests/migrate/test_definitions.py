"""The current definitions: applied by checksum, dropped when no file has them, compared by the doctor."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from signalops import db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.migrate import apply, definitions

FUNCTION = """-- A file of the tests, with one function.

create or replace function signalops.novelty() returns integer
language sql as $$ select 1 $$;
comment on function signalops.novelty is 'Of the tests.';
"""
VIEW = """
create or replace view ops.novelties as select 1 as one;
comment on view ops.novelties is 'Of the tests.';
"""
OBJECTS = """
  select 'function ' || p.oid::regproc from pg_proc p
  where p.pronamespace in ('signalops'::regnamespace, 'ops'::regnamespace) and prokind = 'f'
  union all select 'view ' || c.oid::regclass from pg_class c
  where c.relnamespace in ('signalops'::regnamespace, 'ops'::regnamespace) and c.relkind = 'v'
  union all select 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where c.relnamespace = 'signalops'::regnamespace and not t.tgisinternal and not c.relispartition
"""


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder sql/ of a release to come, which the migrator takes for its own."""
    folder = tmp_path / "sql"
    shutil.copytree(db.sql_folder(), folder)
    monkeypatch.setattr(db, "sql_folder", lambda: folder)
    forget()
    yield folder
    forget()


def forget() -> None:
    """Have the migrator read its files again."""
    definitions.statements.cache_clear()
    definitions.checksum.cache_clear()


def add(folder: Path, text: str, name: str = "novelty.sql") -> None:
    (folder / "functions" / name).write_text(text)
    forget()


def value(owner: psycopg.Connection, query: str) -> object:
    row = owner.execute(query.encode()).fetchone()
    return row and row[0]


def test_each_object_is_defined_in_one_file(owner: psycopg.Connection) -> None:
    defined = [s.defines for s in definitions.statements() if s.defines]
    assert len(defined) == len(set(defined))
    found = {name for (name,) in owner.execute(OBJECTS.encode())}
    assert len(found) > 200
    assert found == {name for name in defined if " procrastinate." not in name and not name.startswith("procedure")}


def test_a_changed_function_reaches_a_running_installation(settings: Settings, owner: psycopg.Connection, sql: Path) -> None:
    add(sql, FUNCTION)
    with pytest.raises(Unusable, match="functions of another release than this code: run `signalops migrate`"):
        migrate.require_current(settings, "api")
    done = migrate.upgrade(settings)
    assert (done.migrations, done.definitions.statements) == ([], 2)
    migrate.require_current(settings, "api")
    add(sql, FUNCTION.replace("select 1", "select 2"))
    assert migrate.upgrade(settings).definitions.statements == 1
    assert value(owner, "select signalops.novelty()") == 2
    assert not migrate.upgrade(settings)


def test_what_no_file_defines_any_more_goes_when_no_older_process_is_left(
    settings: Settings, owner: psycopg.Connection, sql: Path
) -> None:
    before = definitions.checksum()
    add(sql, FUNCTION + VIEW)
    migrate.upgrade(settings)
    (sql / "functions" / "novelty.sql").unlink()
    add(
        sql,
        FUNCTION.replace("novelty()", "novelty_v2(of_whom integer default 0)").replace(
            "function signalops.novelty ", "function signalops.novelty_v2 "
        ),
        "later.sql",
    )
    assert migrate.upgrade(settings, "pre").definitions.dropped == []
    assert value(owner, "select signalops.novelty() + signalops.novelty_v2()") == 2
    assert before != definitions.checksum()
    assert migrate.upgrade(settings, "post").definitions.dropped == ["function signalops.novelty", "view ops.novelties"]
    assert value(owner, "select to_regproc('signalops.novelty') is null and to_regclass('ops.novelties') is null") is True
    served = owner.execute("select checksum from yoyo.definition_sets").fetchall()
    assert served == [(definitions.checksum(),)], "the releases before are served no longer"


def test_a_changed_signature_is_refused_and_changes_nothing(settings: Settings, owner: psycopg.Connection, sql: Path) -> None:
    add(sql, FUNCTION)
    migrate.upgrade(settings)
    for changed in (
        FUNCTION.replace("returns integer", "returns bigint"),
        FUNCTION.replace("novelty()", "novelty(of_whom integer)"),
    ):
        add(sql, changed)
        with pytest.raises(Unusable, match="another name"):
            migrate.upgrade(settings)
        assert value(owner, "select count(*) from pg_proc where proname = 'novelty'") == 1


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            "create or replace function signalops.may_delete(tenant uuid) returns boolean language sql as 'select true'",
            "was changed",
        ),
        ("drop view ops.alerts", "is missing"),
        ("drop policy own_tenant on signalops.matches", "is missing"),
        ("alter table signalops.plans disable trigger refuse_change", "was changed"),
        ("revoke select on signalops.events from signalops_worker", "was changed"),
        ("grant execute on function signalops.accept to signalops_operator", "was changed"),
        ("alter table signalops.rules no force row level security", "was changed"),
    ],
)
def test_what_somebody_changed_by_hand_is_found_and_put_right(
    settings: Settings, owner: psycopg.Connection, change: str, difference: str
) -> None:
    owner.execute("set search_path = pg_catalog")
    assert apply.differences(owner) == []
    owner.execute(change.encode())
    found = apply.differences(owner)
    assert len(found) == 1
    assert found[0].endswith(difference)
    assert migrate.upgrade(settings)
    assert apply.differences(owner) == []
    assert not migrate.upgrade(settings)


def test_what_a_dba_added_is_named_and_left_alone(settings: Settings, owner: psycopg.Connection) -> None:
    owner.execute("create view ops.mine as select 1 as one")
    owner.execute("set search_path = pg_catalog")
    assert apply.differences(owner) == ["view ops.mine is not ours"]
    assert not migrate.upgrade(settings)
    assert value(owner, "select one from ops.mine") == 1


def test_a_function_changes_while_its_tables_are_in_use(settings: Settings, owner: psycopg.Connection, sql: Path) -> None:
    """No statement that locks a table runs again: what has a row locked, or a table, is not waited for."""
    add(sql, FUNCTION)
    with owner.transaction():
        owner.execute("lock table signalops.tenants, signalops.events, ops.alerts in access share mode")
        owner.execute("update signalops.plans set plan = plan where false")
        with ThreadPoolExecutor() as threads:
            assert threads.submit(migrate.upgrade, settings).result(timeout=20).definitions.statements == 2


def test_a_busy_view_is_given_up_after_the_time_limit(
    settings: Settings, owner: psycopg.Connection, sql: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_SESSION", apply._SESSION.replace("'10s'", "'100ms'"))
    file = sql / "functions" / "watch" / "ops" / "views" / "records.sql"
    file.write_text(file.read_text().replace("where a.raised_at is not null", "where a.raised_at is not null and true"))
    forget()
    with owner.transaction():
        owner.execute("select from ops.alerts")
        with pytest.raises(Unusable, match="lock timeout"):
            migrate.upgrade(settings)
    assert migrate.upgrade(settings).definitions.statements == 1


def test_statements_end_where_they_end() -> None:
    for statement in definitions.statements():
        assert statement.text.endswith(";") or statement.file == "grants.sql"
        assert re.match(r"(create|comment on|alter table|do|revoke|--)", statement.text), statement.text[:80]
