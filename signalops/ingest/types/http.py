"""The requests for the catalogue of event types, and for their schemas."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.errors import Invalid, NotFound
from signalops.http import answer, listed, read_model
from signalops.ingest.model import EVENT_TYPE
from signalops.ingest.types import store
from signalops.ingest.types.model import EventTypeShown, SchemaIn, SchemaShown, TypesPage
from signalops.ingest.types.schema import MOST_BYTES, Schema
from signalops.ingest.types.schemas import SchemaBook
from signalops.ingest.types.structure import MOST_FIELDS
from signalops.terms import Caller

_MOST_SCHEMAS = 200
_MOST_SCHEMA_BYTES = 1024 * 1024
_TYPE = re.compile(EVENT_TYPE)


class EventTypes:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, book: SchemaBook) -> None:
        self._connections = connections
        self._book = book

    async def list(self, request: Request, caller: Caller) -> Response:
        """List the types of events that a tenant sends, by type: their fields, how often and when last."""
        query = TypesPage.of(request)
        if "\x00" in query.starting_after:
            raise Invalid(
                "starting_after: is no event type.", errors=[{"path": "starting_after", "message": "is no event type"}]
            )
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_types(connection, caller.tenant, query.starting_after, query.limit + 1)
        return listed(rows, query.limit, _shown)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show one type of events that a tenant sends."""
        event_type = _type(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            row = await store.find_type(connection, caller.tenant, event_type)
        if row is None:
            raise NotFound(f"No event of the type {event_type} was processed yet: see GET /api/event-types.")
        return answer(_shown(row))

    async def get_schema(self, request: Request, caller: Caller) -> Response:
        """Show the schema of an event type."""
        event_type = _type(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _schema(event_type, await store.find_schema(connection, caller.tenant, event_type))

    async def put_schema(self, request: Request, caller: Caller) -> Response:
        """Hold the payloads of a type's events against a JSON Schema from now on; in every process within a second."""
        event_type = _type(request)
        asked = await read_model(request, SchemaIn, 2 * MOST_BYTES)
        schema = Schema(asked.json_schema, asked.mode == "reject")
        schema.check()
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            others, size = await store.other_schemas(connection, caller.tenant, event_type)
            if others >= _MOST_SCHEMAS or size + schema.size > _MOST_SCHEMA_BYTES:
                raise Invalid(
                    f"A tenant has at most {_MOST_SCHEMAS} schemas of together 1 MiB: delete some, or shorten them."
                )
            row = await store.put_schema(connection, caller.tenant, event_type, asked.mode, asked.json_schema)
        self._book.forget(
            caller.tenant
        )  # the announcement may take a moment, and the next event comes after this answer
        return _schema(event_type, row)

    async def delete_schema(self, request: Request, caller: Caller) -> Response:
        """Delete the schema of an event type, and show it for the last time."""
        event_type = _type(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            row = await store.delete_schema(connection, caller.tenant, event_type)
        self._book.forget(caller.tenant)
        return _schema(event_type, row)


def _type(request: Request) -> str:
    """Return the event type in a request's path; what is none answers as an unknown one does."""
    event_type: str = request.path_params["type"]
    if len(event_type) > 200 or not _TYPE.fullmatch(event_type):
        raise NotFound("There is no such event type: types are dot-separated words, such as user.signup.")
    return event_type


def _schema(event_type: str, row: dict[str, Any] | None) -> Response:
    if row is None:
        raise NotFound(f"The event type {event_type} has no schema: PUT one.")
    return answer(SchemaShown.model_validate(row))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row in the words of the API."""
    fields = [{"path": path, **field, "types": sorted(field["types"])} for path, field in sorted(row["fields"].items())]
    cut = row["fieldsCut"] or len(fields) > MOST_FIELDS
    shown = EventTypeShown.model_validate(row | {"fields": fields[:MOST_FIELDS], "fieldsCut": cut})
    return shown.model_dump(mode="json", exclude_none=True)
