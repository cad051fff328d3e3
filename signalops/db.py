"""The database: who we are there, pools of connections, transactions of one tenant, and the named queries of `sql/`."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Literal, LiteralString, cast

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from signalops import embedded
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.terms import TenantId

Role = Literal["owner", "api", "worker", "operator"]
Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

# A jobs table that was vacuumed while empty leaves cached generic plans that scan it as if it still were: seconds a fetch.
SESSION = "-c plan_cache_mode=force_custom_plan -c timezone=UTC -c search_path=signalops,procrastinate"


def admin_url(settings: Settings) -> str:
    """Return the URL of the login that everything is derived from: DATABASE_URL, or the embedded server's superuser."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return embedded.url(settings.data, settings.embedded_version)


def dsn(settings: Settings, role: Role) -> str:
    """Return the connection string with which a process works in a role, never as the login itself."""
    own = {"api": settings.api_database_url, "worker": settings.worker_database_url}.get(role)
    url = own.get_secret_value() if own else admin_url(settings)
    return make_conninfo(
        url, options=f"-c role=signalops_{role} {SESSION}", application_name=f"signalops {role}", connect_timeout=10
    )


async def _autocommit(connection: Connection) -> None:
    await connection.set_autocommit(True)


def pool(settings: Settings, role: Role, most: int) -> Pool:
    """Make a pool (not yet open) whose connections are in autocommit: a lone statement costs one round trip."""
    return AsyncConnectionPool(
        dsn(settings, role), min_size=min(2, most), max_size=most, configure=_autocommit, open=False, timeout=5, name=role
    )


@asynccontextmanager
async def as_tenant(connections: Pool, tenant: TenantId) -> AsyncIterator[Connection]:
    """Open a transaction that sees and writes the rows of one tenant; its end forgets the tenant."""
    async with connections.connection() as connection, transaction_of(connection, tenant):
        yield connection


@asynccontextmanager
async def transaction_of(connection: Connection, tenant: TenantId) -> AsyncIterator[None]:
    """Open a transaction on a connection at hand, with the tenant set."""
    async with connection.transaction():
        await connection.execute("select signalops.act_as(%s)", [tenant])
        yield


@cache
def sql_folder() -> Path:
    """Return the folder `sql/`: in the wheel inside the package, in the tree beside it."""
    here = Path(__file__).parent
    for folder in (here / "sql", here.parent / "sql"):
        if folder.is_dir():
            return folder
    raise Unusable("The folder sql/ is missing from this installation: install the package again.")


@cache
def queries(station: str) -> dict[str, LiteralString]:
    """Return the named queries of `sql/queries/<station>.sql`; each begins with a line `-- name: purpose`."""
    text = (sql_folder() / "queries" / f"{station}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- ([a-z-]+): .*\n", text, flags=re.MULTILINE)
    # The files are part of the program, as safe as literals in it.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}
