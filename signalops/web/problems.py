"""Problem documents (RFC 9457) for the refusals of handlers, of Starlette, and for internal errors."""

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from signalops import telemetry
from signalops.errors import Malformed, MethodNotAllowed, NotFound, Problem
from signalops.web import headers


def refused(request: Request, problem: Problem) -> Response:
    """Answer a request with a problem."""
    content = orjson.dumps(problem.document() | {"instance": request.url.path})
    return Response(content, problem.status, problem.headers, "application/problem+json")


def report(request: Request, operation: str | None, status: int, reason: str | None, milliseconds: float) -> None:
    """Emit the fact that a request was answered."""
    telemetry.emit(
        "request.answered",
        operation=operation,
        method=request.scope["method"],
        path=request.scope["path"],
        status=status,
        reason=reason,
        duration_ms=milliseconds,
        tenant=request.scope.get("tenant"),
        request_id=request.scope["correlation"].id,
    )


async def unrouted(request: Request, error: Exception) -> Response:
    """Translate what Starlette itself refuses."""
    assert isinstance(error, HTTPException)
    problem = _problem_of(request, error)
    report(request, None, error.status_code, problem.kind, 0.0)
    return refused(request, problem)


def _problem_of(request: Request, error: HTTPException) -> Problem:
    if error.status_code == 404:
        return NotFound("There is nothing at this address: see /api/docs.")
    if error.status_code == 405:
        allowed = {"Allow": ", ".join(sorted(_methods(request)))}
        return MethodNotAllowed(f"{request.method} is not possible here: see /api/docs.", headers=allowed)
    return Malformed(f"The request can't be read: {error.detail}.", headers=dict(error.headers or {}))


def _methods(request: Request) -> set[str]:
    """Return the methods of a request's address; the headers of Starlette's error name those of its first route only."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {m for route in routes if route.matches(request.scope)[0] is not Match.NONE for m in route.methods or ()}


async def failed(request: Request, _: Exception) -> Response:
    """Answer what nobody foresaw; Starlette logs the traceback."""
    response = refused(request, Problem("An error of SignalOps itself: it is logged; send the request again later."))
    # Starlette answers outside of the middleware.
    response.raw_headers = headers.common(request.scope, response.raw_headers)
    return response
