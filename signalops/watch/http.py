"""The requests that look: one event's path, and the health of the process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from signalops import db
from signalops.errors import NotFound, Unavailable
from signalops.ingest.model import EventShown
from signalops.terms import Caller, EventId
from signalops.watch import store
from signalops.watch.follow import follow


class Health(BaseModel):
    """The state of the process."""

    status: Literal["ok"]


class EventPath(EventShown):
    """An event and what became of it."""

    operational: bool = Field(False, description="SignalOps itself emitted it; it is not billed.")
    held: bool = Field(False, description="It waits for its tenant to be resumed.")
    processing: dict[str, Any] | None = Field(
        description="When, and against how many rules, in which version of the whole set."
    )
    matches: list[dict[str, Any]] = Field(description="The rules that matched: id, name, version, outcome.")
    deliveries: list[dict[str, Any]] = Field(description="The notifications, each with its attempts.")


class Watch:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, flushing: Sequence[db.Pool], is_draining: Callable[[], bool]) -> None:
        self._connections = connections
        self._flushing = flushing
        self._is_draining = is_draining

    async def get_event(self, request: Request, caller: Caller) -> Response:
        """Show one event: its status, the rules that matched, and its deliveries."""
        unknown = NotFound("There is no such event: check the id.")
        try:
            event = EventId(UUID(request.path_params["id"]))
        except ValueError:
            raise unknown from None
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            shown = await follow(connection, caller.tenant, event)
        if shown is None:
            raise unknown
        # Job numbers, worker names and batches are the operator's: they tell of other tenants' traffic.
        del shown["batch"]
        if shown["processing"]:
            del shown["processing"]["job"], shown["processing"]["worker"]
        return Response(orjson.dumps(shown), media_type="application/json")

    async def healthz(self, request: Request) -> Response:
        """Tell that the process lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Tell whether requests can be served: the database answers, also the flushers, and the process is not about to stop."""
        if self._is_draining():
            raise Unavailable("The process is stopping: send to another one.", headers={"Retry-After": "1"})
        try:
            async with asyncio.timeout(2):
                for pool in (self._connections, *self._flushing):
                    async with pool.connection() as connection:
                        await store.ready(connection)
        except (*db.OUTAGE, TimeoutError) as error:
            raise Unavailable("The database does not answer.", headers={"Retry-After": "1"}) from error
        return JSONResponse({"status": "ok"})
