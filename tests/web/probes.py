"""How each operation of the API can be asked about an object: by its path, its query or its body.

In each, ID stands for the id of an object, and METER for the key of a meter. What is asked about another tenant's must be
answered as what is asked about nobody's; about one's own it must be answered otherwise, else the probe proves nothing.
"""

from dataclasses import dataclass, field
from typing import Any

ID, METER = "{id}", "{meter}"
_RULE = {"pattern": {"type": ["a.b"]}}
_SPAN = {"from": "2026-01-01T00:00:00Z"}
_PAST = _SPAN | {"wait": 0}


@dataclass(frozen=True)
class Probe:
    """A request that names an object; `path` are the values of the path's parameters that are not the object's id."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    is_alike: bool = False
    """Whether one's own is answered like nobody's: an object that the operation makes, or refuses to tell of."""


@dataclass(frozen=True)
class Unnamed:
    """An operation that names no object, and why."""

    reason: str


_OF_TYPE, _OF_METER, _BY_ID = {"type": f"of.{ID}"}, {"key": METER}, (Probe(),)
_LISTED = Unnamed("a list or a figure of the tenant's own, with cursors alone")

PROBES: dict[str, tuple[Probe, ...] | Unnamed] = {
    "storeEvent": (Probe(body={"type": "a.b", "idempotencyKey": ID}, is_alike=True),),
    "storeEvents": (Probe(body=[{"type": "a.b", "idempotencyKey": ID}], is_alike=True),),
    "listEvents": (Probe(query={"type": f"of.{ID}"}),),
    "getEvent": _BY_ID,
    "listEventTypes": _LISTED,
    "getEventType": (Probe(path=_OF_TYPE),),
    "getSchema": (Probe(path=_OF_TYPE),),
    "putSchema": (Probe(path=_OF_TYPE, body={"mode": "warn", "schema": {"type": "object"}}, is_alike=True),),
    "deleteSchema": (Probe(path=_OF_TYPE),),
    "startReplay": (
        Probe(body={"events": [ID], "reason": "r"}),
        Probe(body={"events": [ID], "reason": "r", "dryRun": True}),
        Probe(body={"events": [ID], "rules": [ID], "reason": "r"}),
        Probe(body=_SPAN | {"to": "2026-12-31T00:00:00Z", "type": f"of.{ID}", "reason": "r", "dryRun": True}, is_alike=True),
    ),
    "listReplays": _LISTED,
    "getReplay": _BY_ID,
    "startBacktest": (
        Probe(body=_PAST | {"rule": {"id": ID}}),
        Probe(body=_PAST | {"rule": _RULE | {"id": ID, "channel": f"c-{ID}"}}),
        Probe(body=_PAST | {"rule": _RULE | {"channel": ID}}),
        Probe(body=_PAST | {"rule": _RULE | {"channel": f"c-{ID}"}}),
    ),
    "listBacktests": _LISTED,
    "getBacktest": _BY_ID,
    "cancelBacktest": _BY_ID,
    "listRules": (Probe(query={"channel": ID}), Probe(query={"channel": f"c-{ID}"}), Probe(query={"name": f"r-{ID}"})),
    "addRule": (
        Probe(body=_RULE | {"name": "new", "channel": ID}),
        Probe(body=_RULE | {"name": "new", "channel": f"c-{ID}"}),
        Probe(body=_RULE | {"name": f"r-{ID}", "channel": "c-none"}, is_alike=True),
    ),
    "testRule": (
        Probe(body={"rule": {"id": ID}, "event": {"type": "a.b"}}),
        Probe(body={"rule": {"id": ID}, "event": {"id": ID}}),
        Probe(body={"rule": _RULE | {"channel": ID}, "event": {"type": "a.b"}}),
        Probe(body={"rule": _RULE | {"channel": f"c-{ID}"}, "event": {"type": "a.b"}}),
    ),
    "getRule": _BY_ID,
    "changeRule": (Probe(body=_RULE | {"channel": f"c-{ID}"}),),
    "patchRule": (Probe(body={"channel": f"c-{ID}"}),),
    "deleteRule": _BY_ID,
    "enableRule": _BY_ID,
    "disableRule": _BY_ID,
    "listVersions": _BY_ID,
    "getVersion": (Probe(path={"version": "1"}),),
    "compareVersions": _BY_ID,
    "rollBackRule": (Probe(body={"version": 1}),),
    "listSilences": _LISTED,
    "addSilence": Unnamed("names nothing that is stored"),
    "getSilence": _BY_ID,
    "endSilence": _BY_ID,
    "listChannels": (Probe(query={"name": f"c-{ID}"}),),
    "addChannel": (Probe(body={"name": f"c-{ID}", "kind": "webhook", "config": {"url": "http://127.0.0.1:9/"}}),),
    "getChannel": _BY_ID,
    "changeChannel": (Probe(body={"name": f"c-{ID}", "config": {"url": "http://127.0.0.1:9/"}}),),
    "patchChannel": (Probe(body={"name": f"c-{ID}"}),),
    "deleteChannel": _BY_ID,
    "enableChannel": _BY_ID,
    "disableChannel": _BY_ID,
    "testChannel": _BY_ID,
    "rotateSecret": (Probe(body={}),),
    "listDeliveries": tuple(Probe(query={name: ID}) for name in ("event", "rule", "channel")),
    "getDelivery": _BY_ID,
    "retryDelivery": _BY_ID,
    "cancelDelivery": _BY_ID,
    "listDeadLetters": (Probe(query={"error": f"e-{ID}"}), Probe(query={"channel": ID}, is_alike=True)),
    "retryDeadLetters": (Probe(body={"ids": [ID]}), Probe(body={"filter": {"error": f"e-{ID}"}})),
    "discardDeadLetters": (Probe(body={"ids": [ID], "reason": "r"}), Probe(body={"filter": {"error": f"e-{ID}"}, "reason": "r"})),
    "getDeadLetter": _BY_ID,
    "retryDeadLetter": _BY_ID,
    "discardDeadLetter": (Probe(body={"reason": "r"}),),
    "listSuppressions": (Probe(query={"address": f"{ID}@example.com"}),),
    "removeSuppression": _BY_ID,
    "verifyWhatsAppCallback": (
        Probe(query={"hub.mode": "subscribe", "hub.verify_token": "t", "hub.challenge": "c"}, is_alike=True),
    ),
    "takeWhatsAppStatuses": (Probe(body={}, is_alike=True),),
    "takeSesEvents": Unnamed("is open to SNS alone, whose signature is checked before anything is read"),
    "listMeters": _LISTED,
    "addMeter": (Probe(body={"key": METER, "name": "M", "pattern": {"type": ["a.b"]}}),),
    "getMeter": (Probe(path=_OF_METER),),
    "endMeter": (Probe(path=_OF_METER),),
    "getUsage": (Probe(query={"meter": METER}),),
    "adjustUsage": (Probe(body={"meter": METER, "quantity": "1", "reason": "r", "author": "a"}),),
    "listAdjustments": (Probe(query={"meter": METER}),),
    "getCredits": _LISTED,
    "listCreditEntries": _LISTED,
    "getPlan": _LISTED,
    "listLimits": _LISTED,
    "listInvoices": _LISTED,
    "previewInvoice": _LISTED,
    "getInvoice": (Probe(), Probe(query={"format": "csv"}), Probe(query={"format": "html"})),
    "listLineEvents": _BY_ID,
    "listKeys": _LISTED,
    "createKey": Unnamed("names nothing that is stored"),
    "getKey": _BY_ID,
    "revokeKey": _BY_ID,
    "patchKey": (Probe(body={"label": "l"}),),
    "rotateKey": (Probe(body={}),),
    "getAction": _BY_ID,
    "listActions": (Probe(query={"target": ID}),),
}
"""By operation. A new operation is declared here, with each way in which a request can name an object."""
