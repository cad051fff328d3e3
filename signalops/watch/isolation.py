"""Checks the catalogue for everything that isolates tenants; each exception is declared with its reason.

Tests show that it works: they try every object across two tenants (tests/watch/test_isolation_tries.py).
"""

from typing import NamedTuple

from signalops import db

SQL = db.queries("watch/isolation")

FUNCTIONS = {
    "set_tenant": "says for whom a transaction acts: its caller has authenticated the tenant; the transaction's end forgets it",
    "set_tenant_group": "says which tenants the rows of a flush or batch are of; the functions that use it take it back",
    "accept": "a flush has events of many tenants, each of which the API has authenticated; it answers with verdicts alone",
    "read_batch": "a batch has events of many tenants; its id is never shown to a tenant",
    "record_batch": "writes what came of a batch, for the tenants whose events were in it",
    "record_event_types": "notes the types of a batch's events, for the tenants whose events were in it",
    "claim_delivery": "acts for the tenant that the worker's job names",
    "claim_deliveries": "acts for the tenants that the worker's job names",
    "settle_delivery": "acts for the tenant that the worker's job names",
    "settle_deliveries": "acts for the tenants that the worker's job names",
    "record_key_uses": "notes when the keys of many tenants were let in; it answers nothing",
    "insert_events": "stores the events that accept has admitted",
    "evaluate_stateful_rules": "evaluates matches of a batch against the state of their own tenants' rules",
    "find_tenant": "looks the tenant of a token up, whose issuer is trusted to name it, before any tenant is known",
    "find_keys": "looks a key up before any tenant is known, by 16 characters of the secret itself",
    "find_called_channel": "finds whose a callback is before any tenant is known; it must then bear the channel's signature",
    "take_batch": "takes a batch out of the inbox; its id is never shown to a tenant",
    "current_plans": "shows operators the plan of each tenant",
    "enqueue": "enqueues a job that its caller has made up; it reads and answers nothing but the job's number",
    "enqueue_deliveries": "enqueues jobs for deliveries that its caller has made",
    "enqueue_due_deliveries": "a sweep over all tenants; answers with a number",
    "enqueue_lost_deliveries": "a sweep over all tenants; answers with a number",
    "enqueue_lost_batches": "a sweep over all tenants; answers with a number",
    "flush_digests": "a sweep over all tenants; answers with a number",
    "fire_absences": "a sweep over all tenants; answers with a number",
    "expire_rule_states": "a sweep over all tenants; answers with a number",
    "repair_schedules": "a sweep over all tenants; answers with a number",
    "expire_credits": "a sweep over all tenants; answers with a number",
    "freeze_periods": "a sweep over all tenants; answers with a number",
    "record_barriers": "a sweep over all tenants; answers with a number",
    "periods_ready": "lists for the worker the tenants whose periods can be closed; it then acts for one of them at a time",
    "lock_suspended_tenants": "returns to the worker which tenants of its jobs are suspended, and nothing else",
    "park_events": "a sweep over all tenants; answers with a number",
    "resume_tenants": "a sweep over the tenants that were resumed; answers with yes or no",
    "enqueue_parked_backtests": "a part of resume_tenants, which alone may call it",
    "begin_deletion": "operators have a closed tenant deleted, named by id or slug and confirmed by its slug",
    "delete_slice": "removes rows of the tenant that the worker's job names, if that is being deleted; answers with a number",
    "finish_deletion": "removes the tenant that the worker's job names, if that is being deleted and nothing of it is left",
    "enqueue_deletions": "a sweep over all tenants; answers with a number",
    "emit_alert": "a part of evaluate_alerts, which alone may call it",
    "record_maintenance_run": "notes when a job of the installation ended; it knows no tenant",
    "evaluate_alerts": "a sweep over all tenants; answers with names of alerts and the slugs of tenants that they are about",
    "expire": "a sweep over all tenants; answers with numbers by table",
    "global_retention_cutoff": "returns to the worker the earliest time that any retention covers; not per tenant",
    "position_time": "announces that its transaction adds to lists; answers with the time",
    "settled_time": "answers with the time up to which lists are complete; of whose transactions nothing but that",
    "make_partitions": "makes empty partitions; answers with their names",
}

OPERATORS = {
    "tenants": ({"select", "insert", "update"}, "operators list, make and change tenants"),
    "plans": ({"select", "insert"}, "operators make versions of plans, which are no tenant's"),
    "audit_log": ({"select"}, "operators read what was done in the whole installation"),
    "tenant_deletions": ({"select"}, "operators read how far deletions are, and the proof of a tenant that is gone"),
}
"""Table to what the role of operators may do in it across tenants; elsewhere it acts for one as the others do."""
INDEXES = {"tenants_slug_key": "the command line's name of a tenant; no process's role may write the table, so none can probe it"}


class Fault(NamedTuple):
    """A fault that would let one tenant see another's data."""

    kind: str
    object: str
    role: str
    fault: str


class CatalogueWalk(NamedTuple):
    """How many objects were looked at, and the faults of them."""

    objects: int
    faults: list[Fault]


async def check(connection: db.Connection) -> CatalogueWalk:
    """Look at every table, view, function, index and sequence of the schema; changes and locks nothing."""
    walked = await db.value(connection, SQL["walked"])
    declared = {"operators": [*OPERATORS], "functions": [*FUNCTIONS], "indexes": [*INDEXES]}
    return CatalogueWalk(walked, await db.records(connection, Fault, SQL["faults"], declared))
