"""Every metric: name, kind, labels and description. The table in the manual is generated from it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Part = Literal["api", "worker"]
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds in seconds of what should take milliseconds."""
SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0)
"""Bounds in seconds of what others are waited for."""
SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
"""Bounds of how many there are of something."""


@dataclass(frozen=True)
class Metric:
    """A metric; a histogram has the bounds of its buckets, and is exposed as _bucket, _sum and _count."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    part: Part | None = None
    """The only part whose processes count it; None: both do."""


COUNTED = (
    Metric("signalops_requests_total", "counter", ("operation", "status"), "Requests that were answered.", part="api"),
    Metric(
        "signalops_request_seconds",
        "histogram",
        ("operation",),
        "How long requests took until the answer began.",
        FAST,
        part="api",
    ),
    Metric(
        "signalops_events_total",
        "counter",
        ("outcome",),
        "Events: accepted, duplicate, over_limit (stored beyond a limit), or refused, singly or as items of a batch.",
        part="api",
    ),
    Metric(
        "signalops_rejections_total",
        "counter",
        ("reason",),
        "Refused requests and items of batches, by kind of problem.",
        part="api",
    ),
    Metric("signalops_flush_events", "histogram", (), "Events that one flush decided about.", SIZES, part="api"),
    Metric("signalops_flush_seconds", "histogram", (), "How long a flush took.", FAST, part="api"),
    Metric("signalops_batches_total", "counter", (), "Batches that were processed.", part="worker"),
    Metric("signalops_batch_seconds", "histogram", (), "How long a batch took.", FAST, part="worker"),
    Metric("signalops_processed_events_total", "counter", (), "Events that were processed.", part="worker"),
    Metric("signalops_matches_total", "counter", (), "Rules that matched events.", part="worker"),
    Metric(
        "signalops_lag_seconds",
        "histogram",
        (),
        "From when the oldest event of a batch was stored to when the batch was processed.",
        SLOW,
        part="worker",
    ),
    Metric(
        "signalops_events_dead_lettered_total", "counter", (), "Events that could not be processed: dead letters.", part="worker"
    ),
    Metric(
        "signalops_attempts_total", "counter", ("kind", "outcome"), "Attempts at deliveries, by kind of channel.", part="worker"
    ),
    Metric("signalops_attempt_seconds", "histogram", ("kind",), "How long attempts took.", SLOW, part="worker"),
    Metric(
        "signalops_deliveries_dead_lettered_total", "counter", (), "Deliveries that were given up: dead letters.", part="worker"
    ),
    Metric("signalops_jobs_rescued_total", "counter", (), "Jobs of silent workers that were given to others.", part="worker"),
    Metric("signalops_jobs_requeued_total", "counter", (), "Jobs that were missing and enqueued again.", part="worker"),
    Metric(
        "signalops_clock_correction_seconds",
        "gauge",
        (),
        "By how much the process corrects its machine's clock, to go by PostgreSQL's; 0: they agree.",
    ),
    Metric("signalops_pool_connections", "gauge", ("pool", "state"), "Database connections of the process: used or idle."),
    Metric("signalops_pool_waiting", "gauge", ("pool",), "Who waits in the process for a database connection."),
)
SCRAPE = (
    Metric("signalops_database_up", "gauge", (), "Whether the database answered the scrape: 1 or 0."),
    Metric("signalops_measure_seconds", "gauge", (), "How long the database took to measure itself."),
)
MEASURED = (
    Metric("signalops_jobs", "gauge", ("queue", "state"), "Jobs: ready, scheduled, doing or failed."),
    Metric("signalops_oldest_job_seconds", "gauge", ("queue",), "How long the first ready job has waited; 0 without one."),
    Metric("signalops_queue_paused", "gauge", ("queue",), "Whether the queue is paused: 1 or 0."),
    Metric("signalops_workers", "gauge", ("state",), "Workers that are alive, or silent for 5 seconds."),
    Metric("signalops_inbox_events", "gauge", (), "Events that are stored and not processed yet."),
    Metric("signalops_inbox_parked_events", "gauge", (), "Those of them whose tenant is suspended."),
    Metric(
        "signalops_inbox_oldest_seconds",
        "gauge",
        (),
        "How long the first has waited, without replays and parked events; 0 without one.",
    ),
    Metric("signalops_deliveries", "gauge", ("kind", "state"), "Deliveries under way: pending, sending or retrying."),
    Metric(
        "signalops_circuit_breakers",
        "gauge",
        ("kind", "state"),
        "Circuits of channels: closed, or open until an attempt succeeds.",
    ),
    Metric("signalops_channels_disabled", "gauge", ("kind",), "Channels that are disabled."),
    Metric("signalops_dead_letters", "gauge", (), "Dead letters that nobody retried or discarded."),
    Metric(
        "signalops_limit_used_ratio",
        "gauge",
        ("tenant", "meter"),
        "What tenants used of their hard limit, or else of the soft one; the 100 highest.",
    ),
    Metric("signalops_table_bytes", "gauge", ("table",), "Size with indexes, partitions summed."),
    Metric("signalops_table_live_rows", "gauge", ("table",), "Rows, as PostgreSQL estimates them."),
    Metric("signalops_table_dead_rows", "gauge", ("table",), "Rows that wait for vacuum, as PostgreSQL estimates them."),
    Metric("signalops_oldest_transaction_seconds", "gauge", (), "Age of the oldest open transaction; 0 without one."),
    Metric("signalops_partition_months_ahead", "gauge", ("table",), "Months after this one that have their partition already."),
    Metric("signalops_replication_lag_seconds", "gauge", ("replica",), "How far a replica is behind in replaying."),
    Metric("signalops_db_connections", "gauge", ("role",), "Connections of the database, by the role they work in."),
)
METRICS = {metric.name: metric for metric in (*COUNTED, *SCRAPE, *MEASURED)}
"""Every metric by name. Processes count COUNTED, the database MEASURED (ops.measurements); SCRAPE are about that query."""
