"""Rows for the views to show, and the operator's eyes."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from signalops import clock, db
from signalops.config import Settings
from tests.support.rows import insert
from tests.support.rules import make_rule
from tests.support.tenants import Tenant

Shown = dict[str, Any]


class Ops:
    """An installation whose rows are put, whatever its triggers say, and what its operator then sees and does."""

    def __init__(self, owner: psycopg.Connection, operator: psycopg.Connection) -> None:
        self.owner = owner
        self._operator = operator
        owner.execute("set search_path = procrastinate")  # whose triggers name their tables so

    def put(self, table: str, tenant: Tenant, **row: Any) -> None:
        """Insert a row of a tenant."""
        with self.owner.transaction():
            self.owner.execute("set local session_replication_role = replica")
            insert(self.owner, table, {"tenant_id": tenant.id, **row})

    def job(self, queue: str, status: str, task: str = "task", worker: int | None = None, **events: timedelta) -> int:
        """Make a job with its events, each so long ago; return its number."""
        with self.owner.transaction():
            ((job,),) = self.owner.execute(
                "insert into procrastinate_jobs (queue_name, task_name, status, worker_id) values (%s, %s, %s, %s) returning id",
                [queue, task, status, worker],
            )
            self.owner.execute("delete from procrastinate_events where job_id = %s", [job])
            for kind, ago in events.items():
                self.owner.execute(
                    "insert into procrastinate_events (job_id, type, at) values (%s, %s, now() - %s)", [job, kind, ago]
                )
        return int(job)

    def worker(self, silent_for: float = 0) -> int:
        """Make a worker that was last heard of so many seconds ago; return its number."""
        ((worker,),) = self.owner.execute(
            "insert into procrastinate_workers (last_heartbeat) values (now() - %s * interval '1 s') returning id", [silent_for]
        )
        return int(worker)

    def see(self, rest: str, *parameters: object) -> list[Shown]:
        """Return the rows of a view, given its name and what follows it, as the operator sees them."""
        cursor = self._operator.cursor(row_factory=dict_row)
        return cursor.execute(f"select * from ops.{rest}".encode(), parameters).fetchall()

    def one(self, rest: str, *parameters: object) -> Shown:
        """Return the only row."""
        (row,) = self.see(rest, *parameters)
        return row

    def do(self, call: str, *parameters: object) -> Any:
        """Return what a function of ops answers the operator."""
        row = self._operator.execute(f"select ops.{call}".encode(), parameters).fetchone()
        return row and row[0]

    def run(self, statement: str) -> None:
        """Run a statement as the operator."""
        self._operator.execute(statement.encode())

    def frozen(self, call: str) -> Any:
        """Call a function in a transaction whose snapshot is older than what happens during the call."""
        with self._operator.transaction():
            self._operator.execute("set transaction isolation level repeatable read")
            return self.do(call)

    def noted(self) -> list[tuple[Any, ...]]:
        """Return what was noted in the audit log by SQL, oldest first: tenant, action, target."""
        query = "select tenant, action, target_id from ops.actions where actor_kind = 'sql' order by action_id"
        return self._operator.execute(query).fetchall()


@pytest.fixture
def ops(settings: Settings, owner: psycopg.Connection) -> Iterator[Ops]:
    """The installation, and its operator's session."""
    with psycopg.connect(db.admin_url(settings), autocommit=True) as operator:
        operator.execute("set role signalops_operator")
        yield Ops(owner, operator)


@pytest.fixture
def rule(owner: psycopg.Connection, acme: Tenant) -> tuple[UUID, UUID]:
    """A rule of acme's and its channel."""
    made = make_rule(owner, acme, {"type": ["user.signup"]})
    ((channel,),) = owner.execute("select channel_id from signalops.rule_versions where rule_id = %s", [made])
    return made, channel


def id_of(ago: timedelta) -> UUID:
    """Return an id that was made so long ago."""
    made = clock.new_id()
    return UUID(int=clock.uuid7_floor(clock.now() - ago).int | made.int & ((1 << 80) - 1))


def is_about(shown: timedelta | None, expected: timedelta) -> bool:
    """Return whether a view shows the stored age, plus the seconds since it was stored."""
    return shown is not None and expected <= shown < expected + timedelta(seconds=20)
