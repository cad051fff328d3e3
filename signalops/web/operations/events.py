"""Events: stored, listed, replayed, and described by type."""

from signalops import errors
from signalops.http import Page
from signalops.ingest import cloudevents
from signalops.ingest import http as ingest
from signalops.ingest.model import Accepted, BatchResult, EventIn, EventList
from signalops.ingest.replay import http as replay_http
from signalops.ingest.replay.model import ReplayCounted, ReplayList, ReplayRequest, ReplayShown, ReplayStarted
from signalops.ingest.types import http as types_http
from signalops.ingest.types.model import EventTypeList, EventTypeShown, SchemaIn, SchemaShown, TypesPage
from signalops.watch.http import EventPath, Watch
from signalops.web.operations.operation import ALWAYS, BODY, Operation


def stored(events: ingest.Events, watch: Watch) -> list[Operation]:
    """Return what concerns events themselves."""
    return [
        Operation(
            "POST",
            "/api/events",
            "storeEvent",
            "Store an event, once",
            events.post,
            "events:write",
            {202: Accepted | BatchResult, 200: Accepted},
            (
                *ALWAYS,
                *BODY,
                errors.IdempotencyConflict,
                errors.SchemaViolation,
                errors.NothingStored,
                errors.QuotaExceeded,
                errors.Overloaded,
            ),
            headers={"Idempotency-Key": "A second request with this key and body stores nothing new."},
            bodies={
                "application/json": EventIn,
                cloudevents.STRUCTURED: cloudevents.CloudEvent,
                cloudevents.BATCH: list[cloudevents.CloudEvent],
            },
        ),
        Operation(
            "POST",
            "/api/events/batch",
            "storeEvents",
            "Store up to 1,000 events; a result per item, in order",
            events.post_batch,
            "events:write",
            {202: BatchResult},
            (*ALWAYS, *BODY, errors.NothingStored, errors.QuotaExceeded, errors.Overloaded),
            bodies={
                "application/json": list[EventIn],
                "application/x-ndjson": EventIn,
                cloudevents.BATCH: list[cloudevents.CloudEvent],
            },
        ),
        Operation(
            "GET",
            "/api/events",
            "listEvents",
            "List events, newest first",
            events.list,
            "events:read",
            {200: EventList},
            (*ALWAYS, errors.Invalid),
            query=ingest.EventsPage,
        ),
        Operation(
            "GET",
            "/api/events/{id}",
            "getEvent",
            "Show an event and what became of it",
            watch.get_event,
            "events:read",
            {200: EventPath},
            (*ALWAYS, errors.NotFound),
        ),
    ]


def types(types: types_http.EventTypes) -> list[Operation]:
    """Return what concerns types of events."""
    return [
        Operation(
            "GET",
            "/api/event-types",
            "listEventTypes",
            "List the types of events sent, with their fields",
            types.list,
            "events:read",
            {200: EventTypeList},
            (*ALWAYS, errors.Invalid),
            query=TypesPage,
        ),
        Operation(
            "GET",
            "/api/event-types/{type}",
            "getEventType",
            "Show a type of events, with its fields",
            types.get,
            "events:read",
            {200: EventTypeShown},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/event-types/{type}/schema",
            "getSchema",
            "Show the schema of an event type",
            types.get_schema,
            "rules:*",
            {200: SchemaShown},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/event-types/{type}/schema",
            "putSchema",
            "Hold the payloads of a type against a JSON Schema",
            types.put_schema,
            "rules:*",
            {200: SchemaShown},
            (*ALWAYS, *BODY, errors.NotFound),
            bodies={"application/json": SchemaIn},
        ),
        Operation(
            "DELETE",
            "/api/event-types/{type}/schema",
            "deleteSchema",
            "Delete the schema of an event type",
            types.delete_schema,
            "rules:*",
            {200: SchemaShown},
            (*ALWAYS, errors.NotFound),
        ),
    ]


def replays(replays: replay_http.Replays) -> list[Operation]:
    """Return what concerns replays."""
    return [
        Operation(
            "POST",
            "/api/replays",
            "startReplay",
            "Run past events through the rules again, on purpose",
            replays.start,
            "rules:*",
            {200: ReplayCounted, 202: ReplayStarted},
            (*ALWAYS, *BODY),
            bodies={"application/json": ReplayRequest},
        ),
        Operation(
            "GET",
            "/api/replays",
            "listReplays",
            "List replays, newest first",
            replays.list,
            "rules:*",
            {200: ReplayList},
            (*ALWAYS, errors.Invalid),
            query=Page,
        ),
        Operation(
            "GET",
            "/api/replays/{id}",
            "getReplay",
            "Show a replay and how far it is",
            replays.get,
            "rules:*",
            {200: ReplayShown},
            (*ALWAYS, errors.NotFound),
        ),
    ]
