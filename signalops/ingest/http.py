"""The requests that bring events in, and the list of what came in."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import clock, db, facts, rates, strict_json
from signalops.clock import Moment
from signalops.correlation import Correlation
from signalops.errors import Invalid, Malformed, Problem, TooLarge, UnsupportedMedia
from signalops.http import Headers, Page, answer, headers_of, media_type, read_body, validated
from signalops.ingest import cloudevents, store
from signalops.ingest.flush import Exceptions, Flusher
from signalops.ingest.model import EVENT_TYPE, EventIn, Incoming, incoming
from signalops.ingest.types.schema import Fault
from signalops.ingest.types.schemas import Hold, SchemaBook
from signalops.terms import Caller, EventStatus, TenantId

MOST_IN_BATCH = 1000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class EventsPage(Page):
    """Query of a list of events."""

    type: str | None = Field(None, max_length=200, pattern=EVENT_TYPE, description="Only events of this type.")
    status: EventStatus | None = Field(None, description="Only events in this state.")
    since: Annotated[Moment | None, Field(alias="from", description="Received at or after this time (RFC 3339).")] = (
        None
    )
    until: Annotated[Moment | None, Field(alias="to", description="Received before this time (RFC 3339).")] = None


class Bounds(NamedTuple):
    """The largest bodies, in bytes; and the days after which what happened is not taken any more."""

    event: int
    batch: int
    backfill_days: int


class Events:
    """The handlers, with what they need."""

    def __init__(
        self, single: Flusher, bulk: Flusher, connections: db.Pool, schemas: SchemaBook, bounds: Bounds
    ) -> None:
        self._single = single
        self._bulk = bulk
        self._schemas = schemas
        self._connections = connections
        self._bounds = bounds

    async def post(self, request: Request, caller: Caller) -> Response:
        """Store one event, plain or as a CloudEvent; a batch of CloudEvents too."""
        headers = headers_of(request)
        if media_type(headers) == cloudevents.BATCH:
            return await self.post_batch(request, caller)
        body = await read_body(request, headers, self._bounds.event)
        sent = _recent(self._bounds.backfill_days, *_one(headers, body))
        event = _held(caller, Hold(await self._schemas.of(caller.tenant)), *sent)
        if event.correlation is None:
            request.scope["correlation"] = Correlation(str(event.id))
        exceptions = await self._single.submit([event])
        match exceptions.get(event.id):
            case None:
                return self._paced(caller, _accepted(202, event.id, "accepted", event.warnings))
            case "over_limit":
                return self._paced(caller, _accepted(202, event.id, "accepted", event.warnings, is_over=True))
            case Problem() as problem:
                raise problem
            case first:
                return self._paced(caller, _accepted(200, first, "duplicate", event.warnings))

    async def post_batch(self, request: Request, caller: Caller) -> Response:
        """Store up to 1,000 events; each item has a result of its own."""
        headers = headers_of(request)
        if "idempotency-key" in headers:
            raise Invalid(
                "Idempotency-Key: the items of a batch have keys of their own, idempotencyKey; leave the header out."
            )
        media = media_type(headers)
        items = _items(media, await read_body(request, headers, self._bounds.batch))
        is_cloud = media == cloudevents.BATCH
        hold = Hold(await self._schemas.of(caller.tenant))
        events = [_item(caller, hold, item, is_cloud, self._bounds) for item in items]
        valid = [event for event in events if isinstance(event, Incoming)]
        exceptions = await self._bulk.submit(valid) if valid else {}
        results = [_result(event, exceptions) for event in events]
        counts = {
            status: sum(r["status"] == status for r in results) for status in ("accepted", "duplicate", "rejected")
        }
        answer = {"accepted": counts["accepted"], "duplicates": counts["duplicate"], "rejected": counts["rejected"]}
        if counts["rejected"]:
            refused = (r["problem"]["type"].rpartition(":")[2] for r in results if r["status"] == "rejected")
            facts.emit("items.refused", reasons=Counter(refused))
        content = orjson.dumps({**answer, "results": results})
        return self._paced(caller, Response(content, 202, media_type="application/json"))

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's events, newest first."""
        query = EventsPage.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_events(connection, query.upwards, **_wanted(caller.tenant, query))
        page, has_more = query.cut(rows)
        return answer({"data": [_shown(row) for row in page], "has_more": has_more})

    def _paced(self, caller: Caller, response: Response) -> Response:
        """Tell a caller with a rate limit what is left of it."""
        if caller.buckets:
            response.headers.update(rates.headers(self._single.rates.levels(caller.tenant, caller.buckets)))
        return response


def _recent(
    backfill_days: int, event: EventIn, attributes: dict[str, Any] | None
) -> tuple[EventIn, dict[str, Any] | None]:
    """Return an event that happened lately enough to be counted when it happened; Invalid at the path of its time."""
    if event.occurredAt and event.occurredAt < clock.now() - timedelta(days=backfill_days):
        path = "occurredAt" if attributes is None else "time"
        raise Invalid.at(
            path, f"is more than {backfill_days} days ago, when usage is settled; leave it out to count the event now"
        )
    return event, attributes


def _held(caller: Caller, hold: Hold, event: EventIn, attributes: dict[str, Any] | None = None) -> Incoming:
    """Hold an event against the schema of its type, and give it its id."""
    held = incoming(caller.tenant, event, attributes)
    warnings = hold.faults(event.type, event.payload, len(held.row))
    return held._replace(warnings=warnings, buckets=caller.buckets) if warnings or caller.buckets else held


def _one(headers: Headers, body: bytes) -> tuple[EventIn, dict[str, Any] | None]:
    """Translate the body of one event, in any of its three forms."""
    media = media_type(headers)
    if cloudevents.is_binary(headers):
        return cloudevents.from_binary(headers, media, body)
    if media == cloudevents.STRUCTURED:
        return cloudevents.from_structured(strict_json.parse(body))
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
    if event.idempotencyKey not in (None, key):
        raise Invalid("idempotencyKey: the body and the header Idempotency-Key differ; send one of them.")
    return validated(EventIn, {**event.model_dump(exclude={"occurredAt"}), "idempotencyKey": key}).model_copy(
        update={"occurredAt": event.occurredAt}
    )


def _items(media: str, body: bytes) -> Sequence[object]:
    if media in _NDJSON:
        items = strict_json.parse_lines(body, MOST_IN_BATCH)
    elif media in ("application/json", cloudevents.BATCH):
        items = strict_json.parse_array(body, MOST_IN_BATCH)
    else:
        raise UnsupportedMedia(
            f"A batch is a JSON array or NDJSON: send Content-Type: application/json or {_NDJSON[0]}.",
            headers={"Accept": f"application/json, {_NDJSON[0]}, {cloudevents.BATCH}"},
        )
    if len(items) > MOST_IN_BATCH:
        raise TooLarge(f"A batch holds at most {MOST_IN_BATCH} events: split it.")
    return items


def _item(caller: Caller, hold: Hold, item: object, is_cloud: bool, bounds: Bounds) -> Incoming | Problem:
    try:
        if isinstance(item, Malformed):
            return item
        sent = cloudevents.from_structured(item) if is_cloud else (validated(EventIn, item), None)
        event = _held(caller, hold, *_recent(bounds.backfill_days, *sent))
    except Problem as problem:
        return problem
    if len(event.row) > bounds.event and len(orjson.dumps(item)) > bounds.event:
        return TooLarge(f"The event is larger than {bounds.event} bytes: send less.")
    return event


def _result(event: Incoming | Problem, exceptions: Exceptions) -> dict[str, Any]:
    if isinstance(event, Problem):
        return {"status": "rejected", "problem": event.document()}
    match exceptions.get(event.id):
        case None:
            return _document(event.id, "accepted", event.warnings)
        case "over_limit":
            return _document(event.id, "accepted", event.warnings, is_over=True)
        case Problem() as problem:
            return {"status": "rejected", "problem": problem.document()}
        case first:
            return _document(first, "duplicate", event.warnings)


def _accepted(status: int, event: UUID, word: str, warnings: Sequence[Fault], is_over: bool = False) -> Response:
    return answer(_document(event, word, warnings, is_over), status, {"location": f"/api/events/{event}"})


def _document(event: UUID, word: str, warnings: Sequence[Fault], is_over: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {"id": event, "status": word} | ({"overLimit": True} if is_over else {})
    return document | ({"warnings": [warning.model_dump() for warning in warnings]} if warnings else {})


def _wanted(tenant: TenantId, query: EventsPage) -> dict[str, Any]:
    """Translate times into bounds of the id, as cursors are."""
    lower = [clock.least_id(query.since)] if query.since else []
    upper = [clock.least_id(query.until)] if query.until else []
    return {"tenant": tenant, "type": query.type, "status": query.status, **query.window(lower, upper)}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row in the words of the API."""
    shown = {"id": row["id"], "type": row["type"], "source": row["source"], "status": row["status"]}
    shown |= {"occurredAt": row["occurred_at"], "receivedAt": row["received_at"], "payload": row["payload"]}
    shown |= {"overLimit": True} if row["over_limit"] else {}
    shown |= {"requestId": row["correlation"]} if row["correlation"] else {}
    return shown | ({"attributes": row["attributes"]} if row["attributes"] else {})
