"""The endpoints that read, add and end meters."""

from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.http import Query, Response, answer, listed
from signalops.types import Caller
from signalops.usage.meters import meter_queries, meter_service
from signalops.usage.meters.meter_models import MeterIn, MeterKey, MeterList, MeterShown


class MetersPage(Query):
    """Query of a list of meters, by key."""

    limit: int = Field(100, ge=1, le=100, description="Most meters of a page.")
    starting_after: MeterKey | None = Field(None, description="The last key of the page before: those after it.")
    ended: bool = Field(False, description="Also those that count no more.")


class Meters:
    """The endpoints of meters; `most` is the maximum per tenant."""

    def __init__(self, most: int) -> None:
        self._most = most

    @endpoint("GET /api/meters", "listMeters", "List meters by key", "meters:*", answers={200: MeterList})
    async def list_meters(self, connection: db.Connection, caller: Caller, query: MetersPage) -> Response:
        """List a tenant's meters by key."""
        filters = {"ended": query.ended, "after": query.starting_after or "", "limit": query.limit + 1}
        rows = await meter_queries.list_meters(connection, caller.tenant, **filters)
        return listed(rows, query.limit, MeterShown.model_validate)

    @endpoint(
        "POST /api/meters",
        "addMeter",
        "Add a meter; the same one once more is the one there is",
        "meters:*",
        answers={201: MeterShown, 200: MeterShown},
        problems=(errors.Conflict,),
    )
    async def add_meter(self, connection: db.Connection, caller: Caller, body: MeterIn) -> Response:
        """Add a meter; it counts from the next batch of events on."""
        meter, is_new = await meter_service.add(connection, caller.tenant, body, self._most)
        return answer(meter, 201, {"location": f"/api/meters/{meter.key}"}) if is_new else answer(meter)

    @endpoint("GET /api/meters/{key}", "getMeter", "Show a meter", "meters:*")
    async def get_meter(self, connection: db.Connection, caller: Caller, key: str) -> MeterShown:
        """Show a meter."""
        return await meter_service.show(connection, caller.tenant, key)

    @endpoint("DELETE /api/meters/{key}", "endMeter", "Have a meter count no more", "meters:*", problems=(errors.Conflict,))
    async def end_meter(self, connection: db.Connection, caller: Caller, key: str) -> MeterShown:
        """Have a meter count no more; what it has counted stays."""
        return await meter_service.end(connection, caller.tenant, key)
