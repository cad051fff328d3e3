"""The endpoints that store events, and the list of stored events."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, NamedTuple

import orjson
from pydantic import Field

from signalops import clock, db, errors, strict_json, telemetry, token_bucket
from signalops.clock import Moment
from signalops.endpoint import endpoint
from signalops.errors import Invalid, Malformed, NothingStored, Problem, TooLarge, UnsupportedMedia
from signalops.http import Headers, Page, Request, Response, answer, headers_of, media_type, parsed, read_body, validated
from signalops.ingest import cloudevents, event_queries
from signalops.ingest.event_models import EVENT_TYPE, Accepted, BatchResult, EventIn, EventList, Incoming, Stored, incoming
from signalops.ingest.flush import Flusher
from signalops.ingest.types.schema_cache import PayloadValidator, SchemaCache
from signalops.types import Caller, EventStatus, JsonObject

MAX_IN_BATCH = 1000
_LATER = (429, 503)
"""Statuses with which a client is to send the same again."""
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class EventsPage(Page):
    """Query of a list of events."""

    type: str | None = Field(None, max_length=200, pattern=EVENT_TYPE, description="Only events of this type.")
    status: EventStatus | None = Field(None, description="Only events in this state.")
    since: Annotated[Moment | None, Field(alias="from", description="Received at or after this time (RFC 3339).")] = None
    until: Annotated[Moment | None, Field(alias="to", description="Received before this time (RFC 3339).")] = None


class Bounds(NamedTuple):
    """The largest bodies, in bytes; and the days after which what happened is not taken any more."""

    event: int
    batch: int
    backfill_days: int


class Events:
    """The endpoints of events."""

    def __init__(self, single: Flusher, bulk: Flusher, schemas: SchemaCache, bounds: Bounds) -> None:
        self._single = single
        self._bulk = bulk
        self._schemas = schemas
        self._bounds = bounds

    @endpoint(
        "POST /api/events",
        "storeEvent",
        "Store an event, once",
        "events:write",
        answers={202: Accepted | BatchResult, 200: Accepted},
        problems=(
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
    )
    async def post(self, request: Request, caller: Caller) -> Response:
        """Store one event, plain or as a CloudEvent; a batch of CloudEvents too."""
        headers = headers_of(request)
        if media_type(headers) == cloudevents.BATCH:
            return await self.post_batch(request, caller)
        body = await read_body(request, headers, self._bounds.event)
        sent = _recent(self._bounds.backfill_days, *await parsed(body, partial(_one, headers)))
        event = await _checked(caller, PayloadValidator(await self._schemas.of(caller.tenant)), *sent)
        outcome = (await self._single.submit([event]))[event.id]
        if isinstance(outcome, Problem):
            raise outcome
        request.scope["correlation"].name(str(outcome.id))
        status, location = (202 if outcome.status == "accepted" else 200), f"/api/events/{outcome.id}"
        return self._paced(caller, answer(_result(event, outcome), status, {"location": location}))

    @endpoint(
        "POST /api/events/batch",
        "storeEvents",
        "Store up to 1,000 events; a result per item, in order",
        "events:write",
        answers={202: BatchResult},
        problems=(errors.NothingStored, errors.QuotaExceeded, errors.Overloaded),
        bodies={
            "application/json": list[EventIn],
            "application/x-ndjson": EventIn,
            cloudevents.BATCH: list[cloudevents.CloudEvent],
        },
    )
    async def post_batch(self, request: Request, caller: Caller) -> Response:
        """Store up to 1,000 events; each item has a result of its own."""
        headers = headers_of(request)
        if "idempotency-key" in headers:
            raise Invalid("Idempotency-Key: the items of a batch have keys of their own, idempotencyKey; leave the header out.")
        media = media_type(headers)
        body = await read_body(request, headers, self._bounds.batch)
        items = await parsed(body, partial(_items, media))
        is_cloud = media == cloudevents.BATCH
        validator = PayloadValidator(await self._schemas.of(caller.tenant))
        events = [await self._item(caller, validator, item, is_cloud) for item in items]
        valid = [event for event in events if isinstance(event, Incoming)]
        outcomes = await self._bulk.submit(valid) if valid else {}
        results = [outcomes[event.id] if isinstance(event, Incoming) else event for event in events]
        document = _document(events, results)
        problems = [result for result in results if isinstance(result, Problem)]
        if problems:
            telemetry.emit("batch_items.rejected", reasons=Counter(problem.kind for problem in problems))
        if problems and len(problems) == len(results):
            raise _nothing_stored(problems, document)
        return self._paced(caller, answer(document, 202))

    @endpoint("GET /api/events", "listEvents", "List events, newest first", "events:read", answers={200: EventList})
    async def list_events(self, connection: db.Connection, caller: Caller, query: EventsPage) -> Response:
        """List a tenant's events, newest first."""
        window = query.window(await db.settled(connection), query.since, query.until)
        filters = {"tenant": caller.tenant, "type": query.type, "status": query.status, **window}
        return query.listed(await event_queries.list_events(connection, query.upwards, **filters), event_queries.shown)

    async def _item(self, caller: Caller, validator: PayloadValidator, item: object, is_cloud: bool) -> Incoming | Problem:
        try:
            if isinstance(item, Malformed):
                return item
            sent = cloudevents.from_structured(item) if is_cloud else (validated(EventIn, item), None)
            event = await _checked(caller, validator, *_recent(self._bounds.backfill_days, *sent))
        except Problem as problem:
            return problem
        if len(event.row) > self._bounds.event and len(orjson.dumps(item)) > self._bounds.event:
            return TooLarge(f"The event is larger than {self._bounds.event} bytes: send less.")
        return event

    def _paced(self, caller: Caller, response: Response) -> Response:
        """Add the rate-limit headers of a caller with a rate limit."""
        if caller.buckets:
            response.headers.update(token_bucket.headers(self._single.rates.levels(caller.tenant, caller.buckets)))
        return response


def _recent(backfill_days: int, event: EventIn, attributes: JsonObject | None) -> tuple[EventIn, JsonObject | None]:
    """Return an event that happened lately enough to be counted when it happened; Invalid at the path of its time."""
    path = "occurredAt" if attributes is None else "time"
    if event.occurred_at and event.occurred_at < clock.now() - timedelta(days=backfill_days):
        raise Invalid.at(
            path, f"is more than {backfill_days} days ago, when usage is settled; leave it out to count the event now"
        )
    return event, attributes


async def _checked(caller: Caller, validator: PayloadValidator, event: EventIn, attributes: JsonObject | None = None) -> Incoming:
    """Check an event against the schema of its type, and give it its id."""
    checked = incoming(caller.tenant, event, attributes)
    warnings = await validator.faults(event.type, event.payload, checked.row)
    return checked._replace(warnings=warnings, buckets=caller.buckets) if warnings or caller.buckets else checked


def _one(headers: Headers, body: bytes) -> tuple[EventIn, JsonObject | None]:
    """Translate the body of one event, in any of its three forms."""
    media = media_type(headers)
    if media == cloudevents.STRUCTURED:
        return cloudevents.from_structured(strict_json.parse(body))
    if cloudevents.is_binary(headers) and not media.startswith(cloudevents.PREFIX):
        return cloudevents.from_binary(headers, media, body)
    if media != "application/json":
        raise UnsupportedMedia(
            f"Events are JSON: send Content-Type: application/json, not {media[:100] or 'nothing'}.",
            headers={"Accept": f"application/json, {cloudevents.STRUCTURED}, {cloudevents.BATCH}"},
        )
    event = validated(EventIn, strict_json.parse(body))
    if "idempotency-key" in headers:
        event = _with_key(event, headers["idempotency-key"])
    return event, None


def _with_key(event: EventIn, header: str) -> EventIn:
    """Apply the header Idempotency-Key, quoted (as the IETF draft has it) or bare."""
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if event.idempotency_key not in (None, key):
        raise Invalid("idempotencyKey: the body and the header Idempotency-Key differ; send one of them.")
    return validated(EventIn, {**event.model_dump(exclude={"occurred_at"}), "idempotencyKey": key}).model_copy(
        update={"occurred_at": event.occurred_at}
    )


def _items(media: str, body: bytes) -> Sequence[object]:
    if media in _NDJSON:
        items = strict_json.parse_lines(body, MAX_IN_BATCH)
    elif media in ("application/json", cloudevents.BATCH):
        items = strict_json.parse_array(body, MAX_IN_BATCH)
    else:
        raise UnsupportedMedia(
            f"A batch is a JSON array or NDJSON: send Content-Type: application/json or {_NDJSON[0]}.",
            headers={"Accept": f"application/json, {_NDJSON[0]}, {cloudevents.BATCH}"},
        )
    if len(items) > MAX_IN_BATCH:
        raise TooLarge(f"A batch has at most {MAX_IN_BATCH} events: split it.")
    return items


def _document(events: Sequence[Incoming | Problem], results: Sequence[Stored | Problem]) -> JsonObject:
    """Return the result of a batch: counts, and a result per item."""
    counts = Counter(result.status if isinstance(result, Stored) else "rejected" for result in results)
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"],
        "rejected": counts["rejected"],
        "results": [_result(event, result) for event, result in zip(events, results, strict=True)],
    }


def _nothing_stored(problems: Sequence[Problem], document: JsonObject) -> Problem:
    """Return the problem of a batch without a stored event, since a 2xx status would look like success.

    Its status is retryable if every item is.
    """
    first = problems[0]
    which = "The event is not" if len(problems) == 1 else f"None of the {len(problems)} events is"
    detail = f"{which} stored: {first.detail}"
    if all(problem.status in _LATER for problem in problems):
        return type(first)(detail, headers=first.headers, **document)
    return NothingStored(detail, **document)


def _result(event: Incoming | Problem, result: Stored | Problem) -> JsonObject:
    if isinstance(result, Problem):
        return {"status": "rejected", "problem": result.document()}
    document: JsonObject = {"id": result.id, "status": result.status} | ({"overLimit": True} if result.is_over else {})
    warnings = event.warnings if isinstance(event, Incoming) else ()
    return document | ({"warnings": [warning.model_dump() for warning in warnings]} if warnings else {})
