"""Example bodies of requests, by operation and media type. A test sends each to a new installation, which accepts it.

They name a channel of the demonstration tenant that `signalops up` makes (cli/seed.py).
"""

from collections.abc import Mapping
from typing import Any

_SIGNUP = {"type": "user.signup", "payload": {"email": "user@example.com", "plan": "pro"}}
_CLOUD_EVENT = {"specversion": "1.0", "id": "7a1c", "source": "/shop", "type": "order.paid", "data": {"total": 42.5}}
_RULE = {
    "name": "new signups",
    "channel": "mail to the team",
    "pattern": {"type": ["user.signup"], "payload": {"plan": ["pro"]}},
    "template": {"subject": "New user: {{ payload.email }}", "body": "{{ payload.email }} signed up."},
}
_DRAFT = {name: value for name, value in _RULE.items() if name != "name"}
_AUTHOR = {"author": "ann@example.com"}
_ADJUSTMENT = {"meter": "events", "quantity": "-3", "reason": "three test runs", **_AUTHOR}
_KEY = {"label": "producer", "scopes": ["events:write"], "kind": "test"}
_ROTATION = {"overlapSeconds": 3600}
_REASON = {"reason": "The customer asked for it."}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "storeEvent": {
        "application/json": _SIGNUP | {"idempotencyKey": "signup-4711"},
        "application/cloudevents+json": _CLOUD_EVENT,
        "application/cloudevents-batch+json": [_CLOUD_EVENT],
    },
    "storeEvents": {
        "application/json": [_SIGNUP, {"type": "order.paid", "payload": {"total": 42.5}, "idempotencyKey": "order-17"}],
        "application/x-ndjson": _SIGNUP,
        "application/cloudevents-batch+json": [_CLOUD_EVENT | {"id": "7a1d"}],
    },
    "putSchema": {
        "application/json": {
            "schema": {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}},
            "mode": "warn",
        }
    },
    "startReplay": {
        "application/json": {
            "from": "2026-01-01T00:00:00Z",
            "to": "2026-02-01T00:00:00Z",
            "type": "user.signup",
            "reason": "The receiver was down.",
            "dryRun": True,
        }
    },
    "startBacktest": {"application/json": {"rule": _DRAFT, "from": "2026-01-01T00:00:00Z", "types": ["user.signup"]}},
    "addRule": {"application/json": _RULE},
    "changeRule": {"application/json": _DRAFT | {"severity": "warning"}},
    "patchRule": {"application/json": {"severity": "error", "cooldown": {"for": "10m"}}},
    "rollBackRule": {"application/json": {"version": 1}},
    "testRule": {"application/json": {"rule": _DRAFT, "event": _SIGNUP}},
    "addSilence": {
        "application/json": {"pattern": {"payload": {"host": ["db-3"]}}, "duration": "2h", "reason": "db-3 gets a new disk."}
    },
    "addChannel": {"application/json": {"name": "ops", "kind": "email", "config": {"to": "ops@example.com"}}},
    "changeChannel": {"application/json": {"config": {"to": "oncall@example.com"}, "maxPerMinute": 30}},
    "patchChannel": {"application/json": {"maxPerMinute": 60}},
    "rotateSecret": {"application/json": _ROTATION},
    "retryDeadLetters": {"application/json": {"filter": {"error": "answered 500"}, "dryRun": True}},
    "discardDeadLetters": {
        "application/json": {"filter": {"kind": "delivery"}, "reason": "The receiver is gone.", "dryRun": True}
    },
    "discardDeadLetter": {"application/json": {"reason": "The receiver is gone."}},
    "addMeter": {
        "application/json": {
            "key": "api_calls",
            "name": "API calls",
            "pattern": {"type": ["api.call"]},
            "groupBy": ["payload.region"],
        }
    },
    "adjustUsage": {"application/json": _ADJUSTMENT | {"quantity": "12", "reason": "a day without network"}},
    "adjustTenantUsage": {"application/json": _ADJUSTMENT},
    "grantCredit": {"application/json": {"currency": "EUR", "amount": "25.00", "reason": "Compensation for the outage."}},
    "addPlanVersion": {
        "application/json": {
            "name": "Pro",
            "currency": "EUR",
            "baseFee": "49.00",
            "prices": [
                {
                    "meter": "events",
                    "model": "graduated",
                    "included": "10000",
                    "tiers": [{"upTo": "100000", "unitAmount": "0.001"}, {"upTo": None, "unitAmount": "0.0005"}],
                }
            ],
        }
    },
    "setTenantLimit": {"application/json": {"soft": "100000", "hard": "120000", "thresholds": [50, 80, 100]}},
    "patchTenantLimit": {"application/json": {"hard": "150000"}},
    "setTenantPlan": {"application/json": {"plan": "free"}},
    "voidInvoice": {"application/json": _REASON},
    "reissueInvoice": {"application/json": _REASON},
    "creditInvoice": {"application/json": _REASON | {"amount": "1.00"}},
    "createKey": {"application/json": _KEY},
    "createTenantKey": {"application/json": _KEY},
    "patchKey": {"application/json": {"label": "billing service"}},
    "patchTenantKey": {"application/json": {"label": "billing service"}},
    "rotateKey": {"application/json": _ROTATION},
    "rotateTenantKey": {"application/json": _ROTATION},
    "createTenant": {"application/json": {"slug": "initech", "name": "Initech", "timeZone": "Europe/Berlin"}},
    "changeTenant": {"application/json": {"name": "Initech Inc.", "retentionDays": 90}},
    "suspendTenant": {"application/json": {"reason": "Payment is overdue."}},
    "closeTenant": {"application/json": {"reason": "The contract has ended."}},
}
FROM_PROVIDERS = frozenset({"takeWhatsAppStatuses", "takeSesEvents"})
"""Their bodies come signed from WhatsApp and Amazon: an example that anybody can send would be refused."""
