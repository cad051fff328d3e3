"""Writes `sql/schema.sql`, the migrated database for reading: `python -m tests.sql.dump`."""

import re
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from signalops import embedded, migrate
from signalops.config import Settings

FILE = Path(__file__).parents[2] / "sql" / "schema.sql"
DATA, VERSION = Path(".data/test"), 18
PARTITIONS = "signalops.*_2[0-9][0-9][0-9]_[0-9][0-9]"
HEADER = """-- The schema as the migrations make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.
"""


def dump(url: str, *options: str) -> str:
    """Return a database's schema as SQL, without the lines that differ from one run or version of pg_dump to another."""
    program = embedded.program(DATA, VERSION, "pg_dump")
    arguments = ["--schema-only", "--no-owner", f"--exclude-table={PARTITIONS}", *options]
    text = subprocess.run([program, *arguments, url], check=True, capture_output=True, text=True).stdout
    noise = r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n"
    spaced = re.sub(r"\n{3,}", "\n\n", re.sub(noise, "", text, flags=re.MULTILINE))
    return re.sub(r";\n\n(?=COMMENT ON COLUMN)", ";\n", spaced).strip() + "\n"


def readable(url: str) -> str:
    """Return what `sql/schema.sql` must hold."""
    return f"{HEADER}\n{dump(url, '--schema=signalops', '--schema=ops')}"


def main() -> None:
    """Migrate an empty database of the embedded server and write its schema."""
    server = embedded.url(DATA, VERSION)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("drop database if exists so_dump with (force)")
        admin.execute("create database so_dump")
        settings = Settings.model_validate({"database_url": make_conninfo(server, dbname="so_dump")})
        migrate.upgrade(settings)
        FILE.write_text(readable(make_conninfo(server, dbname="so_dump")), encoding="utf-8")
        admin.execute("drop database so_dump with (force)")


if __name__ == "__main__":
    main()
