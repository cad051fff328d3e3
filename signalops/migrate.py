"""The migrator: bootstrap, then yoyo's migrations, one process at a time; and the check that code and schema fit.

A migration is of one of two stages, as its file says. `pre`: the release before runs on, so it comes before the new processes.
`post`: it takes away what the release before needs, so it comes when none of those is left.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege
from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend
from yoyo.migrations import MigrationList

from signalops import db
from signalops.config import Settings
from signalops.errors import Unusable

Stage = Literal["pre", "post"]
_STAGE = re.compile(r"^-- Stage: (pre|post)$", re.MULTILINE)
_FIRST = {
    "pre": "Migration {} takes away what an older release needs: run `signalops migrate --stage post` of the one between when "
    "no older process is left, or stop all processes and run `signalops migrate`.",
    "post": "Migration {} is missing, on which the new processes run: run `signalops migrate --stage pre` first.",
}
_NOTE_STAGES = """
insert into yoyo.stages (migration_id, stage)
select k.id, k.stage from unnest(%s::text[], %s::text[]) as k (id, stage) join yoyo._yoyo_migration m on m.migration_id = k.id
on conflict do nothing"""
# One migrator at a time in a database; the number is arbitrary, and ours.
LOCK = 7_303_014_518
# A migration that can't get its lock must not make the traffic queue up behind it.
TIMEOUTS = "-c lock_timeout=10s -c statement_timeout=15min"


def upgrade(settings: Settings, stage: Stage | None = None) -> list[str]:
    """Apply what is missing and make the partitions ahead; return the ids of the migrations that were applied.

    Of a stage alone: Unusable when the other one has to come first.
    """
    with _alone(settings) as connection:
        connection.execute((db.sql_folder() / "bootstrap.sql").read_bytes())
        # Refused here with its SQLSTATE; as an option of the migrations' own connection it would look like an outage.
        connection.execute("set role signalops_owner; reset role")
        with _backend(settings) as backend:
            pending = backend.to_apply(_known())
            if stage:
                pending = _of_stage(pending, stage)
            backend.apply_migrations(pending)
        for url in (settings.api_database_url, settings.worker_database_url, settings.platform_database_url):
            if url:
                _let_in(connection, url.get_secret_value())
        connection.execute("set role signalops_owner")
        stages = _stages()
        connection.execute(_NOTE_STAGES, [list(stages), list(stages.values())])
        connection.execute("select signalops.make_partitions()")
        return [migration.id for migration in pending]


def downgrade(settings: Settings) -> list[str]:
    """Roll everything back, newest first; return the ids. All data goes with it."""
    with _alone(settings), _backend(settings) as backend:
        applied = backend.to_rollback(_known())
        backend.rollback_migrations(applied)
        return [migration.id for migration in applied]


def require_current(settings: Settings, role: db.Role) -> None:
    """Raise Unusable unless the database has the migrations that this code needs, and none that takes away what it needs."""
    known = _stages()
    with _connect(db.dsn(settings, role)) as connection:
        _require_role(connection, role)
        # Rolled back, the schema yoyo is there, and closed to the role: asking for the table by its name would raise.
        seen = "select from pg_class where relname = '_yoyo_migration' and has_schema_privilege(relnamespace, 'usage')"
        if connection.execute(seen).rowcount == 0:
            raise Unusable("The database is empty: run `signalops migrate` first.")
        applied = {name for (name,) in connection.execute("select migration_id from yoyo._yoyo_migration")}
        needed = {name for name, stage in known.items() if stage == "pre"}
        if missing := sorted(needed - applied):
            raise Unusable(f"The database is older than this code (missing {missing[0]}): run `signalops migrate`.")
        # Read last: before the migration that makes it there is no such table.
        harmless = {name for (name,) in connection.execute("select migration_id from yoyo.stages where stage = 'pre'")}
    if unknown := sorted(applied - known.keys() - harmless):
        raise Unusable(
            f"The database is newer than this code (it has {unknown[-1]}): start the newer release of SignalOps."
        )


def _require_role(connection: psycopg.Connection, role: db.Role) -> None:
    """Raise Unusable unless a connection acts in a role: where a pooler ignores what is asked at the start, it is the login's."""
    (name,) = connection.execute("select current_user").fetchone() or (None,)
    if name != f"signalops_{role}":
        raise Unusable(
            f"The connection acts as {name}, and not as signalops_{role}: through a pooler the login of the process must be that "
            "role itself (SIGNALOPS_POOLER)."
        )


def _of_stage(pending: MigrationList, stage: Stage) -> MigrationList:
    """Return the pending migrations of a stage; Unusable when one of the other stage comes before them."""
    stages = _stages()
    wanted = pending.filter(lambda migration: stages[migration.id] == stage)
    others = [migration.id for migration in pending if stages[migration.id] != stage]
    if others and (stage == "post" or any(migration.id > others[0] for migration in wanted)):
        raise Unusable(_FIRST[stage].format(others[0]))
    return wanted


def _stages() -> dict[str, Stage]:
    """Return the stage of every migration that this code knows; those before there were stages are pre."""
    folder = db.sql_folder() / "migrations"
    files = {file.stem: file for file in folder.glob("*.sql") if not file.name.endswith(".rollback.sql")}
    found = {name: _STAGE.search(file.read_text(encoding="utf-8")) for name, file in files.items()}
    return {name: "post" if stage and stage[1] == "post" else "pre" for name, stage in found.items()}


def _known() -> MigrationList:
    return read_migrations(str(db.sql_folder() / "migrations"))


def _let_in(connection: psycopg.Connection, url: str) -> None:
    """Give a role of ours the login and the password that its process's URL has; the password itself is not sent."""
    login = conninfo_to_dict(url)
    user, password = str(login.get("user")), login.get("password")
    if password and user in ("signalops_api", "signalops_worker", "signalops_platform"):
        hashed = connection.pgconn.encrypt_password(str(password).encode(), user.encode(), b"scram-sha-256").decode()
        try:
            connection.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(user), hashed))
        except InsufficientPrivilege:
            # The roles are a DBA's: then so are their passwords, and one that may log in has been seen to.
            if connection.execute("select from pg_roles where rolname = %s and rolcanlogin", [user]).rowcount == 0:
                raise


@contextmanager
def _alone(settings: Settings) -> Iterator[psycopg.Connection]:
    with _connect(make_conninfo(db.admin_url(settings), connect_timeout=10)) as connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        try:
            yield connection
        except InsufficientPrivilege as error:
            raise Unusable(
                f"The login of DATABASE_URL may not do this ({db.reason(error)}): have a DBA run sql/bootstrap.sql "
                "and what its first lines say."
            ) from error


@contextmanager
def _connect(conninfo: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        # The SQLSTATE of a refused connection does not reach the client: only its text does.
        if re.search(r'role "signalops_\w+" does not exist', str(error)):
            raise Unusable("The database is without our roles: run `signalops migrate` first.") from error
        if "unsupported startup parameter" in str(error):
            raise Unusable("A pooler is before PostgreSQL: set SIGNALOPS_POOLER, as the README says.") from error
        raise Unusable(f"PostgreSQL can't be reached or gave up ({str(error).strip()}): check DATABASE_URL.") from error


@contextmanager
def _backend(settings: Settings) -> Iterator[DatabaseBackend]:
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    parameters = conninfo_to_dict(
        db.admin_url(settings), options=f"-c role=signalops_owner -c search_path=yoyo {TIMEOUTS}"
    )
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items() if name != "dbname")
    backend = get_backend(f"postgresql+psycopg:///{quote(str(parameters['dbname']))}?{query}")
    try:
        yield backend
    finally:
        backend.connection.close()
