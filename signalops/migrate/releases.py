"""Which releases can use a database: the stages of its migrations and its applied definitions.

Each migration file declares one of two stages. `pre`: applied before the new processes start, while the previous release still
runs. `post`: removes what the previous release needs, so it is applied when none of its processes is left.
"""

import re
from typing import Literal

import psycopg
from yoyo import read_migrations
from yoyo.migrations import MigrationList

from signalops import db
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.migrate import definitions
from signalops.migrate.connections import connect

Stage = Literal["pre", "post"]
_STAGE = re.compile(r"^-- Stage: (pre|post)$", re.MULTILINE)
_FIRST = {
    "pre": "Migration {} takes away what an older release needs: run `signalops migrate --stage post` of the one between when "
    "no older process is left, or stop all processes and run `signalops migrate`.",
    "post": "Migration {} is missing, on which the new processes run: run `signalops migrate --stage pre` first.",
}
NOTE_STAGES = """
insert into yoyo.stages (migration_id, stage)
select k.id, k.stage from unnest(%s::text[], %s::text[]) as k (id, stage) join yoyo._yoyo_migration m on m.migration_id = k.id
on conflict do nothing"""


def require_current(settings: Settings, role: db.Role) -> None:
    """Raise Unusable unless the database has the migrations that this code needs, and none that takes away what it needs."""
    known_stages = stages()
    with connect(db.dsn(settings, role)) as connection:
        _require_role(connection, role)
        # Rolled back, the schema yoyo is there, and closed to the role: asking for the table by its name would raise.
        seen = "select from pg_class where relname = '_yoyo_migration' and has_schema_privilege(relnamespace, 'usage')"
        if connection.execute(seen).rowcount == 0:
            raise Unusable("The database is empty: run `signalops migrate` first.")
        applied = {name for (name,) in connection.execute("select migration_id from yoyo._yoyo_migration")}
        needed = {name for name, stage in known_stages.items() if stage == "pre"}
        if missing := sorted(needed - applied):
            raise Unusable(f"The database is older than this code (missing {missing[0]}): run `signalops migrate`.")
        harmless = {name for (name,) in connection.execute("select migration_id from yoyo.stages where stage = 'pre'")}
        served = {name for (name,) in connection.execute("select checksum from yoyo.definition_sets")}
    if unknown := sorted(applied - known_stages.keys() - harmless):
        raise Unusable(f"The database is newer than this code (it has {unknown[-1]}): start the newer release of SignalOps.")
    if definitions.checksum() not in served:
        raise Unusable(
            "The database has functions of another release than this code: run `signalops migrate`, or start the newer release."
        )


def require_forerunner(connection: psycopg.Connection) -> None:
    """Raise Unusable for a database with migrations that come before the first of this code: nothing leads from there to here."""
    first = min(stages())
    query = "select min(migration_id) from yoyo._yoyo_migration where left(migration_id, 4) = %s and migration_id <> %s"
    (other,) = connection.execute(query, [first[:4], first]).fetchone() or (None,)
    if other:
        raise Unusable(
            f"The database begins with the migration {other}, and this release with {first}: begin with a new database "
            "(`make clean` removes the embedded one, with its data)."
        )


def _require_role(connection: psycopg.Connection, role: db.Role) -> None:
    """Raise Unusable unless a connection acts in a role: where a pooler ignores what is asked at the start, it is the login's."""
    (name,) = connection.execute("select current_user").fetchone() or (None,)
    if name != f"signalops_{role}":
        raise Unusable(
            f"The connection acts as {name}, and not as signalops_{role}: through a pooler the login of the process must be that "
            "role itself (SIGNALOPS_POOLER)."
        )


def of_stage(pending: MigrationList, stage: Stage) -> MigrationList:
    """Return the pending migrations of a stage; Unusable when one of the other stage comes before them."""
    known_stages = stages()
    migrations = pending.filter(lambda migration: known_stages[migration.id] == stage)
    others = [migration.id for migration in pending if known_stages[migration.id] != stage]
    if others and (stage == "post" or any(migration.id > others[0] for migration in migrations)):
        raise Unusable(_FIRST[stage].format(others[0]))
    return migrations


def stages() -> dict[str, Stage]:
    """Return the stage of every migration of this release; the default is pre."""
    folder = db.sql_folder() / "migrations"
    files = {file.stem: file for file in folder.glob("*.sql") if not file.name.endswith(".rollback.sql")}
    found = {name: _STAGE.search(file.read_text(encoding="utf-8")) for name, file in files.items()}
    return {name: "post" if stage and stage[1] == "post" else "pre" for name, stage in found.items()}


def known() -> MigrationList:
    return read_migrations(str(db.sql_folder() / "migrations"))
