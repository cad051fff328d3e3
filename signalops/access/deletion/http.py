"""The requests that delete tenants."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.access.deletion.begin import begin, show
from signalops.access.deletion.model import Confirmation
from signalops.http import answer
from signalops.terms import Operator


class Deletions:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def begin(self, request: Request, operator: Operator) -> Response:
        """Begin to delete a closed tenant; the answer tells where to look how far it is."""
        query = Confirmation.of(request)
        async with db.as_platform(self._connections) as connection:
            deletion = await begin(connection, request.path_params["tenant"], query.confirm)
        return answer(deletion, 202, {"Location": f"/api/tenants/{deletion.tenant}/deletion"})

    async def show(self, request: Request, operator: Operator) -> Response:
        """Show how far a deletion is, or its proof; also when the tenant is long gone."""
        async with db.as_platform(self._connections) as connection:
            return answer(await show(connection, request.path_params["tenant"]))
