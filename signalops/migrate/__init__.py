"""The migrator: bootstrap, yoyo's migrations, then the current definitions; one process at a time."""

from dataclasses import dataclass

from signalops import db
from signalops.config import Settings
from signalops.migrate import apply
from signalops.migrate.apply import Applied
from signalops.migrate.connections import LOCK, alone, backend, connect, let_in
from signalops.migrate.releases import NOTE_STAGES, Stage, known, of_stage, require_current, require_forerunner, stages

__all__ = ["LOCK", "Stage", "Upgrade", "backend", "connect", "differences", "downgrade", "known", "require_current", "upgrade"]


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did: the ids of the migrations that were applied, and what it did to definitions."""

    migrations: list[str]
    definitions: Applied

    def __bool__(self) -> bool:
        return bool(self.migrations or self.definitions.statements or self.definitions.dropped)


def upgrade(settings: Settings, stage: Stage | None = None) -> Upgrade:
    """Apply what is missing and make the partitions ahead.

    Of a stage alone: Unusable when the other one has to come first.
    """
    with alone(settings) as connection:
        connection.execute((db.sql_folder() / "bootstrap.sql").read_bytes())
        # Refused here with its SQLSTATE; as an option of the migrations' own connection it would look like an outage.
        connection.execute("set role signalops_owner; reset role")
        with backend(settings) as migrations:
            pending = migrations.to_apply(known())
            if pending:
                require_forerunner(connection)
            if stage:
                pending = of_stage(pending, stage)
            migrations.apply_migrations(pending)
        applied = apply.apply(connection, older_processes=stage == "pre")
        for url in (settings.api_database_url, settings.worker_database_url, settings.platform_database_url):
            if url:
                let_in(connection, url.get_secret_value())
        connection.execute("set role signalops_owner")
        connection.execute(NOTE_STAGES, [list(stages()), list(stages().values())])
        connection.execute("select signalops.make_partitions()")
        return Upgrade([migration.id for migration in pending], applied)


def downgrade(settings: Settings) -> list[str]:
    """Roll everything back, newest first; return the ids. All data goes with it."""
    with alone(settings) as connection, backend(settings) as migrations:
        apply.remove(connection)
        applied = migrations.to_rollback(known())
        migrations.rollback_migrations(applied)
        return [migration.id for migration in applied]


def differences(settings: Settings) -> list[str]:
    """Return which definitions and grants of the database are not as they were applied."""
    with connect(db.dsn(settings, "owner")) as connection, connection.transaction():
        connection.execute("set local search_path = pg_catalog")
        return apply.differences(connection)
