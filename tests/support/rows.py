"""Rows of the product's tables, stored as a superuser: defaults for every column, and what a test says instead of them."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from signalops import clock
from tests.support.tenant_rows import Row, rows_of

NOBODY_LISTENS = "http://127.0.0.1:9/"
"""A URL that refuses connections."""


def insert(connection: psycopg.Connection, table: str, row: Row) -> int:
    """Insert a row by the connection's role; return the number of rows."""
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    statement = sql.SQL("insert into {0} ({1}) select {1} from jsonb_populate_record(null::{0}, %s)").format(
        sql.Identifier("signalops", table), columns
    )
    return connection.execute(statement, [orjson.dumps(row, default=_exact).decode()]).rowcount


def add_early_partition(connection: psycopg.Connection, table: str) -> None:
    """Add a partition for rows older than this month: without it a test in a month's first hours has no place for them."""
    connection.execute(
        f"do $$ begin execute format('create table signalops.{table}_early partition of signalops.{table}"
        " for values from (%L) to (%L)', '00000000-0000-0000-0000-000000000000',"
        " signalops.uuid7_floor(date_trunc('month', now(), 'UTC'))); end $$".encode()
    )


def _exact(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} is no JSON")


def fill(owner: psycopg.Connection, tenant: UUID) -> dict[str, Row]:
    """Store a row of each table; return them."""
    rows = rows_of(tenant, clock.now())
    with owner.transaction():
        # Without triggers: the rule would count its own change into ruleset_versions.
        owner.execute("set local session_replication_role = replica")
        for table, row in rows.items():
            insert(owner, table, row)
    return rows


def add(owner: psycopg.Connection, table: str, tenant: UUID, **columns: Any) -> UUID:
    """Store a row of a tenant with an id of its own, and other columns as given; return its id.

    Columns that are not given are as in `rows_of`, where each reference is the tenant's id: give those that must exist.
    """
    identity = columns.get("id") or clock.new_id()
    row = rows_of(tenant, clock.now())[table]
    insert(owner, table, row | ({"id": identity} if "id" in row else {}) | columns)
    return UUID(str(identity))


def add_event(owner: psycopg.Connection, tenant: UUID, payload: Row | None = None, **columns: Any) -> UUID:
    """Store an event; return its id. `waits=True`: it is in the inbox too, and not processed yet."""
    waits = columns.pop("waits", False)
    batch = columns.pop("batch", None) or clock.new_id()
    event = add(owner, "events", tenant, payload=payload or {}, batch=batch, **columns)
    if waits:
        insert(owner, "inbox", {"tenant_id": tenant, "event_id": event, "batch": batch})
    return event


def add_channel(owner: psycopg.Connection, tenant: UUID, url: str = NOBODY_LISTENS, **columns: Any) -> UUID:
    """Store a webhook channel; return its id."""
    channel = columns.setdefault("id", clock.new_id())
    return add(owner, "channels", tenant, **{"name": f"channel {channel}", "config": {"url": url}} | columns)


def add_rule(owner: psycopg.Connection, tenant: UUID, channel: UUID, **columns: Any) -> UUID:
    """Store a rule and its first version, whose columns are given (pattern, template, time_window ...); return its id."""
    rule = clock.new_id()
    with owner.transaction():
        add(owner, "rules", tenant, id=rule, name=f"rule {rule}")
        add(owner, "rule_versions", tenant, rule_id=rule, channel_id=channel, **columns)
    return rule


def add_delivery(owner: psycopg.Connection, tenant: UUID, channel: UUID, rule: UUID, event: UUID, **columns: Any) -> UUID:
    """Store a pending delivery of an event by a rule; return its id."""
    return add(owner, "deliveries", tenant, channel_id=channel, rule_id=rule, event_id=event, **columns)


def add_meter(owner: psycopg.Connection, tenant: UUID, key: str, aggregation: str = "count", **columns: Any) -> None:
    """Store a meter, as of the tenant's next version unless `first_version` is given."""
    row = rows_of(tenant, clock.now())["meters"]
    del row["first_version"]
    insert(owner, "meters", row | {"key": key, "name": key.title(), "aggregation": aggregation} | columns)


def add_subscription(owner: psycopg.Connection, tenant: UUID, plan: str, terms: Row, starts_on: date) -> None:
    """Store that a tenant has a plan from a day on."""
    add(owner, "subscriptions", tenant, plan=plan, terms=terms, starts_on=starts_on, author="ann")
