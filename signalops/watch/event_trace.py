"""The trace of one event: received, job, rules, deliveries with their attempts."""

from signalops import db
from signalops.types import EventId, JsonObject, TenantId
from signalops.watch import watch_queries


async def follow(connection: db.Connection, tenant: TenantId, event: EventId) -> JsonObject | None:
    """Return the trace of an event, with the API's field names; None when the tenant has no such event."""
    row = await watch_queries.event(connection, tenant, event)
    if row is None:
        return None
    shown = {"id": row["id"], "type": row["type"], "source": row["source"], "status": row["status"]}
    shown |= {"occurredAt": row["occurred_at"], "receivedAt": row["received_at"], "payload": row["payload"]}
    if row["attributes"]:
        shown["attributes"] = row["attributes"]
    if row["causation_depth"]:
        shown["operational"] = True
    if row["over_limit"]:
        shown["overLimit"] = True
    if row["correlation"]:
        shown["requestId"] = row["correlation"]
    if row["is_parked"]:
        shown["parked"] = True
    shown["batch"] = row["batch"]
    shown["processing"] = _processing(row)
    shown["matches"] = await watch_queries.matches(connection, tenant, event)
    shown["deliveries"] = [_delivery(d) for d in await watch_queries.deliveries(connection, tenant, event)]
    return shown


def _processing(row: JsonObject) -> JsonObject | None:
    if row["processed_at"] is None:
        return None
    shown = {"processedAt": row["processed_at"], "job": row["job_id"], "worker": row["worker"]}
    shown |= {"rulesetVersion": row["ruleset_version"], "rulesEvaluated": row["rules"]}
    return shown | ({"error": row["error"], "diedAt": row["died_at"]} if row["error"] else {})


def _delivery(row: JsonObject) -> JsonObject:
    return {
        "id": row["id"],
        "rule": {"id": row["rule_id"], "version": row["rule_version"]},
        "channel": {"id": row["channel_id"], "name": row["channel"], "kind": row["kind"]},
        "status": row["status"],
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "nextAttemptAt": row["next_attempt_at"],
        "window": row["window_context"],
        "replay": row["replay_id"],
        "error": row["dead_because"],
        "attempts": len(row["attempt_log"]),
        "attemptLog": row["attempt_log"],
    }
