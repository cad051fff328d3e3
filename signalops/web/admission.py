"""Admits requests to endpoints: authenticates, limits the rate, and renders each refusal as a problem document."""

import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.access.auth import PLATFORM_SCOPES, Authenticator
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.request_limiter import RequestLimiter
from signalops.config import Settings
from signalops.endpoint import Endpoint
from signalops.errors import Forbidden, Problem, RateLimited, Unavailable
from signalops.types import Caller, Operator
from signalops.web.handlers import Pools, call_of
from signalops.web.hosts import HostCheck
from signalops.web.problems import refused, report
from signalops.web.protocol import BoundedProtocol

MAX_UNREAD_BYTES = 32 * 2**20
"""Bytes of answers to one tenant that may wait to be read."""
_LARGE_ANSWER = 64 * 1024
_NO_PLATFORM = "This API has no login for operators: set SIGNALOPS_PLATFORM_DATABASE_URL to one of the role signalops_platform."


class Admission:
    """What every request passes before its handler is called."""

    def __init__(self, gate: Authenticator, failures: AuthThrottle, pools: Pools, config: Settings) -> None:
        self._gate = gate
        self._failures = failures
        self._pools = pools
        self._has_platform = config.has_platform
        self._requests = RequestLimiter(config.request_rate, config.request_burst)
        self._hosts = HostCheck(config.own_host_only)

    def route(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers the requests to an endpoint."""
        call = call_of(endpoint, self._pools)

        async def answered(request: Request) -> Response:
            began, status, reason = time.perf_counter(), int(Problem.status), Problem.kind
            try:
                response = await admitted(request)
                status, reason = response.status_code, ""
            except Problem as problem:
                response = refused(request, problem)
                status, reason = int(problem.status), problem.kind
            finally:
                report(request, endpoint.name, status, reason or None, (time.perf_counter() - began) * 1000)
            return response

        async def admitted(request: Request) -> Response:
            try:
                self._hosts.check(request)
                address = request.client.host if request.client else None
                if endpoint.scope is None:  # what is signed by a provider is Forbidden when it is not
                    async with self._failures.throttled(address, Forbidden):
                        return await call(request, None)
                who = await self._gate.admit(request.headers, address, endpoint.scope)
                self._admit(request, who, address, endpoint)
                response = await call(request, who)
                if len(response.body) > _LARGE_ANSWER:
                    _require_readers(request, response)
                return response
            except db.OUTAGE as outage:
                is_platforms = endpoint.scope in PLATFORM_SCOPES
                await db.repair(self._pools.platform if is_platforms else self._pools.tenants)
                raise Unavailable("The database did not answer.", headers={"Retry-After": "1"}) from outage

        return answered

    def _admit(self, request: Request, who: Caller | Operator, address: str | None, endpoint: Endpoint) -> None:
        tenant = who.tenant if isinstance(who, Caller) else None
        db.acting.set(db.Action(who.actor, address, endpoint.name))
        request.scope["tenant"] = tenant
        if endpoint.scope != "events:write":  # which is limited by the event
            self._requests.take(tenant, who.actor)
        if tenant is None and not self._has_platform:
            raise Unavailable(_NO_PLATFORM)


def _require_readers(request: Request, response: Response) -> None:
    """Raise RateLimited when a tenant is given more than it reads: what waits for it stays in memory."""
    connection, owner = request.scope.get("state", {}).get("connection"), request.scope.get("tenant")
    if not isinstance(connection, BoundedProtocol):
        return
    connection.owner = owner
    others = (one for one in connection.connections if isinstance(one, BoundedProtocol) and one.owner == owner)
    if sum(one.unread for one in others) + len(response.body) > MAX_UNREAD_BYTES:
        raise RateLimited("Answers of 32 MiB wait to be read: read them, then ask for more.", headers={"Retry-After": "1"})
