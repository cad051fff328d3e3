"""The request for usage."""

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.errors import Invalid
from signalops.terms import Caller
from signalops.usage.model import UsageQuery
from signalops.usage.read import usage


class UsageHttp:
    """The handler, with what it needs."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a month's usage: accepted, processed, limits, and the days."""
        try:
            query = UsageQuery.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise Invalid.of(error) from error
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            shown = await usage(connection, caller.tenant, query.period)
        return Response(shown.model_dump_json(), media_type="application/json")
