"""The endpoints of the catalog of event types and their schemas."""

import re

from signalops import db
from signalops.endpoint import endpoint
from signalops.errors import Invalid, NotFound
from signalops.http import Response, answer, listed
from signalops.ingest.event_models import EVENT_TYPE
from signalops.ingest.types import event_type_queries
from signalops.ingest.types.event_type_models import EventTypeList, EventTypeShown, SchemaIn, SchemaShown, TypesPage
from signalops.ingest.types.infer import MAX_FIELDS
from signalops.ingest.types.schema_cache import SchemaCache
from signalops.ingest.types.validator import MAX_BYTES, Schema
from signalops.types import Caller, JsonObject

_MAX_SCHEMAS = 200
_MAX_SCHEMA_BYTES = 1024 * 1024
_TYPE = re.compile(EVENT_TYPE)


class EventTypes:
    """The endpoints of event types."""

    def __init__(self, book: SchemaCache) -> None:
        self._book = book

    @endpoint(
        "GET /api/event-types",
        "listEventTypes",
        "List the types of events sent, with their fields",
        "events:read",
        answers={200: EventTypeList},
    )
    async def list_types(self, connection: db.Connection, caller: Caller, query: TypesPage) -> Response:
        """List the types of events that a tenant sends, by type: their fields, how often and when last."""
        if "\x00" in query.starting_after:
            raise Invalid.at("startingAfter", "is no event type")
        rows = await event_type_queries.list_types(connection, caller.tenant, query.starting_after, query.limit + 1)
        return listed(rows, query.limit, _shown)

    @endpoint(
        "GET /api/event-types/{type}",
        "getEventType",
        "Show a type of events, with its fields",
        "events:read",
        answers={200: EventTypeShown},
    )
    async def get_type(self, connection: db.Connection, caller: Caller, type: str) -> Response:
        """Show one type of events that a tenant sends."""
        row = await event_type_queries.find_type(connection, caller.tenant, _known(type))
        if row is None:
            raise NotFound(f"No event of the type {type} was processed yet: see GET /api/event-types.")
        return answer(_shown(row))

    @endpoint("GET /api/event-types/{type}/schema", "getSchema", "Show the schema of an event type", "rules:*")
    async def get_schema(self, connection: db.Connection, caller: Caller, type: str) -> SchemaShown:
        """Show the schema of an event type."""
        return _schema(type, await event_type_queries.find_schema(connection, caller.tenant, _known(type)))

    @endpoint(
        "PUT /api/event-types/{type}/schema",
        "putSchema",
        "Validate the payloads of a type by a JSON Schema",
        "rules:*",
        most_bytes=2 * MAX_BYTES,
    )
    async def put_schema(self, caller: Caller, transaction: db.Transaction, type: str, body: SchemaIn) -> SchemaShown:
        """Validate the payloads of a type against a JSON Schema from now on; in every process within a second."""
        schema = Schema(body.json_schema, body.mode == "reject")
        schema.check()
        async with transaction() as connection:
            others, size = await event_type_queries.other_schemas(connection, caller.tenant, _known(type))
            if others >= _MAX_SCHEMAS or size + schema.size > _MAX_SCHEMA_BYTES:
                raise Invalid(f"A tenant has at most {_MAX_SCHEMAS} schemas of together 1 MiB: delete some, or shorten them.")
            row = await event_type_queries.put_schema(connection, caller.tenant, type, body.mode, body.json_schema)
        # The announcement may take a moment, and the next event comes after this answer.
        self._book.cache.invalidate(caller.tenant)
        return _schema(type, row)

    @endpoint("DELETE /api/event-types/{type}/schema", "deleteSchema", "Delete the schema of an event type", "rules:*")
    async def delete_schema(self, caller: Caller, transaction: db.Transaction, type: str) -> SchemaShown:
        """Delete the schema of an event type, and show it for the last time."""
        async with transaction() as connection:
            row = await event_type_queries.delete_schema(connection, caller.tenant, _known(type))
        self._book.cache.invalidate(caller.tenant)
        return _schema(type, row)


def _known(event_type: str) -> str:
    """Return an event type in a request's path; what is none answers as an unknown one does."""
    if len(event_type) > 200 or not _TYPE.fullmatch(event_type):
        raise NotFound("There is no such event type: types are dot-separated words, such as user.signup.")
    return event_type


def _schema(event_type: str, row: JsonObject | None) -> SchemaShown:
    if row is None:
        raise NotFound(f"The event type {event_type} has no schema: PUT one.")
    return SchemaShown.model_validate(row)


def _shown(row: JsonObject) -> JsonObject:
    """Return a row with the API's field names."""
    fields = [{"path": path, **field, "types": sorted(field["types"])} for path, field in sorted(row["fields"].items())]
    cut = row["fieldsCut"] or len(fields) > MAX_FIELDS
    shown = EventTypeShown.model_validate(row | {"fields": fields[:MAX_FIELDS], "fieldsCut": cut})
    return shown.model_dump(mode="json", exclude_none=True)
