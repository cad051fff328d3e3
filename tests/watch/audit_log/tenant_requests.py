"""Every operation by which a tenant manages something, once, in an order in which they can follow one another."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from signalops import clock
from tests.support.rows import add, add_delivery, add_event
from tests.support.tenants import EVERYTHING, Tenant, make_tenant

PATTERN = {"type": ["user.signup"]}
RULE: dict[str, Any] = {"name": "signups", "pattern": PATTERN, "channel": "hook"}
HOOK: dict[str, Any] = {"name": "hook", "kind": "webhook", "config": {"url": "http://127.0.0.1:9/"}}
OFF = {"meter": "events", "quantity": "3", "reason": "counted twice", "author": "ann"}


@dataclass(frozen=True)
class Step:
    """One request, and the actions that it must leave: the last of them is of `target`, a name of the tour."""

    operation: str
    method: str
    path: str
    action: str
    target: str | None
    body: Any = None
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    besides: tuple[str, ...] = ()
    keeps: str | None = None
    """The name under which later steps find the id that is answered."""
    is_idempotent: bool = False
    """Whether there is nothing to be refused: what is not there is deleted as well."""


STEPS = [
    Step("addChannel", "POST", "/api/channels", "channel.created", "channel", HOOK, after={"name": "hook"}, keeps="channel"),
    Step(
        *("changeChannel", "PUT", "/api/channels/{channel}", "channel.changed", "channel"),
        {"name": "hook", "config": {"url": "http://127.0.0.1:19/in"}},
        before={"config": {"url": "http://127.0.0.1:9/***"}},
        after={"config": {"url": "http://127.0.0.1:19/***"}},
    ),
    Step(
        *("patchChannel", "PATCH", "/api/channels/{channel}", "channel.changed", "channel", {"maxPerMinute": 9}),
        before={"max_per_minute": None},
        after={"max_per_minute": 9},
    ),
    Step("testChannel", "POST", "/api/channels/{channel}/test", "channel.tested", "channel", {}),
    Step(
        *("rotateSecret", "POST", "/api/channels/{channel}/rotate-secret", "channel.changed", "channel", {}),
        before={"secret": "***"},
        after={"secret": "***"},
    ),
    Step(
        *("disableChannel", "POST", "/api/channels/{channel}/disable", "channel.disabled", "channel", {}),
        before={"enabled": True},
        after={"enabled": False},
    ),
    Step(
        *("enableChannel", "POST", "/api/channels/{channel}/enable", "channel.enabled", "channel", {}),
        before={"enabled": False},
        after={"enabled": True},
    ),
    Step(
        *("addRule", "POST", "/api/rules", "rule.created", "rule", RULE),
        after={"name": "signups", "pattern": PATTERN, "active_version": 1, "severity": "info"},
        keeps="rule",
    ),
    Step(
        *("changeRule", "PUT", "/api/rules/{rule}", "rule.changed", "rule"),
        RULE | {"name": "new signups", "severity": "critical"},
        before={"name": "signups", "severity": "info", "active_version": 1},
        after={"name": "new signups", "severity": "critical", "active_version": 2},
    ),
    Step(
        *("patchRule", "PATCH", "/api/rules/{rule}", "rule.changed", "rule", {"severity": "error"}),
        before={"severity": "critical"},
        after={"severity": "error", "name": None},
    ),
    Step(
        *("rollBackRule", "POST", "/api/rules/{rule}/rollback", "rule.changed", "rule", {"version": 1}),
        before={"severity": "error"},
        after={"severity": "info"},
    ),
    Step(
        *("startBacktest", "POST", "/api/rules/backtest", "backtest.created", "backtest"),
        {"rule": RULE, "from": "2026-01-01T00:00:00Z", "wait": 0},
        keeps="backtest",
    ),
    Step(
        *("cancelBacktest", "DELETE", "/api/rules/backtests/{backtest}", "backtest.cancelled", "backtest"),
        before={"status": "queued"},
        after={"status": "cancelled"},
    ),
    Step("disableRule", "POST", "/api/rules/{rule}/disable", "rule.disabled", "rule", {}, before={"enabled": True}),
    Step("enableRule", "POST", "/api/rules/{rule}/enable", "rule.enabled", "rule", {}, after={"enabled": True}),
    Step("deleteRule", "DELETE", "/api/rules/{rule}", "rule.deleted", "rule", before={"enabled": True}),
    Step("deleteChannel", "DELETE", "/api/channels/{channel}", "channel.deleted", "channel", before={"secret": "***"}),
    Step(
        *("addSilence", "POST", "/api/silences", "silence.created", "silence"),
        {"pattern": PATTERN, "duration": "2h", "reason": "maintenance"},
        after={"reason": "maintenance", "pattern": PATTERN},
        keeps="silence",
    ),
    Step("endSilence", "DELETE", "/api/silences/{silence}", "silence.changed", "silence"),
    Step(
        *("putSchema", "PUT", "/api/event-types/{type}/schema", "event-schema.created", "type"),
        {"schema": {"type": "object"}, "mode": "warn"},
        after={"schema": {"type": "object"}, "mode": "warn"},
    ),
    Step(*("deleteSchema", "DELETE", "/api/event-types/{type}/schema", "event-schema.deleted", "type"), before={"mode": "warn"}),
    Step(
        *("startReplay", "POST", "/api/replays", "replay.created", "replay"),
        {"events": ["{event}"], "reason": "again"},
        after={"reason": "again", "events": 1},
        keeps="replay",
    ),
    Step("retryDelivery", "POST", "/api/deliveries/{waiting}/retry", "delivery.retried", "waiting", {}),
    Step("cancelDelivery", "POST", "/api/deliveries/{waiting}/cancel", "delivery.cancelled", "waiting", {}),
    Step("retryDeadLetter", "POST", "/api/dead-letters/{dead1}/retry", "dead-letter.retried", "dead1", {}),
    Step(
        *("discardDeadLetter", "POST", "/api/dead-letters/{dead2}/discard", "dead-letter.discarded", "dead2"),
        {"reason": "spam"},
        after={"reason": "spam"},
    ),
    Step(
        *("retryDeadLetters", "POST", "/api/dead-letters/retry", "dead-letter.retried", None),
        {"ids": ["{dead3}", "{dead4}"]},
        after={"count": 2},
    ),
    Step(
        *("discardDeadLetters", "POST", "/api/dead-letters/discard", "dead-letter.discarded", None),
        {"ids": ["{dead5}", "{dead6}"], "reason": "spam"},
        after={"count": 2, "reason": "spam"},
    ),
    Step(
        *("removeSuppression", "DELETE", "/api/suppressions/{suppression}", "suppression.deleted", "suppression"),
        before={"address": "user@example.com"},
    ),
    Step(
        *("addMeter", "POST", "/api/meters", "meter.created", "meter"),
        {"key": "calls", "name": "Calls", "pattern": PATTERN},
        after={"name": "Calls", "aggregation": "count", "pattern": PATTERN},
    ),
    Step("endMeter", "DELETE", "/api/meters/{meter}", "meter.ended", "meter"),
    Step(
        *("adjustUsage", "POST", "/api/usage/adjustments", "adjustment.created", "adjustment", OFF),
        after={"quantity": 3, "reason": "counted twice", "author": "ann"},
        keeps="adjustment",
    ),
    Step(
        *("createKey", "POST", "/api/keys", "key.created", "key", {"label": "producer", "scopes": ["events:write"]}),
        after={"label": "producer", "scopes": ["events:write"], "hash": "***"},
        keeps="key",
    ),
    Step(
        *("patchKey", "PATCH", "/api/keys/{key}", "key.changed", "key", {"label": "shop"}),
        before={"label": "producer"},
        after={"label": "shop"},
    ),
    Step(
        *("rotateKey", "POST", "/api/keys/{key}/rotate", "key.rotated", "successor", {}),
        after={"label": "shop", "hash": "***"},
        besides=("key.changed",),
        keeps="successor",
    ),
    Step("revokeKey", "DELETE", "/api/keys/{successor}", "key.revoked", "successor"),
]


def make_traveller(owner: psycopg.Connection) -> Tenant:
    """Make a tenant with a key for all of it."""
    return make_tenant(owner, "acme", scopes=[*EVERYTHING, "usage:adjust", "audit:read"])


def prepare(owner: psycopg.Connection, tenant: UUID) -> dict[str, str]:
    """Store rows that processes write: an event, deliveries, dead letters, a suppressed address; return their names and ids."""
    ids = {name: str(clock.new_id()) for name in ("event", "waiting", "suppression", *(f"dead{n}" for n in range(1, 7)))}
    event = add_event(owner, tenant, id=ids["event"])
    of_event = {"channel": event, "rule": event, "event": event}
    due = clock.now() + timedelta(hours=1)
    add_delivery(owner, tenant, **of_event, id=ids["waiting"], status="retrying", next_attempt_at=due)
    for name in (f"dead{n}" for n in range(1, 7)):
        add_delivery(owner, tenant, **of_event, id=ids[name], status="dead")
        dead_letter = {"kind": "delivery", "event_id": event, "delivery_id": ids[name]}
        add(owner, "dead_letters", tenant, id=ids[name], **dead_letter)
    bounced = {"address": "user@example.com", "delivery_id": ids["waiting"]}
    add(owner, "suppressions", tenant, id=ids["suppression"], **bounced)
    return ids | {"type": "user.signup", "meter": "calls"}
