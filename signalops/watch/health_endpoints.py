"""The endpoints of an event's trace and of the process's health."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import orjson
from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.errors import NotFound, Unavailable
from signalops.http import Response
from signalops.ingest.event_models import EventShown
from signalops.models import ApiModel
from signalops.types import Caller, EventId, JsonObject
from signalops.watch import watch_queries
from signalops.watch.event_trace import follow


class Health(ApiModel):
    """The state of the process."""

    status: Literal["ok"]


class EventPath(EventShown):
    """An event with its trace."""

    operational: bool = Field(False, description="SignalOps itself emitted it; it is not billed.")
    locked: bool = Field(False, description="It waits for its tenant to be resumed.")
    processing: JsonObject | None = Field(description="When, and against how many rules, in which version of the whole set.")
    matches: list[JsonObject] = Field(description="The rules that matched: id, name, version, outcome.")
    deliveries: list[JsonObject] = Field(description="The notifications, each with its attempts.")


@endpoint("GET /api/events/{id}", "getEvent", "Show an event and what became of it", "events:read", answers={200: EventPath})
async def get_event(connection: db.Connection, caller: Caller, event: EventId) -> Response:
    """Show one event: its status, the rules that matched, and its deliveries."""
    shown = await follow(connection, caller.tenant, event)
    if shown is None:
        raise NotFound("There is no such event: check the id.")
    # Job numbers, worker names and batches are the operator's: they reveal other tenants' traffic.
    del shown["batch"]
    if shown["processing"]:
        del shown["processing"]["job"], shown["processing"]["worker"]
    return Response(orjson.dumps(shown), media_type="application/json")


class Probes:
    """The endpoints that an orchestrator asks."""

    def __init__(self, pools: Sequence[db.Pool], is_draining: Callable[[], bool]) -> None:
        self._pools = pools
        self._is_draining = is_draining

    @endpoint("GET /healthz", "live", "Report that the process is alive", None)
    async def healthz(self) -> Health:
        """Answer that the process is alive."""
        return Health(status="ok")

    @endpoint("GET /readyz", "ready", "Report whether requests can be served", None, problems=(errors.Unavailable,))
    async def readyz(self) -> Health:
        """Answer whether requests can be served: all pools reach the database, and the process is not draining."""
        if self._is_draining():
            raise Unavailable("The process is stopping: send to another one.", headers={"Retry-After": "1"})
        try:
            async with asyncio.timeout(2):
                for pool in self._pools:
                    async with pool.connection() as connection:
                        await watch_queries.ready(connection)
        except (*db.OUTAGE, TimeoutError) as error:
            raise Unavailable("The database does not answer.", headers={"Retry-After": "1"}) from error
        return Health(status="ok")
