"""A row of every tenant table, put where triggers and foreign keys don't matter. The rows: signalops/watch/isolation/rows.py."""

from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from signalops import clock
from signalops.watch.isolation.rows import Row, rows_of


def insert(connection: psycopg.Connection, table: str, row: Row) -> int:
    """Insert a row, as whoever the connection is; return how many were."""
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    statement = sql.SQL("insert into {0} ({1}) select {1} from jsonb_populate_record(null::{0}, %s)").format(
        sql.Identifier("signalops", table), columns
    )
    return connection.execute(statement, [orjson.dumps(row).decode()]).rowcount


def fill(owner: psycopg.Connection, tenant: UUID) -> dict[str, Row]:
    """Store a row of each table; return them."""
    rows = rows_of(tenant, clock.now())
    with owner.transaction():
        # Without triggers: the rule would count its own change into rulesets.
        owner.execute("set local session_replication_role = replica")
        for table, row in rows.items():
            insert(owner, table, row)
    return rows
