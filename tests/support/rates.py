"""Rate limits for tests, set as the owner sets them, and what is in the buckets."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from tests.support.api import Answer
from tests.support.tenants import Tenant


class Bucket(NamedTuple):
    level: float
    at: datetime


def set_rate(owner: psycopg.Connection, tenant: Tenant, rate: float | None, burst: int | None) -> None:
    """Set how many events a tenant may bring in; None: as many as come."""
    change = "update signalops.tenants set rate_per_second = %s, rate_burst = %s where id = %s"
    owner.execute(change, [rate, burst, tenant.id])


def bucket(owner: psycopg.Connection, tenant: Tenant, name: str = "tenant") -> Bucket:
    """Return the tokens of a bucket, and when."""
    query = "select level, at from signalops.rate_buckets where tenant_id = %s and bucket = %s"
    row = owner.execute(query, [tenant.id, name]).fetchone()
    assert row is not None, f"there is no bucket {name}"
    return Bucket(*row)


def let_pass(owner: psycopg.Connection, seconds: float) -> None:
    """Have the buckets believe that so much time has passed."""
    owner.execute("update signalops.rate_buckets set at = at - make_interval(secs => %s)", [seconds])


def verdicts(answer: Answer) -> list[str]:
    """Return what became of the items of a batch: their status, or the kind of their problem."""
    results: list[dict[str, Any]] = answer.json["results"]
    return [r["problem"]["type"].rpartition(":")[2] if "problem" in r else r["status"] for r in results]
