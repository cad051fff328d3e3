"""The API on one page: every operation, with what goes in and what comes out. Routes and OpenAPI are both made of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import UnionType
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from signalops import errors
from signalops.errors import Problem
from signalops.ingest import cloudevents
from signalops.ingest import http as ingest
from signalops.ingest.model import Accepted, BatchResult, EventIn, EventList
from signalops.terms import Caller, Scope
from signalops.usage.http import UsageHttp
from signalops.usage.model import Usage, UsageQuery
from signalops.watch.http import EventPath, Health, Watch

Open = Callable[[Request], Awaitable[Response]]
ForCaller = Callable[[Request, Caller], Awaitable[Response]]

_ALWAYS = (errors.Unauthenticated, errors.Forbidden, errors.TooManyFailures, errors.Unavailable)
_BODY = (errors.Malformed, errors.TooLarge, errors.UnsupportedMedia, errors.Invalid)


@dataclass(frozen=True)
class Operation:
    """One method of one path. Without a scope it is open to everybody."""

    method: str
    path: str
    name: str
    summary: str
    handler: Open | ForCaller
    scope: Scope | None
    answers: dict[int, type[BaseModel] | UnionType]
    problems: tuple[type[Problem], ...] = ()
    query: type[BaseModel] | None = None
    bodies: dict[str, object] = field(default_factory=dict)


class Handlers(NamedTuple):
    """The stations' handlers."""

    events: ingest.Events
    watch: Watch
    usage: UsageHttp


def operations(handlers: Handlers) -> list[Operation]:
    """Return every operation of the API."""
    events, watch, usage = handlers
    return [
        Operation(
            "POST",
            "/api/events",
            "storeEvent",
            "Store an event, once",
            events.post,
            "events:write",
            {202: Accepted | BatchResult, 200: Accepted},
            (*_ALWAYS, *_BODY, errors.IdempotencyConflict, errors.QuotaExceeded, errors.Overloaded),
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
            (*_ALWAYS, *_BODY, errors.Overloaded),
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
            (*_ALWAYS, errors.Invalid),
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
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/usage",
            "getUsage",
            "Show a month's usage and limits",
            usage.get,
            "usage:read",
            {200: Usage},
            (*_ALWAYS, errors.Invalid),
            query=UsageQuery,
        ),
        Operation("GET", "/healthz", "live", "Tell that the process lives", watch.healthz, None, {200: Health}),
        Operation(
            "GET",
            "/readyz",
            "ready",
            "Tell whether requests can be served",
            watch.readyz,
            None,
            {200: Health},
            (errors.Unavailable,),
        ),
    ]
