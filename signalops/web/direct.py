"""Calls the busiest endpoints without Starlette's router, exception wrappers and send wrappers, and writes a response at once.

Measured with POST /api/events: these layers, and a write each for head and body, took a third of the processor time of a request.
Correlation, common headers, problems and the answer to an unexpected error are those of the other endpoints.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from signalops import correlation
from signalops.web.headers import common
from signalops.web.problems import failed
from signalops.web.protocol import BoundedProtocol

Routes = Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]]
"""Method and path to what answers a request."""


class DirectRoutes:
    """ASGI app in front of an application's middleware: answers the requests to its own routes, and passes on all others."""

    def __init__(self, app: ASGIApp, routes: Routes, is_draining: Callable[[], bool]) -> None:
        self._app = app
        self._routes = routes
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["correlation"] = found = correlation.correlation_of(scope["headers"])
        correlation.current.set(found)
        request = Request(scope, receive)
        try:
            response = await route(request)
            response.raw_headers = common(scope, response.raw_headers)
        except Exception as error:
            await self._respond(scope, send, await failed(request, error))
            raise  # the server logs it
        await self._respond(scope, send, response)

    async def _respond(self, scope: Scope, send: Send, response: Response) -> None:
        headers = response.raw_headers
        if self._is_draining():
            headers = [*headers, (b"connection", b"close")]
        connection = scope.get("state", {}).get("connection")
        if isinstance(connection, BoundedProtocol) and connection.respond(scope, response.status_code, headers, response.body):
            return
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
