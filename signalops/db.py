"""The database: who we are there, pools of connections, transactions of one tenant, and the named queries of `sql/`."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, LiteralString, TypeVar, cast
from uuid import UUID

import orjson
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import (
    DeadlockDetected,
    LockNotAvailable,
    ProgramLimitExceeded,
    SerializationFailure,
    UniqueViolation,
)
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from signalops import embedded
from signalops.config import Settings
from signalops.connection import DEFAULTS, WatchedConnection
from signalops.errors import Unusable
from signalops.settled import Settled
from signalops.terms import Actor, TenantId

# jsonb gives 1e300 back as 301 digits: a double once more, as it was sent, and not an integer that orjson can't write.
set_json_loads(orjson.loads)

Role = Literal["owner", "api", "worker", "operator", "platform"]
Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

Result = TypeVar("Result")

OUTAGE = (psycopg.OperationalError, PoolTimeout)
"""The database is away, or gave up on a lock, a deadlock or a timeout: the same may succeed later."""
OUTDATED = SerializationFailure
"""What was decided is outdated, and can't be recorded any more."""
BUSY = (LockNotAvailable, DeadlockDetected)
"""Another transaction was in the way, and nothing was done: the same succeeds once that one has ended."""
KNOWN = UniqueViolation
"""It is stored already."""
REFUSAL = psycopg.Error
"""Any error of the database."""
UNSTORABLE = (psycopg.DataError, ProgramLimitExceeded)
"""What is the data's own fault (SQLSTATE classes 22 and 54), and fails each time; all else is the installation's to mend."""


@dataclass(slots=True, frozen=True)
class Action:
    """What is being done, for the audit log: who does it, from which address, and by which operation or command."""

    actor: Actor
    address: str | None
    operation: str


acting: ContextVar[Action | None] = ContextVar("acting", default=None)
"""The action that this task works for; transactions of a tenant, of the platform and of the owner tell the database."""

# A jobs table that was vacuumed while empty leaves cached generic plans that scan it as if it still were: seconds a fetch.
SESSION = (
    "-c plan_cache_mode=force_custom_plan -c timezone=UTC -c search_path=signalops,procrastinate "
    # Compiling the statement that weighs windows took 186 ms, each time; nothing here runs for long enough to gain by it.
    "-c jit=off -c idle_in_transaction_session_timeout=60s"
)
# No request may keep one of the API's few connections for longer.
SILENCE = 2.0
"""Seconds without a notification after which the server is asked whether it is still there."""
_TIMEOUT: dict[Role, str] = dict.fromkeys(("api", "platform"), "-c statement_timeout=7s")


def admin_url(settings: Settings) -> str:
    """Return the URL of the login that everything is derived from: DATABASE_URL, or the embedded server's superuser."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return embedded.url(settings.data, settings.embedded_version)


def dsn(settings: Settings, role: Role) -> str:
    """Return the connection string with which a process works in a role, never as the login itself.

    Through a pooler the login must be the role itself, and have these settings as its own (sql/bootstrap.sql gives them).
    """
    own = {
        "api": settings.api_database_url,
        "worker": settings.worker_database_url,
        "platform": settings.platform_database_url,
    }.get(role)
    url = own.get_secret_value() if own else admin_url(settings)
    options = f"-c role=signalops_{role} {SESSION} {_TIMEOUT.get(role, '')}"
    startup = {} if own and settings.pooler else {"options": options}
    return reachable(url, **startup, application_name=f"signalops {role}")


def listening(settings: Settings, role: Role) -> str | None:
    """Return the connection string to listen with; None: a pooler is before PostgreSQL, and no way around it is set."""
    if not settings.pooler:
        return dsn(settings, role)
    if settings.listen_database_url is None:
        return None
    direct = settings.listen_database_url.get_secret_value()
    return reachable(direct, application_name=f"signalops {role}")


def reachable(url: str, **parameters: str) -> str:
    """Return a connection string by which a server that is gone is noticed in time, unless the URL says otherwise."""
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    return make_conninfo(**{**DEFAULTS, **given, **parameters})


def without_password(url: str) -> tuple[str, str | None]:
    """Split a URL into a connection string without its password, and the password: everyone may read a process's arguments."""
    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    return make_conninfo("", **parameters), None if password is None else str(password)


async def autocommit(connection: Connection) -> None:
    """Configure a connection of a pool: without a transaction block of its own a statement costs one round trip."""
    await connection.set_autocommit(True)


async def hasten(connection: Connection) -> None:
    """Configure a connection whose commits do not wait for the disk.

    A crash of the server takes the last of them back, in order and as a whole: only for what is then simply done again.
    """
    await autocommit(connection)
    await connection.execute("set synchronous_commit = off")


def pool(settings: Settings, role: Role, most: int, is_hasty: bool = False) -> Pool:
    """Make a pool (not yet open) whose connections are in autocommit: a lone statement costs one round trip.

    Behind a pooler, what a session sets or prepares stays on a connection of the server's, for whoever gets that next.
    """

    async def configure(connection: Connection) -> None:
        await (hasten if is_hasty and not settings.pooler else autocommit)(connection)
        assert isinstance(connection, WatchedConnection)
        if role == "worker" and not settings.pooler:  # whose process ids are the pooler's
            connection.is_working = partial(_is_working, settings)

    return AsyncConnectionPool(
        lambda: dsn(settings, role),
        connection_class=WatchedConnection,
        kwargs={"prepare_threshold": None} if settings.pooler else None,
        min_size=min(2, most),
        max_size=most,
        configure=configure,
        open=False,
        # Gives up at once, and each further request tries anew: the pool's own pauses double, and outlasted an outage by as
        # long as it had taken.
        timeout=2,
        reconnect_timeout=1,
        name=role,
    )


async def _is_working(settings: Settings, process: int) -> bool:
    """Tell whether the server is at work for a backend of the workers', over a connection of its own."""
    own = settings.worker_database_url
    url = own.get_secret_value() if own else admin_url(settings)
    async with await WatchedConnection.connect(reachable(url), autocommit=True) as connection:
        query = "select from pg_stat_activity where pid = %s and state = 'active'"
        return (await connection.execute(query, [process])).rowcount == 1


@asynccontextmanager
async def as_owner(settings: Settings) -> AsyncIterator[Connection]:
    """Open one connection as the owner, in a transaction: for the command line, which works across tenants."""
    async with await WatchedConnection.connect(dsn(settings, "owner")) as connection:
        await _name_action(connection)
        yield connection


@asynccontextmanager
async def as_platform(connections: Pool) -> AsyncIterator[Connection]:
    """Open a transaction of an operator, across tenants; `act_as` lets it into the rows of one."""
    async with connections.connection() as connection, connection.transaction():
        await _name_action(connection)
        yield connection


async def _name_action(connection: Connection) -> None:
    await connection.execute("select set_config('signalops.action', %s, true)", [_action()])


def reason(error: psycopg.Error) -> str:
    """Return the server's own sentence about an error, without the statement and its values."""
    return error.diag.message_primary or type(error).__name__


_PLAIN = (AttributeError, ImportError, NameError, OSError, TypeError, Unusable)
"""Errors whose text tells of code and installation; that of others may quote what was being worked on."""


def told(error: BaseException) -> str:
    """Return what an error is, for the logs: never a value of a tenant's, which details and texts of errors quote."""
    name = type(error).__name__
    if isinstance(error, psycopg.Error) and error.sqlstate:
        quotes_values = error.sqlstate.startswith("22")
        return f"{name} ({error.sqlstate})" if quotes_values else f"{name} ({error.sqlstate}): {reason(error)}"
    return f"{name}: {error}" if isinstance(error, (*_PLAIN, *OUTAGE)) else name


async def unix_time(connection: Connection) -> float:
    """Return the Unix time by the server's clock."""
    row = await (await connection.execute("select extract(epoch from clock_timestamp())::double precision")).fetchone()
    assert row is not None
    return float(row[0])


async def repair(connections: Pool) -> None:
    """Replace the connections that an outage has broken: else each of them would cost a request of its own.

    The pool's own check before each use backs off a second and more for every broken one.
    """
    with suppress(*OUTAGE):
        await connections.check()


@asynccontextmanager
async def as_tenant(connections: Pool, tenant: TenantId) -> AsyncIterator[Connection]:
    """Open a transaction that sees and writes the rows of one tenant; its end forgets the tenant."""
    async with connections.connection() as connection, connection.transaction():
        # In one round trip.
        statement = "select signalops.act_as(%s), set_config('signalops.action', %s, true)"
        await connection.execute(statement, [tenant, _action()])
        yield connection


async def settled(connection: Connection) -> Settled:
    """Return up to when a list can be shown: what this transaction then reads has no gaps before it.

    A row has its place in a list (an id, mostly) before it is committed: a reader that goes on behind the last row that it was
    shown would never see those whose transactions took longer.
    """
    query = "select date_trunc('milliseconds', clock_timestamp()), signalops.settled_time()"
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return Settled(*row)


async def new_id(connection: Connection) -> UUID:
    """Return a UUIDv7 for a row that this transaction adds to a list: the list's readers wait for it."""
    row = await (await connection.execute("select signalops.new_id()")).fetchone()
    assert row is not None
    identity: UUID = row[0]
    return identity


def _action() -> str:
    action = acting.get()
    return orjson.dumps(asdict(action)).decode() if action else ""


async def act_as(connection: Connection, tenant: TenantId) -> None:
    """Set the tenant of the transaction that a connection is in."""
    await connection.execute("select signalops.act_as(%s)", [tenant])


async def beside(connection: Connection, work: Callable[[], Result]) -> Result:
    """Run in a thread what may take seconds, and return its result; the transaction is not taken for idle meanwhile."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    while not (await asyncio.wait([running], timeout=1))[0]:
        await connection.execute("select 1")
    return running.result()


@asynccontextmanager
async def alone(conninfo: str) -> AsyncIterator[Connection]:
    """Open a connection of no pool, in autocommit: to listen on."""
    async with await WatchedConnection.connect(conninfo, autocommit=True) as connection:
        yield connection


async def listen(conninfo: str, channels: Iterable[str]) -> AsyncIterator[tuple[str, str] | None]:
    """Yield None when listening begins, and channel and payload of each notification; an OUTAGE when the connection is lost."""
    async with alone(conninfo) as connection:
        await connection.execute(sql.SQL("; ").join(sql.SQL("listen {}").format(sql.Identifier(c)) for c in channels))
        yield None
        while True:
            async for notification in connection.notifies(timeout=SILENCE):
                yield notification.channel, notification.payload
            await connection.execute("select 1")  # fails where a connection that is dead would never tell


@cache
def sql_folder() -> Path:
    """Return the folder `sql/`: in the wheel inside the package, in the tree beside it."""
    here = Path(__file__).parent
    for folder in (here / "sql", here.parent / "sql"):
        if folder.is_dir():
            return folder
    raise Unusable("The folder sql/ is missing from this installation: install the package again.")


@cache
def queries(file: str) -> dict[str, LiteralString]:
    """Return the named queries of `sql/queries/<file>.sql`; each begins with a line `-- name: purpose`."""
    text = (sql_folder() / "queries" / f"{file}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- ([a-z-]+): .*\n", text, flags=re.MULTILINE)
    # The files are part of the program, as safe as literals in it.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}
