"""The files under sql/: each says what it is for, and what it claims is so."""

import re
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import SchemaManager

from signalops import db

FOLDER = db.sql_folder()
INSTALLS_PROCRASTINATE = "0002.install-procrastinate.sql"
MIGRATIONS = sorted((FOLDER / "migrations").glob("*.sql"))
QUERIES = sorted((FOLDER / "queries").rglob("*.sql"))
INDEX = re.compile(r"^create (?:unique )?index (\w+)", re.MULTILINE)
FUNCTIONS = sorted((FOLDER / "functions").rglob("*.sql"))
DEFINES = re.compile(r"^create (?:or replace )?(?:function|procedure|view|policy|trigger|constraint trigger)\b", re.MULTILINE)
SERVED = re.compile(r"^-- Serves ([^.:]+)[.:].*\n(?:--.*\n)*create (?:unique )?index (\w+)", re.MULTILINE)


def in_folder(path: Path) -> str:
    """Return how the code names a file of queries."""
    return str(path.relative_to(FOLDER / "queries").with_suffix(""))


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.name)
def test_a_migration_says_what_for_and_has_its_way_back(path: Path) -> None:
    assert re.fullmatch(r"-- [A-Z][^\n]{20,}", path.read_text(encoding="utf-8").split("\n")[0])
    forward = path.name.replace(".rollback", "")
    assert re.fullmatch(r"\d{4}\.[a-z]+(-[a-z]+)+\.sql", forward)
    assert {path.with_name(forward), path.with_name(forward.replace(".sql", ".rollback.sql"))} <= set(MIGRATIONS)


@pytest.mark.parametrize("path", [p for p in MIGRATIONS if "rollback" not in p.name], ids=lambda p: p.name)
def test_a_migration_says_which_processes_it_leaves_running(path: Path) -> None:
    assert re.search(r"^-- Stage: (pre|post)$", "\n".join(path.read_text(encoding="utf-8").split("\n")[1:3]), re.MULTILINE)


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.name)
def test_a_migration_defines_nothing_that_has_a_current_definition(path: Path) -> None:
    """Procrastinate's own schema is its library's."""
    if path.name != INSTALLS_PROCRASTINATE:
        assert DEFINES.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_of_functions_has_one_subject(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    assert re.fullmatch(r"-- [A-Z].{20,}\.", lines[0])
    assert len(lines) <= 201
    folder = path.parent.relative_to(FOLDER / "functions")
    part = FOLDER.parent / "signalops" / folder
    assert part.is_dir() or part.with_suffix(".py").is_file() or folder.parts[:2] == ("watch", "ops"), (
        "no such part of signalops/"
    )


def test_the_numbers_of_the_migrations_have_no_gap() -> None:
    numbers = sorted({int(path.name[:4]) for path in MIGRATIONS})
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(MIGRATIONS) == 2 * len(numbers)


@pytest.mark.parametrize("path", QUERIES, ids=in_folder)
def test_every_query_has_a_name_and_a_purpose(path: Path) -> None:
    head, *queries = re.split(r"^-- [a-z-]+: ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert re.fullmatch(r"-- (Station [a-z]+|Doctor|Migrator)[:.] [^\n]+\n+", head)
    assert len(queries) == len(db.queries(in_folder(path))) > 0, "a name is given twice"
    for query in queries:
        purpose, statement = query.split("\n", 1)
        assert len(purpose.split()) > 2, purpose
        statement = re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE).strip()
        assert re.match(r"(select|insert|update|delete|with)\s", statement), f"{purpose}: no statement follows"
        assert statement.count(";") == 1, f"{purpose}: one statement each"


@pytest.mark.parametrize("path", QUERIES, ids=in_folder)
def test_a_file_of_queries_stands_in_the_folder_of_its_code(path: Path) -> None:
    assert (FOLDER.parent / "signalops" / path.parent.relative_to(FOLDER / "queries")).is_dir()


def test_every_query_is_used_by_the_code() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (FOLDER.parent / "signalops").rglob("*.py"))
    unused = [name for path in QUERIES for name in db.queries(in_folder(path)) if f'"{name}"' not in code]
    assert unused == []


def test_every_index_of_ours_names_what_it_serves(owner: psycopg.Connection) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in MIGRATIONS if path.name != INSTALLS_PROCRASTINATE)
    made = INDEX.findall(text)
    assert len(made) > 3
    assert [index for _, index in SERVED.findall(text)] == made
    functions = "select proname from pg_proc where pronamespace = 'signalops'::regnamespace"
    known = {name for (name,) in owner.execute(functions)} | {name for path in QUERIES for name in db.queries(in_folder(path))}
    served = [name.split()[0] for names, _ in SERVED.findall(text) for name in re.split(", | and ", names)]
    assert [name for name in served if name not in known] == []


def test_the_schema_of_procrastinate_is_the_installed_one() -> None:
    text = (FOLDER / "migrations" / INSTALLS_PROCRASTINATE).read_text(encoding="utf-8")
    assert SchemaManager.get_schema().strip() in text, (
        "the installed procrastinate ships another schema: write the next migration from its upgrade files"
    )


def test_the_fetch_is_procrastinate_s_own_but_for_paused_queues() -> None:
    text = (FOLDER / "functions" / "queue" / "procrastinate.sql").read_text(encoding="utf-8")
    body = re.search(r"procrastinate_fetch_job_v2\(.*?\$\$(.*?)\$\$;", text, re.DOTALL)
    shipped = re.search(r"CREATE FUNCTION procrastinate_fetch_job_v2\(.*?\$\$(.*?)\$\$;", SchemaManager.get_schema(), re.DOTALL)
    assert body
    assert shipped
    ours = " AND jobs.queue_name <> ALL (ARRAY(SELECT paused.queue FROM ops.paused_queues AS paused))"
    assert body[1].count(ours) == 1
    assert body[1].replace(ours, "") == shipped[1]


LOCKS = re.compile(r"for (?:no key )?update(?! of \w+ skip| skip)|for share|pg_advisory_xact_lock(?!_shared)", re.IGNORECASE)


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_functions_that_wait_for_several_locks_name_their_order(path: Path) -> None:
    """Whoever skips what is locked, or locks one row and nothing else, waits in no order."""
    text = path.read_text(encoding="utf-8")
    if path.relative_to(FOLDER / "functions").as_posix() not in LOCKS_ONE and LOCKS.search(text):
        assert "Lock order" in text


LOCKS_ONE = {
    "ids.sql",  # announces positions
    "access/deletion/begin.sql",  # the tenant
    "access/deletion/slices.sql",  # the tenant, whose rows nobody else writes any more
    "queue/procrastinate.sql",  # procrastinate's own
    "rules/backtest.sql",
    "usage/adjustments/add.sql",  # the tenant
    "usage/plans/subscribe.sql",  # the tenant, before its limits
    "watch/alerts/alerts.sql",  # one process at a time
    "watch/ops/queues.sql",  # the job
    "watch/retention/expiry.sql",  # the sweep
    "watch/retention/partitions.sql",  # one process at a time
}
