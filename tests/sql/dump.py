"""Writes the migrated database for reading, `sql/schema.sql`, and for doctor, `sql/catalogue.txt`: `python -m tests.sql.dump`."""

import re
import subprocess
import sys
from contextlib import closing

import psycopg

from signalops import db, embedded, migrate
from tests.support.databases import Databases, server_url
from tests.support.paths import ROOT

FILE = ROOT / "sql" / "schema.sql"
CATALOGUE = ROOT / "sql" / "catalogue.txt"
VERSION = 18
PARTITIONS = "signalops.*_2[0-9][0-9][0-9]_[0-9][0-9]"
HEADER = """-- The schema as migrations and functions make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.
"""


def dump(url: str, *options: str) -> str:
    """Return a database's schema as SQL, without the lines that differ from one run or version of pg_dump to another."""
    program = embedded.program(VERSION, "pg_dump")
    arguments = ["--schema-only", "--no-owner", f"--exclude-table={PARTITIONS}", *options]
    text = subprocess.run([program, *arguments, url], check=True, capture_output=True, text=True, timeout=60).stdout
    noise = r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n"
    spaced = re.sub(r"\n{3,}", "\n\n", re.sub(noise, "", text, flags=re.MULTILINE))
    return re.sub(r";\n\n(?=COMMENT ON COLUMN)", ";\n", spaced).strip() + "\n"


def readable(url: str) -> str:
    """Return what `sql/schema.sql` must hold."""
    return f"{HEADER}\n{dump(url, '--schema=signalops', '--schema=ops')}"


def catalogue(url: str) -> str:
    """Return what `sql/catalogue.txt` must hold: each object by its kind and name."""
    with psycopg.connect(url) as connection:
        (objects,) = connection.execute(db.queries("watch/doctor")["objects"]).fetchone() or ([],)
    return "".join(f"{name}\n" for name in sorted(objects))


def main() -> None:
    """Migrate an empty database of the tests' server; write its schema, or with --check compare it with what is written."""
    with closing(Databases(server_url())) as databases, databases.empty() as settings:
        migrate.upgrade(settings)
        url = db.admin_url(settings)
        current = {FILE: readable(url), CATALOGUE: catalogue(url)}
    for file, text in current.items():
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != text:
            sys.exit(f"sql/{file.name} is not what migrations and functions make: run `make schema`.")


if __name__ == "__main__":
    main()
