"""The requests that bring events in, and the list of what came in."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from signalops import clock, db
from signalops.errors import Invalid, Malformed, Problem, TooLarge, UnsupportedMedia
from signalops.ingest import cloudevents, store, strict_json
from signalops.ingest.flush import Exceptions, Flusher
from signalops.ingest.model import EVENT_TYPE, EventIn, Incoming, Moment, incoming
from signalops.terms import Caller, EventStatus, TenantId

Headers = Mapping[str, str]

MOST_IN_BATCH = 1000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_LAST_ID = UUID(int=2**128 - 1)


class EventsPage(BaseModel):
    """Query of a list of events."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, max_length=200, pattern=EVENT_TYPE, description="Only events of this type.")
    status: EventStatus | None = Field(None, description="Only events in this state.")
    since: Annotated[Moment | None, Field(alias="from", description="Received at or after this time (RFC 3339).")] = (
        None
    )
    until: Annotated[Moment | None, Field(alias="to", description="Received before this time (RFC 3339).")] = None
    limit: int = Field(20, ge=1, le=100, description="Most events of a page.")
    starting_after: UUID | None = Field(None, description="The last id of the page before: the next older events.")
    ending_before: UUID | None = Field(None, description="The first id of a page: the next newer events.")


class Events:
    """The handlers, with what they need."""

    def __init__(
        self, single: Flusher, bulk: Flusher, connections: db.Pool, most_bytes: int, most_batch_bytes: int
    ) -> None:
        self._single = single
        self._bulk = bulk
        self._connections = connections
        self._most_bytes = most_bytes
        self._most_batch_bytes = most_batch_bytes

    async def post(self, request: Request, caller: Caller) -> Response:
        """Store one event, plain or as a CloudEvent; a batch of CloudEvents too."""
        headers = headers_of(request)
        if media_type(headers) == cloudevents.BATCH:
            return await self.post_batch(request, caller)
        event = _one(caller.tenant, headers, await read_body(request, headers, self._most_bytes))
        exceptions = await self._single.submit([event])
        match exceptions.get(event.id):
            case None:
                return _accepted(202, event.id, b"accepted")
            case Problem() as problem:
                raise problem
            case first:
                return _accepted(200, first, b"duplicate")

    async def post_batch(self, request: Request, caller: Caller) -> Response:
        """Store up to 1,000 events; each item has a result of its own."""
        headers = headers_of(request)
        if "idempotency-key" in headers:
            raise Invalid(
                "Idempotency-Key: the items of a batch have keys of their own, idempotencyKey; leave the header out."
            )
        media = media_type(headers)
        items = _items(media, await read_body(request, headers, self._most_batch_bytes))
        is_cloud = media == cloudevents.BATCH
        events = [_item(caller.tenant, item, is_cloud, self._most_bytes) for item in items]
        valid = [event for event in events if isinstance(event, Incoming)]
        exceptions = await self._bulk.submit(valid) if valid else {}
        results = [_result(event, exceptions) for event in events]
        counts = {
            status: sum(r["status"] == status for r in results) for status in ("accepted", "duplicate", "rejected")
        }
        answer = {"accepted": counts["accepted"], "duplicates": counts["duplicate"], "rejected": counts["rejected"]}
        return Response(orjson.dumps({**answer, "results": results}), 202, media_type="application/json")

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's events, newest first."""
        try:
            query = EventsPage.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise Invalid.of(error) from error
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_events(connection, query.ending_before is not None, **_window(caller.tenant, query))
        has_more = len(rows) > query.limit
        page = rows[: query.limit]
        if query.ending_before:
            page.reverse()
        return Response(
            orjson.dumps({"data": [_shown(row) for row in page], "has_more": has_more}), media_type="application/json"
        )


def headers_of(request: Request) -> Headers:
    """Return a request's headers by name in lower case: one pass, where each look-up in Starlette's Headers is one."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}


def media_type(headers: Headers) -> str:
    """Return a request's media type, in lower case and without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, headers: Headers, most: int) -> bytes:
    """Read a request's body; raise TooLarge as soon as it is larger than allowed, and Malformed when it breaks off."""
    if int(headers.get("content-length") or 0) > most:
        raise TooLarge(f"The body is larger than {most} bytes: send less at once.")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise TooLarge(f"The body is larger than {most} bytes: send less at once.")
    except ClientDisconnect as error:
        raise Malformed("The connection ended before the body did: send it again.") from error
    return bytes(body)


def _one(tenant: TenantId, headers: Headers, body: bytes) -> Incoming:
    """Translate the body of one event, in any of its three forms."""
    media = media_type(headers)
    if cloudevents.is_binary(headers):
        return incoming(tenant, *cloudevents.from_binary(headers, media, body))
    if media == cloudevents.STRUCTURED:
        return incoming(tenant, *cloudevents.from_structured(strict_json.parse(body)))
    if media != "application/json":
        raise UnsupportedMedia(
            f"Events are JSON: send Content-Type: application/json, not {media[:100] or 'nothing'}.",
            headers={"Accept": f"application/json, {cloudevents.STRUCTURED}, {cloudevents.BATCH}"},
        )
    event = _validate(strict_json.parse(body))
    if "idempotency-key" in headers:
        event = _with_key(event, headers["idempotency-key"])
    return incoming(tenant, event)


def _validate(value: object) -> EventIn:
    try:
        return EventIn.model_validate(value)
    except ValidationError as error:
        raise Invalid.of(error) from error


def _with_key(event: EventIn, header: str) -> EventIn:
    """Apply the header Idempotency-Key, quoted (as the IETF draft has it) or bare."""
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if event.idempotencyKey not in (None, key):
        raise Invalid("idempotencyKey: the body and the header Idempotency-Key differ; send one of them.")
    return _validate({**event.model_dump(exclude={"occurredAt"}), "idempotencyKey": key}).model_copy(
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


def _item(tenant: TenantId, item: object, is_cloud: bool, most: int) -> Incoming | Problem:
    try:
        if isinstance(item, Malformed):
            return item
        event = incoming(tenant, *cloudevents.from_structured(item)) if is_cloud else incoming(tenant, _validate(item))
    except Problem as problem:
        return problem
    if len(event.row) > most and len(orjson.dumps(item)) > most:
        return TooLarge(f"The event is larger than {most} bytes: send less.")
    return event


def _result(event: Incoming | Problem, exceptions: Exceptions) -> dict[str, Any]:
    outcome = event if isinstance(event, Problem) else exceptions.get(event.id)
    match outcome:
        case None:
            assert isinstance(event, Incoming)
            return {"id": event.id, "status": "accepted"}
        case Problem():
            return {"status": "rejected", "problem": outcome.document()}
        case first:
            return {"id": first, "status": "duplicate"}


def _accepted(status: int, event: UUID, word: bytes) -> Response:
    identity = str(event)
    return Response(
        b'{"id":"%s","status":"%s"}' % (identity.encode(), word),
        status,
        {"location": f"/api/events/{identity}"},
        "application/json",
    )


def _window(tenant: TenantId, query: EventsPage) -> dict[str, Any]:
    """Translate times and cursors, which are both bounds of the id."""
    lower = [clock.least_id(query.since)] if query.since else []
    upper = [clock.least_id(query.until)] if query.until else []
    if query.starting_after:
        upper.append(query.starting_after)
    if query.ending_before:
        lower.append(query.ending_before)
    return {
        "tenant": tenant,
        "lower": max(lower, default=UUID(int=0)),
        "upper": min(upper, default=_LAST_ID),
        "type": query.type,
        "status": query.status,
        "limit": query.limit + 1,
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row in the words of the API."""
    shown = {"id": row["id"], "type": row["type"], "source": row["source"], "status": row["status"]}
    shown |= {"occurredAt": row["occurred_at"], "receivedAt": row["received_at"], "payload": row["payload"]}
    return shown | ({"attributes": row["attributes"]} if row["attributes"] else {})
