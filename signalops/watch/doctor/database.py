"""The checks of the database server, the logins and the schema."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from signalops import clock, db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.watch import watch_queries
from signalops.watch.doctor.finding import Check, Finding, examine, line, refused

MAX_SKEW = 1.0
"""Seconds: ids and times of an event come from the API's clock, partitions and due times from the server's."""
_SHOWN = 5

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
        "Run `alter table signalops.TABLE enable row level security, force row level security`.",
    ),
    Check("partitions", "partitions", "Run `signalops migrate`, which makes them, and keep a worker running."),
    Check("queue grants", "queue-grants", "Grant what is missing, as sql/grants.sql does."),
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
    Check("waiting jobs", "oldest-job", "Start more workers, or see in their logs what holds them up.", is_warning=True),
    Check("lost events", "lost-batches", "Start a worker: its sweep gives them a new job within a minute."),
    Check("maintenance", "maintenance", "See the worker's log; a worker must serve the queue `maintenance`.", is_warning=True),
    Check("parked events", "suspended-tenants", "Resume the tenants whose events are to go on."),
    Check(
        "vacuum",
        "vacuum",
        "Switch them on in postgresql.conf: without them the tables of jobs and deliveries only grow, and plans go wrong.",
        is_warning=True,
    ),
)
DOCUMENTED_KEY = Check(
    "documented key",
    "documented-key",
    "Run `signalops key revoke` for it: everybody can read it in the documentation.",
    is_warning=True,
)
"""Only for an external server: with the embedded one the documented demo key is meant to be used."""
_OBJECTS = Check(
    "objects",
    "objects",
    "Run `signalops migrate` for a function, view, trigger or policy. Make a missing or invalid table, index or constraint "
    "as sql/schema.sql has it, or restore a backup: a part of a migration was undone.",
)
_DEFINITIONS = Check(
    "definitions",
    "objects",
    "Run `signalops migrate`: it puts functions, views, triggers, policies and grants right. What is not ours is left alone.",
)
_LOGINS = Check(
    "logins", "login", "Grant the role to the login (`grant signalops_... to LOGIN`), or correct its connection string."
)
_BOUNDED = Check(
    "bounded logins",
    "login",
    "Give each process a login of its own (`SIGNALOPS_API_DATABASE_URL` and its like), or run "
    "`alter role LOGIN nosuperuser nobypassrls`: in its hands row-level security is only a habit.",
    is_warning=True,
)
_COMPILING = Check(
    "jit",
    "login",
    "Run `alter role LOGIN set jit = off`: PostgreSQL would compile short statements, which took 186 ms each time. Directly "
    "connected processes see to that themselves, but not through a pooler.",
    is_warning=True,
)
_DURABILITY = Check(
    "durability",
    "durability",
    "Switch them on in postgresql.conf, and for the database and the roles (`alter role ... reset synchronous_commit`): "
    "without them an accepted event can be lost in a power cut.",
)
_ZONES = Check(
    "time zones",
    "zones",
    "Bring both to one release of the time zone data (package tzdata, and PostgreSQL's minor release): days, months and "
    "quiet hours of these tenants differ between the rules and the bill.",
    is_warning=True,
)


async def server(settings: Settings) -> list[Finding]:
    """Look whether PostgreSQL is there and has our roles."""
    try:
        async with db.session(db.admin_url(settings)) as login:
            return [await examine(login, check) for check in SERVER]
    except (*db.OUTAGE, Unusable) as error:
        detail = f"PostgreSQL can't be reached ({line(error)})"
        return [Finding("database", False, detail, "Start it, or correct DATABASE_URL.")]


async def logins(settings: Settings) -> list[Finding]:
    """Act in each role, with the connection string that a process would use."""
    faults, free, compiling = [], [], []
    for role in get_args(db.Role):
        try:
            async with db.session(db.dsn(settings, role)) as session:
                is_bounded, name, login, compiles = await watch_queries.login(session)
        except db.OUTAGE as error:
            faults.append(f"can't act as signalops_{role} ({line(error)})")
            continue
        if name != f"signalops_{role}":
            faults.append(f"acts as {name} in the place of signalops_{role}")
        if role in ("api", "worker", "platform") and not is_bounded:
            free.append(f"{login} is signalops_{role}'s, and passes row-level security")
        if compiles:
            compiling.append(f"it is on for {login}, which is signalops_{role}'s")
    found = [_LOGINS.finding(faults, "can act in every role"), _COMPILING.finding(compiling, "off for each of them")]
    # The embedded server has one login, of the one person who tries it.
    return found if settings.is_embedded else [*found, _BOUNDED.finding(free, "none passes row-level security")]


async def schema(settings: Settings) -> list[Finding]:
    """Compare the applied migrations with those of this release."""
    try:
        await asyncio.to_thread(migrate.require_current, settings, "owner")
    except Unusable as error:
        return [refused("schema", error)]
    return [Finding("schema", True, "as this code knows it")]


async def inside(settings: Settings) -> list[Finding]:
    """Look at the schema's parts, at the work that waits, and at what the server grants us."""
    async with db.session(db.dsn(settings, "owner")) as owner:
        checks = (*INSIDE, DOCUMENTED_KEY) if settings.database_url else INSIDE
        return [
            *(await _suspended(owner, settings)),
            *[await examine(owner, check) for check in checks],
            await _connections(owner, settings),
            await _durability(settings),
            await _clock_skew(owner),
            await _zones(owner),
            await _platform(owner, settings),
        ]


async def _suspended(owner: db.Connection, settings: Settings) -> list[Finding]:
    """Compare what there is with the dump of the schema, and each definition and grant with what was applied."""
    missing = sorted(_expected() - set(await watch_queries.names(owner, "objects")))
    differing = [
        line
        for line in await asyncio.to_thread(migrate.differences, settings)
        # What is missing or off is reported once.
        if not line.endswith("is missing") and not line.startswith(("row security", *missing))
    ]
    return [
        _OBJECTS.finding(_few([f"{name} is missing" for name in missing]), f"{len(_expected())}, each is there"),
        _DEFINITIONS.finding(_few(differing), "as the files in sql/ have them"),
    ]


def _few(faults: list[str]) -> list[str]:
    return faults if len(faults) <= _SHOWN else [*faults[:_SHOWN], f"and {len(faults) - _SHOWN} more"]


async def _connections(connection: db.Connection, settings: Settings) -> Finding:
    """Compare the connections that an API process (two flushers, one listener) and the workers (one recorder, worker.py) need
    with the server's maximum."""
    room, alive = await watch_queries.room(connection)
    workers = max(alive, 1)
    needed = (settings.api_connections + 3) + workers * (settings.worker_concurrency + 1 + 4)
    those = "a worker process" if workers == 1 else f"{workers} worker processes"
    detail = f"the server admits {room}, an API and {those} take up to {needed}"
    remedy = "Raise max_connections, lower SIGNALOPS_API_CONNECTIONS or SIGNALOPS_WORKER_CONCURRENCY, or use PgBouncer."
    return Finding("connections", needed <= room, detail, remedy if needed > room else "")


async def _durability(settings: Settings) -> Finding:
    """Look as the processes see it: a setting may be a role's or a login's own."""
    faults: set[str] = set()
    for role in ("api", "worker"):
        async with db.session(db.dsn(settings, role)) as session:
            faults |= set(await watch_queries.names(session, "durability"))
    return _DURABILITY.finding(sorted(faults), "fsync, synchronous_commit and full_page_writes are on")


async def _clock_skew(connection: db.Connection) -> Finding:
    before = clock.now()
    _, text = await watch_queries.examine(connection, "clock")
    there, after = datetime.fromisoformat(text), clock.now()
    seconds = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    ok = seconds <= MAX_SKEW
    remedy = "" if ok else "Run NTP on both machines: events would be filed under a wrong time."
    return Finding("clock", ok, f"{seconds:.3f} s beside the server's", remedy)


async def _platform(connection: db.Connection, settings: Settings) -> Finding:
    """Look for the tenant to which alerts come."""
    slug = settings.platform_tenant
    if slug is None:
        return Finding("alerts", True, "stand in ops.alerts alone: SIGNALOPS_PLATFORM_TENANT is not set")
    remedy = f"Run `signalops tenant create {slug}`, or correct SIGNALOPS_PLATFORM_TENANT: no alert is sent."
    is_there = await watch_queries.has_tenant(connection, slug)
    detail = f"come to the tenant {slug}" if is_there else f"can't come: there is no active tenant {slug}"
    return Finding("alerts", is_there, detail, "" if is_there else remedy)


async def _zones(connection: db.Connection) -> Finding:
    """Compare Python's time zones, which rules use, with PostgreSQL's, which usage is billed by."""
    zones = await watch_queries.zones(connection)
    faults = [fault for zone, moments, local in zones if (fault := _fault_of_zone(zone, zip(moments, local, strict=True)))]
    return _ZONES.finding(_few(faults), f"{len(zones)} in use, the same here and in PostgreSQL")


def _fault_of_zone(zone: str, turns: Iterable[tuple[datetime, datetime]]) -> str | None:
    try:
        here = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return f"{zone} is unknown here"
    return next(
        (f"{zone} differs at {at:%Y-%m}" for at, there in turns if at.astimezone(here).replace(tzinfo=None) != there), None
    )


@cache
def _expected() -> frozenset[str]:
    """Return what must be there, by its kind and name. Hands slip: an index is dropped in an incident, a restore breaks off."""
    return frozenset((db.sql_folder() / "catalogue.txt").read_text(encoding="utf-8").splitlines())
