"""What the operator has, read from the catalogue: the views and functions of ops, and nothing else; and who has what in ops."""

import psycopg
import pytest

from tests.sql.ops.conftest import Ops

VIEWS = {
    *(
        "actions",
        "backtests",
        "connections",
        "dead_letters",
        "deliveries",
        "delivery_health",
        "outlook",
        "inbox_by_tenant",
        "job_history",
        "locks",
    ),
    *("alerts", "partitions", "queue_health", "running_jobs", "sessions", "slow_rules", "tables", "tenant_usage", "workers"),
}
FUNCTIONS = {
    *(
        "pause_queue",
        "resume_queue",
        "drain_queue",
        "suspend_tenant",
        "resume_tenant",
        "retry_dead_letters",
        "discard_dead_letters",
    ),
    *("retry_deliveries", "cancel_deliveries", "retry_job", "cancel_job"),
}
MEASURING = {"measurements"}
"""What the API's scrape of the metrics asks, as the platform."""
COMPUTING = {"activity", "queues", "uuid7_time", "uuid7_floor", "period_of", "period_start"}
"""What the views compute with, which a view lets only those do who may do it themselves."""
OURS = "nspname in ('signalops', 'procrastinate', 'yoyo', 'ops', 'public')"


def names(owner: psycopg.Connection, query: str) -> set[str]:
    return {name for (name,) in owner.execute(query.encode())}


def test_the_operator_s_privileges_are_exactly_these(owner: psycopg.Connection) -> None:
    operator = "grantee = 'signalops_operator'::regrole"
    relations = f"""select relname from pg_class, aclexplode(relacl) where {operator}
        union all select attrelid::regclass || '.' || attname from pg_attribute, aclexplode(attacl) where {operator}
        union all select relname || ' ' || privilege_type from pg_class, aclexplode(relacl)
          where {operator} and privilege_type <> 'SELECT'"""
    assert names(owner, relations) == VIEWS
    functions = f"select proname from pg_proc, aclexplode(proacl) where {operator}"
    assert names(owner, functions) == FUNCTIONS | MEASURING | COMPUTING
    schemas = f"select nspname || ' ' || privilege_type from pg_namespace, aclexplode(nspacl) where {operator}"
    assert names(owner, schemas) == {"ops USAGE"}
    others = f"""select 'default privileges' from pg_default_acl, aclexplode(defaclacl) where {operator}
        union all select datname from pg_database, aclexplode(datacl) where {operator} and datname = current_database()
        union all select roleid::regrole::text from pg_auth_members where member = 'signalops_operator'::regrole"""
    assert names(owner, others) == set()


def test_what_everybody_has_opens_no_other_door(owner: psycopg.Connection) -> None:
    schemas = f"select nspname from pg_namespace where {OURS} and has_schema_privilege('signalops_operator', oid, 'usage')"
    assert names(owner, schemas) == {"ops", "public"}
    readable = f"""select relname from pg_class c join pg_namespace n on n.oid = relnamespace where {OURS}
        and relkind in ('r', 'p', 'v', 'm', 'f', 'S') and case when relkind = 'S'
          then has_sequence_privilege('signalops_operator', c.oid, 'usage, select, update')
          else has_any_column_privilege('signalops_operator', c.oid, 'select, insert, update, references') end"""
    assert names(owner, readable) == VIEWS
    callable_ = """select proname from pg_proc where pronamespace = 'ops'::regnamespace
        and has_function_privilege('signalops_operator', oid, 'execute')"""
    assert names(owner, callable_) == FUNCTIONS | MEASURING | COMPUTING & {"activity", "queues"}


@pytest.mark.parametrize(
    "statement",
    [
        "select from signalops.events",
        "select from signalops.audit_log",
        "select signalops.uuid7_time(null)",
        "select from procrastinate.procrastinate_jobs",
        "select from yoyo._yoyo_migration",
        "select from ops.paused_queues",
        "delete from ops.paused_queues",
        "select ops.find_tenant('acme')",
        "select ops.log_installation_action('x', 'x', '{}')",
    ],
)
def test_the_operator_is_refused_all_else(ops: Ops, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ops.run(statement)


@pytest.mark.parametrize("role", ["api", "worker", "platform"])
def test_no_process_uses_the_views_and_functions_but_to_measure(owner: psycopg.Connection, role: str) -> None:
    views = f"""select relname from pg_class where relnamespace = 'ops'::regnamespace
        and has_any_column_privilege('signalops_{role}', oid, 'select, insert, update')"""
    assert names(owner, views) == ({"paused_queues"} if role == "worker" else set())
    functions = f"""select proname from pg_proc where pronamespace = 'ops'::regnamespace
        and has_function_privilege('signalops_{role}', oid, 'execute')"""
    assert names(owner, functions) == (MEASURING if role == "platform" else set())
    usage = f"select has_schema_privilege('signalops_{role}', 'ops', 'usage')"
    assert owner.execute(usage.encode()).fetchone() == (role in ("worker", "platform"),)


def test_everything_in_ops_says_what_it_is(owner: psycopg.Connection) -> None:
    mute = """select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind in ('r', 'v')
          and obj_description(oid, 'pg_class') is null
        union all select attrelid::regclass || '.' || attname from pg_attribute join pg_class c on c.oid = attrelid
          where relnamespace = 'ops'::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped
            and col_description(attrelid, attnum) is null
        union all select proname from pg_proc
          where pronamespace = 'ops'::regnamespace and obj_description(oid, 'pg_proc') is null"""
    assert names(owner, mute) == set()
    with owner.transaction(force_rollback=True):
        owner.execute("comment on column ops.locks.mode is null")
        assert names(owner, mute) == {"ops.locks.mode"}


def test_what_acts_as_the_owner_has_a_fixed_search_path(owner: psycopg.Connection) -> None:
    loose = """select proname from pg_proc where pronamespace = 'ops'::regnamespace and prosecdef and not exists (
        select from unnest(proconfig) as setting where setting ~ '^search_path=.*, pg_temp$')"""
    assert names(owner, loose) == set()
    definers = "select proname from pg_proc where pronamespace = 'ops'::regnamespace and prosecdef"
    assert names(owner, definers) == FUNCTIONS | MEASURING | {"activity"}


def test_no_view_shows_payloads_or_secrets(owner: psycopg.Connection) -> None:
    """By the columns of tables that the views depend on."""
    read = """select distinct d.refobjid::regclass::text || '.' || a.attname from pg_depend d
        join pg_rewrite r on r.oid = d.objid join pg_class v on v.oid = r.ev_class and v.relnamespace = 'ops'::regnamespace
        join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass"""
    columns = names(owner, read)
    assert "signalops.deliveries.status" in columns
    kept_away = {
        "payload",
        "attributes",
        "config",
        "secret",
        "hash",
        "template",
        "window_context",
        "change",
        "request",
        "result",
        "answer",
    }
    assert {column for column in columns if column.split(".")[-1] in kept_away} == set()
    assert not any(column.startswith("signalops.events.") for column in columns)
