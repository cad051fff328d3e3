"""The diagnosis of an installation: every check with what it found and, when that is not well, how to mend it.

The checks on the database are queries of `sql/queries/doctor.sql`; each returns whether all is well, and what it found.
"""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, get_args

from signalops import clock, db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send import Keyring
from signalops.watch import store

MOST_SKEW = 1.0
"""Seconds: ids and times of an event come from the API's clock, partitions and due times from the server's."""
_MAIL_TIMEOUT = 3.0


class Finding(NamedTuple):
    """What a check found. `remedy` is one sentence, empty when all is well; a warning does not stop events."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""
    is_warning: bool = False


class Check(NamedTuple):
    """A query of doctor.sql, and the remedy for what it may find."""

    name: str
    query: str
    remedy: str
    is_warning: bool = False


SERVER = (
    Check("version", "version", "Use PostgreSQL 15, 16, 17 or 18."),
    Check(
        "roles",
        "roles",
        "Run `signalops migrate` (or, as a DBA, sql/bootstrap.sql) for a missing role, and "
        "`alter role ... nosuperuser nobypassrls` for one that has too much.",
    ),
)
INSIDE = (
    Check(
        "row-level security",
        "protection",
        "Run `alter table signalops.TABLE enable row level security, force row level security`; for a missing policy "
        "`call signalops.protect('signalops.TABLE')`.",
    ),
    Check("partitions", "partitions", "Run `signalops migrate`, which makes them, and keep a worker running."),
    Check("grants", "grants", "Grant what is missing, as the migrations in sql/migrations do."),
    Check(
        "job trigger",
        "notify-trigger",
        "Run `alter table procrastinate.procrastinate_jobs enable trigger user`: till then jobs wait for the next poll.",
    ),
    Check("workers", "workers", "Start one with `signalops work`: events are stored and wait.", is_warning=True),
    Check(
        "given-up jobs",
        "failed-jobs",
        "See why in the worker's log, then retry or delete them in procrastinate.procrastinate_jobs.",
        is_warning=True,
    ),
    Check(
        "waiting jobs", "oldest-job", "Start more workers, or see in their logs what holds them up.", is_warning=True
    ),
    Check("lost events", "lost-batches", "Start a worker: its sweep gives them a new job within a minute."),
    Check("held events", "held-tenants", "Resume the tenants whose events are to go on."),
    Check(
        "durability",
        "durability",
        "Switch them on in postgresql.conf: without them an accepted event can be lost in a power cut.",
    ),
)
DOCUMENTED_KEY = Check(
    "documented key",
    "documented-key",
    "Run `signalops key revoke` for it: everybody can read it in the documentation.",
    is_warning=True,
)
"""Only for a server of one's own: with the embedded one the documented key is there to be tried."""


async def diagnose(settings: Settings) -> list[Finding]:
    """Return what every check found. Where one stage of the database fails, the stages behind it are not reached."""
    findings: list[Finding] = []
    for stage in _STAGES:
        findings += (found := await stage(settings))
        if any(not finding.ok and not finding.is_warning for finding in found):
            break
    return [*findings, _secret_key(settings), await _mail_server(settings)]


async def _server(settings: Settings) -> list[Finding]:
    try:
        async with store.session(db.admin_url(settings)) as login:
            return [await _examine(login, check) for check in SERVER]
    except (*db.OUTAGE, Unusable) as error:
        detail = f"PostgreSQL can't be reached ({_line(error)})"
        return [Finding("database", False, detail, "Start it, or correct DATABASE_URL.")]


async def _logins(settings: Settings) -> list[Finding]:
    """Act in each role, with the connection string that a process would use."""
    faults = [fault for role in get_args(db.Role) if (fault := await _fault_of_login(settings, role))]
    remedy = "Grant the role to the login (`grant signalops_... to LOGIN`), or correct its connection string."
    return [Finding("logins", not faults, ", ".join(faults) or "can act in every role", remedy if faults else "")]


async def _fault_of_login(settings: Settings, role: db.Role) -> str | None:
    try:
        async with store.session(db.dsn(settings, role)) as login:
            _, name = await store.examine(login, "current-role")
    except db.OUTAGE as error:
        return f"can't act as signalops_{role} ({_line(error)})"
    return None if name == f"signalops_{role}" else f"acts as {name} in the place of signalops_{role}"


async def _schema(settings: Settings) -> list[Finding]:
    try:
        await asyncio.to_thread(migrate.require_current, settings, "owner")
    except Unusable as error:
        return [_refused("schema", error)]
    return [Finding("schema", True, "as this code knows it")]


async def _inside(settings: Settings) -> list[Finding]:
    async with store.session(db.dsn(settings, "owner")) as owner:
        checks = (*INSIDE, DOCUMENTED_KEY) if settings.database_url else INSIDE
        findings = [await _examine(owner, check) for check in checks]
        return [*findings, await _connections(owner, settings), await _clock_skew(owner)]


_STAGES: tuple[Callable[[Settings], Awaitable[list[Finding]]], ...] = (_server, _logins, _schema, _inside)


async def _examine(connection: db.Connection, check: Check) -> Finding:
    try:
        ok, detail = await store.examine(connection, check.query)
    except db.REFUSAL as error:
        ok, detail = False, f"can't be checked ({db.reason(error)})"
    return Finding(check.name, ok, detail, "" if ok else check.remedy, check.is_warning)


async def _connections(connection: db.Connection, settings: Settings) -> Finding:
    """Hold what an API process (two flushers, one to listen) and a worker (one to record, worker.py) take against the room."""
    wanted = (settings.api_connections + 3) + (settings.worker_concurrency + 1 + 4)
    room = int((await store.examine(connection, "connections"))[1])
    detail = f"the server admits {room}, an API and a worker process take up to {wanted}"
    remedy = "Raise max_connections, or lower SIGNALOPS_API_CONNECTIONS."
    return Finding("connections", wanted <= room, detail, remedy if wanted > room else "")


async def _clock_skew(connection: db.Connection) -> Finding:
    before = clock.now()
    _, text = await store.examine(connection, "clock")
    there, after = datetime.fromisoformat(text), clock.now()
    seconds = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    ok = seconds <= MOST_SKEW
    remedy = "" if ok else "Run NTP on both machines: events would be filed under a wrong time."
    return Finding("clock", ok, f"{seconds:.3f} s beside the server's", remedy)


def _secret_key(settings: Settings) -> Finding:
    """Look at the key without making one, as a Keyring would."""
    file = settings.data / "secret.key"
    if not (settings.secret_key or settings.database_url or file.exists()):
        remedy = "Let `signalops up` or `signalops seed` make one in the data folder, or set SIGNALOPS_SECRET_KEY."
        return Finding("secret key", False, "there is none yet", remedy, is_warning=True)
    try:
        Keyring(settings)
    except Unusable as error:
        return _refused("secret key", error)
    if settings.secret_key is None and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        return Finding("secret key", False, f"others may read {file} (mode {mode:o})", f"Run `chmod 600 {file}`.")
    return Finding("secret key", True, "is set" if settings.secret_key else f"is in {file}")


async def _mail_server(settings: Settings) -> Finding:
    address = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        async with asyncio.timeout(_MAIL_TIMEOUT):
            _, writer = await asyncio.open_connection(settings.smtp_host, settings.smtp_port)
    except OSError as error:
        detail = f"{address} can't be reached ({_line(error)})"
        remedy = "Start it, or set SIGNALOPS_SMTP_HOST and SIGNALOPS_SMTP_PORT: till then emails are retried."
        return Finding("mail server", False, detail, remedy, is_warning=True)
    writer.close()
    return Finding("mail server", True, f"{address} answers")


def _refused(check: str, error: Unusable) -> Finding:
    detail, _, remedy = str(error).partition(": ")
    return Finding(check, False, detail, remedy[:1].upper() + remedy[1:])


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
