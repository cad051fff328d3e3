"""The migrations: up, down and up again with rows in place; one at a time; and code and schema that fit each other."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import clock, db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from tests.sql import dump
from tests.support.rows import fill
from tests.support.tenant_rows import rows_of

EVERYTHING = "--exclude-table=yoyo.*"


def schema(settings: Settings) -> str:
    return dump.dump(db.admin_url(settings), EVERYTHING)


def run(settings: Settings, *statements: str) -> None:
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_up_down_and_up_again_with_rows_in_every_table(empty: Settings) -> None:
    run(empty, (db.sql_folder() / "bootstrap.sql").read_text())
    before = schema(empty)
    applied = migrate.upgrade(empty).migrations
    migrated = schema(empty)
    with psycopg.connect(db.admin_url(empty), autocommit=True) as owner:
        fill(owner, clock.new_id())
        for table in rows_of(clock.new_id(), clock.now()):
            assert owner.execute(f"select from signalops.{table}".encode()).rowcount == 1, table
        owner.execute("select signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', signalops.new_id()))")

    assert migrate.downgrade(empty) == applied[::-1]
    assert schema(empty) == before
    assert migrate.upgrade(empty).migrations == applied
    assert schema(empty) == migrated


def test_a_second_upgrade_does_nothing(settings: Settings) -> None:
    migrated = schema(settings)
    assert not migrate.upgrade(settings)
    assert schema(settings) == migrated


def test_two_migrators_at_once_both_succeed(empty: Settings) -> None:
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(migrate.upgrade, [empty, empty])
    assert sorted([first.migrations, second.migrations]) == [[], [path.stem for path in MIGRATIONS]]
    migrate.require_current(empty, "api")


MIGRATIONS = sorted(p for p in (db.sql_folder() / "migrations").glob("*.sql") if not p.name.endswith(".rollback.sql"))


def test_an_empty_database_is_refused_with_the_remedy(empty: Settings) -> None:
    with pytest.raises(Unusable, match="is empty: run `signalops migrate` first"):
        migrate.require_current(empty, "api")


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_database_that_was_rolled_back_counts_as_empty(settings: Settings, role: db.Role) -> None:
    migrate.upgrade(settings)  # a clone lacks the rights on the database itself
    migrate.require_current(settings, role)
    migrate.downgrade(settings)
    with pytest.raises(Unusable, match="is empty: run `signalops migrate` first"):
        migrate.require_current(settings, role)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "delete from yoyo._yoyo_migration where migration_id >= '0007'",
            r"older than this code \(missing 0007\.create-usage\): run `signalops migrate`",
        ),
        (
            "insert into yoyo._yoyo_migration (migration_hash, migration_id) values ('h', '9999.do-more')",
            r"newer than this code \(it has 9999\.do-more\): start the newer release",
        ),
    ],
)
def test_a_schema_of_another_release_is_refused_with_the_remedy(settings: Settings, change: str, sentence: str) -> None:
    run(settings, change)
    with pytest.raises(Unusable, match=sentence):
        migrate.require_current(settings, "worker")


def test_a_database_of_other_migrations_is_refused_with_the_remedy(empty: Settings) -> None:
    migrate.upgrade(empty)
    run(
        empty,
        "update yoyo._yoyo_migration set migration_id = '0001.lay-ground', migration_hash = 'h' where migration_id like '0001%'",
    )
    with pytest.raises(Unusable, match=r"begins with the migration 0001\.lay-ground, .* begin with a new database"):
        migrate.upgrade(empty)


def test_a_server_that_is_away_is_refused_with_the_remedy(settings: Settings) -> None:
    away = make_conninfo(db.admin_url(settings), dbname="so_no_such_database")
    gone = settings.model_copy(update={"database_url": SecretStr(away)})
    for action in (lambda: migrate.require_current(gone, "api"), lambda: migrate.upgrade(gone)):
        with pytest.raises(Unusable, match=r"so_no_such_database.*check DATABASE_URL"):
            action()


def test_the_dump_for_reading_is_true(settings: Settings, owner: psycopg.Connection) -> None:
    if owner.info.server_version // 10_000 != dump.VERSION:
        pytest.skip(f"sql/schema.sql is written from PostgreSQL {dump.VERSION}")
    assert dump.FILE.read_text(encoding="utf-8") == dump.readable(db.admin_url(settings)), (
        "sql/schema.sql is not what migrations and functions make: run `python -m tests.sql.dump`"
    )
    assert dump.CATALOGUE.read_text(encoding="utf-8") == dump.catalogue(db.admin_url(settings))


def test_partitions_reach_ahead_and_take_rows_at_their_edges(owner: psycopg.Connection) -> None:
    tenant = clock.new_id()
    months = owner.execute("select generate_series(0, 3), date_trunc('month', now(), 'UTC')").fetchall()
    for ahead, month in months:
        for edge in ("interval '0'", "interval '1 month' - interval '1 millisecond'"):
            statement = (
                "insert into signalops.matches (tenant_id, event_id, rule_id, rule_version) "
                f"values (%s, signalops.uuid7_floor(%s + make_interval(months => %s) + {edge}), %s, 1)"
            )
            owner.execute(statement.encode(), [tenant, month, ahead, clock.new_id()])
    counts = "select count(*) from signalops.matches group by tableoid"
    assert owner.execute(counts).fetchall() == [(2,)] * 4
