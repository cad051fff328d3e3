"""Every check of the doctor, with the fault made for real: the check finds it, and no other does."""

import secrets
import socket

import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db
from signalops.config import Settings
from signalops.watch.doctor import Finding, diagnose
from tests.support.tenants import Tenant

OF_THE_SERVER = ["version", "roles", "logins", "jit", "bounded logins", "schema"]
OF_THE_SCHEMA = ["objects", "definitions", "row-level security", "partitions", "queue grants", "job trigger"]
OF_THE_WORK = [
    "workers",
    "given-up jobs",
    "waiting jobs",
    "lost events",
    "maintenance",
    "parked events",
    "vacuum",
    "documented key",
    "connections",
    "durability",
    "clock",
    "time zones",
    "alerts",
    "notifications",
]
OUTSIDE = ["secret key", "mail server"]

ALIVE = "insert into procrastinate.procrastinate_workers (last_heartbeat) values (now() - %s * interval '1 second')"
JOB = """insert into procrastinate.procrastinate_jobs (queue_name, task_name, status) values ('events', 'process_batch', %s)"""
WAITING = """
insert into signalops.inbox (tenant_id, event_id, batch)
values (signalops.new_id(), signalops.new_id(), signalops.uuid7_floor(now() - interval '2 minutes')) returning batch
"""
NEXT_MONTH = "to_char((now() at time zone 'UTC') + interval '1 month', 'YYYY_MM')"

FAULTS = {
    "no policy": ("drop policy own_tenant on signalops.events", "objects", "policy own_tenant on signalops.events is missing"),
    "off": ("alter table signalops.channels disable row level security", "row-level security", "channels: row-level"),
    "not forced": (
        "alter table signalops.accepted_counters no force row level security",
        "row-level security",
        "accepted_counters: its owner",
    ),
    "open partition": (
        "do $$ begin execute 'alter table signalops.events_' || to_char(now() at time zone 'UTC', 'YYYY_MM') || "
        "' disable row level security'; end $$",
        "row-level security",
        "events_2",
    ),
    "no partition": (
        f"do $$ begin execute 'drop table signalops.batch_results_' || {NEXT_MONTH}; end $$",
        "partitions",
        "batch_results_2",
    ),
    "no right to accept": (
        "revoke execute on function signalops.accept(jsonb, jsonb, uuid, integer, jsonb) from public",
        "definitions",
        "function signalops.accept(jsonb,jsonb,uuid,integer,jsonb) was changed",
    ),
    "no function": (
        "drop function signalops.take_batch(uuid, bigint, integer)",
        "objects",
        "function signalops.take_batch is missing",
    ),
    "no fetching": (
        "revoke update on procrastinate.procrastinate_jobs from signalops_worker",
        "queue grants",
        "signalops_worker lacks update",
    ),
    "no waking": ("alter table procrastinate.procrastinate_jobs disable trigger user", "job trigger", "missing or disabled"),
    "no index": ("drop index signalops.dead_letters_open", "objects", "index signalops.dead_letters_open is missing"),
    "invalid index": (
        "update pg_index set indisvalid = false where indexrelid = 'signalops.inbox_by_batch'::regclass",
        "objects",
        "index signalops.inbox_by_batch is missing",
    ),
    "disabled trigger": (
        "alter table signalops.tenants disable trigger log_row_change",
        "objects",
        "trigger log_row_change on signalops.tenants is missing",
    ),
    "no view": ("drop view ops.locks", "objects", "view ops.locks is missing"),
    "no right of a column": (
        "revoke insert (prefix) on signalops.api_keys from signalops_platform",
        "definitions",
        "table signalops.api_keys was changed",
    ),
    "no right of an operator": (
        "revoke execute on function ops.pause_queue(text, text) from signalops_operator",
        "definitions",
        "function ops.pause_queue(text,text) was changed",
    ),
    "a function of somebody's own": (
        "create or replace function signalops.may_delete(tenant uuid) returns boolean language sql as 'select true'",
        "definitions",
        "function signalops.may_delete(uuid) was changed",
    ),
    "idle maintenance": (
        "insert into signalops.maintenance_runs (job, succeeded_at) values ('retain', now() - interval '4 hours')",
        "maintenance",
        "retain has not succeeded since",
    ),
    "too old": (
        "delete from yoyo._yoyo_migration where migration_id = (select max(migration_id) from yoyo._yoyo_migration)",
        "schema",
        "older",
    ),
    "too new": (
        "insert into yoyo._yoyo_migration (migration_hash, migration_id) values ('', '9999.from-the-future')",
        "schema",
        "newer",
    ),
    "empty": ("drop schema yoyo cascade", "schema", "empty"),
    "not durable": (
        "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$",
        "durability",
        "synchronous_commit = off",
    ),
}


def faults(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings if not finding.ok}


async def only_fault(settings: Settings) -> Finding:
    """Diagnose, and return the one fault beside the worker that no test here starts."""
    found = faults(await diagnose(settings))
    found.pop("workers", None)
    assert len(found) == 1, found
    return found.popitem()[1]


async def test_a_healthy_installation_lacks_nothing_but_a_worker(healthy: Settings) -> None:
    findings = await diagnose(healthy)
    assert [finding.check for finding in findings] == [*OF_THE_SERVER, *OF_THE_SCHEMA, *OF_THE_WORK, *OUTSIDE]
    assert all(finding.detail for finding in findings)
    assert all(bool(finding.remedy) != finding.ok for finding in findings)
    assert set(faults(findings)) == {"workers"}
    assert faults(findings)["workers"].is_warning
    quiet = {finding.check: finding.detail for finding in findings}
    assert quiet["waiting jobs"] == "none waits"
    assert quiet["given-up jobs"] == "none failed or aborted"
    assert quiet["lost events"] == "every event that waits has a job"


async def test_a_worker_is_alive_while_its_heart_beats(healthy: Settings, owner: psycopg.Connection) -> None:
    owner.execute(ALIVE, [30])
    assert set(faults(await diagnose(healthy))) == {"workers"}
    owner.execute(ALIVE, [1])
    assert faults(await diagnose(healthy)) == {}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_database_is_found(healthy: Settings, owner: psycopg.Connection, fault: str) -> None:
    statement, check, detail = FAULTS[fault]
    owner.execute(statement.encode())
    found = await only_fault(healthy)
    assert found.check == check
    assert detail in found.detail
    assert found.remedy.endswith(".")


@pytest.mark.parametrize("too_much", ["superuser", "bypassrls"])
def test_a_role_that_passes_row_level_security_is_found(owner: psycopg.Connection, too_much: str) -> None:
    """Roles belong to the whole server: only a transaction that is rolled back may touch them."""
    query = db.queries("watch/doctor")["roles"]
    assert owner.execute(query).fetchone() == (True, "5 roles, row-level security applies to each")
    with owner.transaction(force_rollback=True):
        owner.execute(f"alter role signalops_api {too_much}".encode())
        ok, detail = owner.execute(query).fetchone() or (None, None)
    assert not ok
    assert detail.startswith("signalops_api ")


async def test_a_login_without_its_role_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    name, password = f"so_login_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), password))
    try:
        own = make_conninfo(db.admin_url(healthy), user=name, password=password)
        with_own = healthy.model_copy(update={"worker_database_url": SecretStr(own)})
        found = await only_fault(with_own)
        assert (found.check, found.ok) == ("logins", False)
        assert "signalops_worker" in found.detail
        assert password not in str(found)
        owner.execute(sql.SQL("grant signalops_worker to {}").format(sql.Identifier(name)))
        assert set(faults(await diagnose(with_own))) == {"workers"}
    finally:
        owner.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("status", ["failed", "aborted"])
async def test_jobs_that_were_given_up_are_counted(healthy: Settings, owner: psycopg.Connection, status: str) -> None:
    owner.execute(JOB, ["cancelled"])
    assert set(faults(await diagnose(healthy))) == {"workers"}
    owner.execute(JOB, [status])
    found = await only_fault(healthy)
    assert (found.check, found.detail) == ("given-up jobs", "1 failed or aborted: process_batch")


async def test_a_job_that_waits_for_long_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    owner.execute("set search_path = procrastinate")
    owner.execute(JOB, ["todo"])
    assert set(faults(await diagnose(healthy))) == {"workers"}
    owner.execute("update procrastinate.procrastinate_events set at = at - interval '90 seconds'")
    found = await only_fault(healthy)
    assert found.check == "waiting jobs"
    assert "for 90 s" in found.detail


async def test_an_event_that_waits_without_a_job_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    (batch,) = owner.execute(WAITING).fetchone() or (None,)
    found = await only_fault(healthy)
    assert (found.check, found.detail) == ("lost events", "1 batches wait without a job")
    owner.execute("select signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', %s::uuid))", [batch])
    assert set(faults(await diagnose(healthy))) == {"workers"}


async def test_more_connections_than_the_server_admits_are_found(healthy: Settings) -> None:
    found = await only_fault(healthy.model_copy(update={"api_connections": 100_000, "worker_concurrency": 4}))
    assert found.check == "connections"
    assert found.detail.endswith("take up to 100012")  # 2 flushers and a listener; the worker's 4, 2 for its queue, a listener


@pytest.mark.parametrize("end", ["api_keys set revoked_at = now()", "tenants set status = 'suspended'"])
async def test_the_documented_key_is_found_on_a_real_server(
    healthy: Settings, owner: psycopg.Connection, acme: Tenant, end: str
) -> None:
    owner.execute("update signalops.api_keys set prefix = 'test_api_key_807'")
    found = await only_fault(healthy)
    assert (found.check, found.is_warning) == ("documented key", True)
    owner.execute(f"update signalops.{end}".encode())
    assert set(faults(await diagnose(healthy))) == {"workers"}


async def test_a_database_that_is_away_is_found_and_what_lies_outside_of_it_still_checked(healthy: Settings) -> None:
    away = healthy.model_copy(update={"database_url": SecretStr(f"postgresql://127.0.0.1:{closed_port()}/none")})
    findings = await diagnose(away)
    assert set(faults(findings)) == {"database"}
    assert [finding.check for finding in findings] == ["database", *OUTSIDE]


async def test_a_key_that_others_may_read_is_found(healthy: Settings) -> None:
    (healthy.data / "secret.key").chmod(0o644)
    found = await only_fault(healthy)
    assert found.check == "secret key"
    assert "chmod 600" in found.remedy


async def test_a_key_that_is_none_is_found_and_not_shown(healthy: Settings) -> None:
    found = await only_fault(healthy.model_copy(update={"secret_key": SecretStr("nonsense")}))
    assert found.check == "secret key"
    assert "nonsense" not in str(found)


async def test_a_missing_key_is_told_and_not_made(healthy: Settings) -> None:
    (healthy.data / "secret.key").unlink()
    found = await only_fault(healthy)
    assert (found.check, found.is_warning) == ("secret key", False)
    assert "SIGNALOPS_SECRET_KEY" in found.detail + found.remedy
    assert not (healthy.data / "secret.key").exists()
    with_key = healthy.model_copy(update={"secret_key": SecretStr(Fernet.generate_key().decode())})
    assert set(faults(await diagnose(with_key))) == {"workers"}


async def test_a_mail_server_that_is_away_is_found(healthy: Settings) -> None:
    found = await only_fault(healthy.model_copy(update={"smtp_port": closed_port()}))
    assert (found.check, found.is_warning) == ("mail server", True)


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_alerts_that_come_to_nobody_are_found(healthy: Settings, acme: Tenant) -> None:
    found = await only_fault(healthy.model_copy(update={"platform_tenant": "nobody"}))
    assert (found.check, found.is_warning) == ("alerts", False)
    assert set(faults(await diagnose(healthy.model_copy(update={"platform_tenant": acme.slug})))) == {"workers"}
