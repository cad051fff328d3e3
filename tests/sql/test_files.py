"""The files under sql/: each says what it is for, and what it claims is so."""

import re
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import SchemaManager

from signalops import db

FOLDER = db.sql_folder()
MIGRATIONS = sorted((FOLDER / "migrations").glob("*.sql"))
QUERIES = sorted((FOLDER / "queries").glob("*.sql"))
INDEX = re.compile(r"^create (?:unique )?index (\w+)", re.MULTILINE)
SERVED = re.compile(r"^-- Serves ([^.:]+)[.:].*\n(?:--.*\n)*create (?:unique )?index (\w+)", re.MULTILINE)


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.name)
def test_a_migration_says_what_for_and_has_its_way_back(path: Path) -> None:
    assert re.fullmatch(r"-- [A-Z][^\n]{20,}", path.read_text(encoding="utf-8").split("\n")[0])
    forward = path.name.replace(".rollback", "")
    assert re.fullmatch(r"\d{4}\.[a-z]+(-[a-z]+)+\.sql", forward)
    assert {path.with_name(forward), path.with_name(forward.replace(".sql", ".rollback.sql"))} <= set(MIGRATIONS)


@pytest.mark.parametrize(
    "path", [p for p in MIGRATIONS if p.name > "0037" and "rollback" not in p.name], ids=lambda p: p.name
)
def test_a_migration_says_which_processes_it_leaves_running(path: Path) -> None:
    """Those before 0037 came before there were stages."""
    assert re.fullmatch(r"-- Stage: (pre|post)", path.read_text(encoding="utf-8").split("\n")[1])


def test_the_numbers_of_the_migrations_have_no_gap() -> None:
    numbers = sorted({int(path.name[:4]) for path in MIGRATIONS})
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(MIGRATIONS) == 2 * len(numbers)


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.name)
def test_every_query_has_a_name_and_a_purpose(path: Path) -> None:
    head, *queries = re.split(r"^-- [a-z-]+: ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert re.fullmatch(r"-- (Station [a-z]+|Doctor)[:.] [^\n]+\n+", head)
    assert len(queries) == len(db.queries(path.stem)) > 0, "a name is given twice"
    for query in queries:
        purpose, statement = query.split("\n", 1)
        assert len(purpose.split()) > 2, purpose
        statement = re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE).strip()
        assert re.match(r"(select|insert|update|delete|with)\s", statement), f"{purpose}: no statement follows"
        assert statement.count(";") == 1, f"{purpose}: one statement each"


def test_every_query_is_used_by_the_code() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (FOLDER.parent / "signalops").rglob("*.py"))
    unused = [name for path in QUERIES for name in db.queries(path.stem) if f'"{name}"' not in code]
    assert unused == []


def test_every_index_of_ours_names_what_it_serves(owner: psycopg.Connection) -> None:
    text = "".join(
        path.read_text(encoding="utf-8") for path in MIGRATIONS if path.name != "0002.install-procrastinate.sql"
    )
    made = INDEX.findall(text)
    assert len(made) > 3
    assert [index for _, index in SERVED.findall(text)] == made
    functions = "select proname from pg_proc where pronamespace = 'signalops'::regnamespace"
    known = {name for (name,) in owner.execute(functions)} | {
        name for path in QUERIES for name in db.queries(path.stem)
    }
    served = [name.split()[0] for names, _ in SERVED.findall(text) for name in re.split(", | and ", names)]
    assert [name for name in served if name not in known] == []


def test_the_schema_of_procrastinate_is_the_installed_one() -> None:
    text = (FOLDER / "migrations" / "0002.install-procrastinate.sql").read_text(encoding="utf-8")
    assert SchemaManager.get_schema().strip() in text, (
        "the installed procrastinate ships another schema: write the next migration from its upgrade files"
    )
