"""Every table that is written for each event or job has settings of its own, and so has every partition, old and new."""

import psycopg

HOT = {
    "updated": [
        *(
            "inbox",
            "accepted_counters",
            "usage_counters",
            "send_targets",
            "channel_schedules",
            "rule_states",
            "window_events",
            "digests",
        ),
        *("rate_buckets", "deliveries"),
    ],
    "inserted": ["events", "matches", "batch_results", "usage_entries", "delivery_attempts", "idempotency_keys", "audit_log"],
}
NEEDED = {"updated": "autovacuum_vacuum_scale_factor", "inserted": "autovacuum_vacuum_insert_scale_factor"}
SETTINGS = """
  select c.relname, coalesce(c.reloptions, '{}') from pg_class c
  where c.relnamespace = 'signalops'::regnamespace and c.relkind = 'r'
    and (c.relname = %(table)s or exists (
      select from pg_inherits i where i.inhrelid = c.oid and i.inhparent = to_regclass('signalops.' || %(table)s)))
"""


def test_hot_tables_are_vacuumed_early(owner: psycopg.Connection) -> None:
    owner.execute("select signalops.make_partitions(5)")  # two more months than there were
    for kind, tables in HOT.items():
        for table in tables:
            found: dict[str, list[str]] = dict(owner.execute(SETTINGS, {"table": table}).fetchall())
            assert len(found) in (1, 6), table
            lax = [name for name, options in found.items() if not any(o.startswith(NEEDED[kind]) for o in options)]
            assert lax == []


def test_the_queue_s_tables_are_vacuumed_at_a_fiftieth(owner: psycopg.Connection) -> None:
    for table in ("procrastinate_jobs", "procrastinate_events"):
        (options,) = owner.execute(
            "select reloptions from pg_class where oid = ('procrastinate.' || %s)::regclass", [table]
        ).fetchone() or ([],)
        (factor,) = [o.partition("=")[2] for o in options if o.startswith("autovacuum_vacuum_scale_factor")]
        assert float(factor) <= 0.05
