"""The hot statements go through the indexes that were made for them, and through the partitions concerned alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import orjson
import psycopg
import pytest
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.config import Settings
from tests.sql.scans import scanned
from tests.support.bulk_rows import BulkRows, store_bulk_rows
from tests.support.databases import Databases

PROBED = {"api_keys_pkey"}
"""The planner itself looks at the ends of this index, to estimate a join."""


class Hot:
    """A statement of a role, with what it may scan: an index (or table) and how many partitions of it."""

    def __init__(self, role: db.Role, file: str, query: str, may_scan: dict[str, int], **parameters: object) -> None:
        self.role, self.file, self.query, self.may_scan = role, file, query, may_scan
        self.statement: LiteralString = db.queries(file)[query]
        self.parameters = parameters

    def __repr__(self) -> str:
        variant = self.parameters.get("type") or self.parameters.get("about", "")
        return f"{self.query} {variant}".strip()


def part_of(tenant: UUID, meters_version: int) -> dict[str, Any]:
    """Return what was done with a tenant's only event of a new batch."""
    batch = clock.new_id()
    part = {"tenant": tenant, "batch": batch, "counted_in": batch, "ruleset_version": 1, "rules": 1}
    return part | {"meters_version": meters_version, "events": 1, "dead": 0, "billed": 1}


def group_rows() -> str:
    """Return results whose one match belongs to a window."""
    tenant, rule = clock.new_id(), clock.new_id()
    event = {"event": clock.new_id(), "at": clock.now(), "value": "1", "delivery": clock.new_id(), "causation_depth": 0}
    group = {"tenant": tenant, "rule": rule, "version": 1, "state_version": 1, "channel": rule, "group": "[]", "labels": {}}
    group |= {"kind": "count", "threshold": "1", "span": "60 seconds", "lateness": "60 seconds", "events": [event]}
    part = part_of(tenant, meters_version=0)
    return orjson.dumps({"parts": [part], "matches": [], "groups": [group], "dead": []}).decode()


def metered() -> str:
    """Return results that add to a counter."""
    tenant, now = clock.new_id(), clock.now()
    part = part_of(tenant, meters_version=1)
    entry = {
        "tenant": tenant,
        "id": clock.new_id(),
        "batch": part["batch"],
        "meter": "users",
        "aggregation": "unique_count",
        "group_key": "[]",
    }
    entry |= {"hour": now, "period": now.date().replace(day=1), "is_late": False, "events": 1}
    entry |= {"event_ids": [clock.new_id()], "items": ["1"]}
    return orjson.dumps({"parts": [part], "matches": [], "groups": [], "dead": [], "metered": [entry]}).decode()


STATEFUL_RULES = {
    **{"batch_results_pkey": 1, "matches_pkey": 1, "rule_states_pkey": 1, "window_events_pkey": 1, "channel_schedules_pkey": 1}
}
METERED = {"batch_results_pkey": 1, "usage_counters_pkey": 1, "usage_distinct_values_pkey": 1}
FIRE_DUE = {
    "tenants_suspended": 1,
    "tenants_pkey": 1,
    "digests_by_due": 1,
    "digests_pkey": 1,
    "rule_states_by_due": 1,
    "rule_states_pkey": 1,
    "inbox_pkey": 1,
}
TIDY = {
    "tenants_suspended": 1,
    "rule_states_by_expiry": 1,
    "rule_states_pkey": 1,
    "window_events_pkey": 1,
    "deliveries_by_turn": 4,
    "channel_schedules_pkey": 1,
}
ENQUEUE_DUE = {
    **{
        "tenants_suspended": 1,
        "channel_schedules_by_due": 1,
        "channel_schedules_pkey": 1,
        "send_targets_pkey": 1,
        "deliveries_by_turn": 4,
        "deliveries_pkey": 1,
    }
}
HOT = [
    Hot("api", "access/access", "find-keys", {"tenants_pkey": 1, "api_keys_by_prefix": 1}),
    Hot("api", "ingest/ingest", "accept", {"tenants_pkey": 1, "idempotency_keys_pkey": 1}),
    Hot(
        "worker", "inbox/inbox", "read-batch", {"tenants_suspended": 1, "tenants_pkey": 1, "inbox_by_batch": 1, "events_pkey": 2}
    ),
    Hot("worker", "inbox/inbox", "record-batch", {"batch_results_pkey": 1, "matches_pkey": 1, "channel_schedules_pkey": 1}),
    Hot("worker", "inbox/inbox", "record-batch", STATEFUL_RULES, results=group_rows(), about="group_rows"),
    Hot("worker", "inbox/inbox", "record-batch", METERED, results=metered(), about="metered"),
    Hot("worker", "rules/rules", "active-rules", {}),
    Hot("worker", "usage/meters", "active-meters", {"tenants_pkey": 1, "meters_active": 1}),
    Hot("worker", "inbox/inbox", "enqueue-due", ENQUEUE_DUE),
    Hot("worker", "inbox/inbox", "fire-due", FIRE_DUE),
    Hot("worker", "inbox/inbox", "tidy", TIDY),
    Hot(
        "worker",
        "send/send",
        "claim-deliveries",
        {"tenants_suspended": 1, "tenants_pkey": 1, "deliveries_pkey": 1, "send_targets_pkey": 1, "events_pkey": 1},
    ),
    Hot("worker", "send/send", "settle-deliveries", {"deliveries_pkey": 1, "send_targets_pkey": 1}),
    Hot(
        "api",
        "watch/watch",
        "event",
        {"tenants_pkey": 1, "events_pkey": 1, "inbox_pkey": 1, "dead_letters_pkey": 1, "batch_results_pkey": 1},
    ),
    Hot("api", "watch/watch", "matches-of-event", {"matches_pkey": 1}),
    Hot(
        "api",
        "watch/watch",
        "deliveries-of-event",
        {"deliveries_by_event": 4, "delivery_attempts_pkey": 1, "dead_letters_pkey": 1},
    ),
    Hot("api", "ingest/ingest", "list-events", {"events_pkey": 4, "inbox_pkey": 1, "dead_letters_pkey": 1}, type=None),
    Hot("api", "ingest/ingest", "list-events", {"events_by_type": 4, "inbox_pkey": 1, "dead_letters_pkey": 1}, type="rare.type"),
]
each_hot_statement = pytest.mark.parametrize("hot", HOT, ids=repr)


def parameters_of(owner: psycopg.Connection, tenant: UUID) -> dict[str, Any]:
    """Parameters of every hot statement: of a tenant's rows, or of nothing when there are none."""

    def found(query: LiteralString) -> Any:
        row = owner.execute(query, {"tenant": tenant}).fetchone()
        return row[0] if row else clock.new_id()

    now, new = clock.now(), clock.new_id()
    new_event = {"id": new, "type": "a.b", "occurred_at": now, "received_at": now, "payload": {}, "key": "new", "hash": "00"}
    match = {"tenant": tenant, "event": new, "rule": new, "version": 1, "channel": new, "delivery": new}
    decided = {"parts": [part_of(tenant, meters_version=0)], "matches": [match], "dead": []}
    delivery = found("select id from signalops.deliveries where tenant_id = %(tenant)s and status = 'pending' limit 1")
    attempt = {"tenant": str(tenant), "delivery": str(delivery), "attempt": 2, "started_at": now.isoformat()}
    attempt |= {"duration_ms": 1, "outcome": "sent", "status": "sent"}
    ids = {"tenant": tenant, "prefix": "xxxxxxxxxxxx7_10", "job": 1, "worker": "w", "priority": 0, "at_most": 1000}
    return ids | {
        "flush": orjson.dumps([{"tenant": tenant} | new_event]),
        "buckets": None,
        "demand": orjson.dumps([{"tenant": tenant, "meter": "events", "amount": 1, "limited_meters_version": 0}]),
        "results": orjson.dumps(decided).decode(),
        "batch": found("select batch from signalops.inbox where tenant_id = %(tenant)s order by batch limit 1"),
        "event": found("select id from signalops.events where tenant_id = %(tenant)s and type = 'rare.type' order by id limit 1"),
        "requested": Jsonb([{"tenant": str(tenant), "delivery": str(delivery)}]),
        "busy": list[UUID](),
        "attempts": Jsonb([attempt]),
        **{"status": None, "lower": UUID(int=0), "upper": UUID(int=2**128 - 1), "limit": 20},
    }


@contextmanager
def session(settings: Settings, hot: Hot, tenant: UUID) -> Iterator[psycopg.Connection]:
    """A session as the product has it, with a tenant set for good."""
    with psycopg.connect(db.dsn(settings, hot.role), autocommit=True) as connection:
        connection.execute("select set_config('signalops.tenant_id', %s, false)", [str(tenant)])
        yield connection


def scans_of(connection: psycopg.Connection, hot: Hot, parameters: dict[str, Any]) -> dict[str, int]:
    with scanned(connection) as seen:
        connection.execute(hot.statement, parameters | hot.parameters, prepare=True)
    return {name: len(partitions) for name, partitions in seen.items() if name not in PROBED}


def check(scans: dict[str, int], hot: Hot) -> None:
    """Exactly the indexes that were meant, none in more partitions than it must be, and no table in whole."""
    assert scans.keys() == hot.may_scan.keys()
    assert all(scans[name] <= most for name, most in hot.may_scan.items()), f"{scans} is more than {hot.may_scan}"


@each_hot_statement
def test_plans_use_the_index_made_for_them(bulk: BulkRows, hot: Hot) -> None:
    parameters = parameters_of(bulk.owner, bulk.tenant)
    with session(bulk.settings, hot, bulk.tenant) as connection:
        check(scans_of(connection, hot, parameters), hot)
        if hot.parameters.get("type"):
            return  # an optional filter can use its index only when the plan is made for its value, as our sessions have it
        connection.execute("set plan_cache_mode = force_generic_plan")
        check(scans_of(connection, hot, parameters), hot)


class Grown(NamedTuple):
    """A database that had no rows when the sessions began, each of which then ran its statement, and has many now."""

    sessions: dict[str, psycopg.Connection]
    rows: BulkRows


@contextmanager
def grown(databases: Databases, hots: Sequence[Hot]) -> Iterator[Grown]:
    """Make such a database."""
    with databases.empty(databases.template) as settings, ExitStack() as stack:
        owner = stack.enter_context(psycopg.connect(db.admin_url(settings), autocommit=True))
        owner.execute("vacuum analyze")
        tenant = clock.new_id()
        sessions = {repr(hot): stack.enter_context(session(settings, hot, tenant)) for hot in hots}
        for hot in hots:
            for _ in range(7):  # from the sixth on PostgreSQL may keep a generic plan
                scans_of(sessions[repr(hot)], hot, parameters_of(owner, tenant))
        store_bulk_rows(owner, tenant)
        yield Grown(sessions, BulkRows(settings, owner, tenant))


@pytest.fixture(scope="module")
def grown_for_sending(databases: Databases) -> Iterator[Grown]:
    """For the statements of sending: the rows that others leave in indexes, rolled back, would change their plans."""
    with grown(databases, [hot for hot in HOT if hot.file.startswith("send/")]) as made:
        yield made


@pytest.fixture(scope="module")
def grown_for_others(databases: Databases) -> Iterator[Grown]:
    """For all other statements."""
    with grown(databases, [hot for hot in HOT if not hot.file.startswith("send/")]) as made:
        yield made


@each_hot_statement
def test_plans_of_an_empty_database_do_not_outlive_it(request: pytest.FixtureRequest, hot: Hot) -> None:
    made: Grown = request.getfixturevalue("grown_for_sending" if hot.file.startswith("send/") else "grown_for_others")
    parameters = parameters_of(made.rows.owner, made.rows.tenant)
    check(scans_of(made.sessions[repr(hot)], hot, parameters), hot)
