"""Assembles the HTTP application: the stations' handlers behind the check of who asks, and their life cycle."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.staticfiles import StaticFiles

from signalops import db, facts, logs, migrate, timekeeping
from signalops.access.deletion.http import Deletions
from signalops.access.digests import Digests
from signalops.access.directory import Directory
from signalops.access.failures import Failures
from signalops.access.gate import PLATFORM_SCOPES, Gate
from signalops.access.http import Keys
from signalops.access.jwks import keys_of
from signalops.access.listen import listen
from signalops.access.rates import Requests
from signalops.access.ring import KeyRing
from signalops.access.tokens import Tokens
from signalops.access.trust import trust_of
from signalops.config import Settings, settings
from signalops.constants import PRIORITY_BULK, PRIORITY_EVENT
from signalops.errors import Forbidden, Malformed, MethodNotAllowed, NotFound, Problem, RateLimited, Unavailable
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.http import Bounds, Events
from signalops.ingest.rates import Rates
from signalops.ingest.replay.http import Replays
from signalops.ingest.types import SchemaBook
from signalops.ingest.types.http import EventTypes
from signalops.operate.billing.http import Billing
from signalops.operate.http import Tenants
from signalops.rules.backtest.ask import Limits as BacktestLimits
from signalops.rules.backtest.http import Backtests
from signalops.rules.http import Rules
from signalops.rules.silences.http import Silences
from signalops.send.callbacks.http import Callbacks, Suppressions
from signalops.send.deliveries.http import Deliveries
from signalops.send.letters.http import Letters
from signalops.send.manage.http import Channels
from signalops.supervise import supervised
from signalops.templates import SendTemplates
from signalops.terms import Caller, Operator
from signalops.usage.adjustments.http import Adjustments
from signalops.usage.audit.http import LinesHttp
from signalops.usage.credits.http import CreditsHttp
from signalops.usage.http import UsageHttp
from signalops.usage.invoices.http import Invoices
from signalops.usage.limits import LimitScales
from signalops.usage.limits.http import LimitsHttp
from signalops.usage.meters.http import Meters
from signalops.usage.plans.http import PlansHttp
from signalops.watch.actions.http import Actions
from signalops.watch.http import Watch
from signalops.watch.metrics.http import MetricsHttp
from signalops.watch.metrics.measure import Measurements, watch_pools
from signalops.watch.metrics.record import record
from signalops.watch.metrics.registry import begin
from signalops.watch.traces import spans_of
from signalops.web import headers, openapi
from signalops.web.drain import drain_first
from signalops.web.hosts import HostCheck
from signalops.web.operations import Handlers, Operation, Platform, operations
from signalops.web.protocol import BoundedProtocol

_LARGE_ANSWER = 64 * 1024
MOST_UNREAD = 32 * 2**20
"""Bytes of answers to one tenant that may wait to be read."""
"""A batch is processed after the single events that wait: a tenant's bulk load never delays another's single events."""


_NO_PLATFORM = (
    "This API has no login for operators: set SIGNALOPS_PLATFORM_DATABASE_URL to one of the role signalops_platform."
)


class Api:
    """The application with the parts that must be started and stopped."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        # The flushers have backends of their own: a pool hands its connections out in turn, and a backend that comes to its turn
        # once in a while is cold: a lone event took twice as long.
        self._flushing = db.pool(config, "api", 1), db.pool(config, "api", 1)
        self._connections = db.pool(config, "api", config.api_connections)
        self._platform = db.pool(config, "platform", 2)
        self._failures = Failures()
        digests = Digests.of(config)
        # Of its own, so that no tenant's slow lists keep anybody from coming in.
        self._access = db.pool(config, "api", 2)
        self._ring = KeyRing(self._access, self._failures, digests)
        self._requests = Requests(config.request_rate, config.request_burst)
        self._directory = Directory(self._access)
        trust = trust_of(config)
        self._tokens = Tokens(trust, keys_of(trust), self._failures) if trust else None
        self._gate = Gate(self._ring, self._directory, self._tokens)
        limits = Limits(config.max_waiting_events, config.max_flush_events, config.flush_linger_ms / 1000)
        scales = LimitScales(self._connections)
        self._rates = Rates()
        self._single, self._bulk = (
            Flusher((own, self._connections), scales, self._rates, priority, limits)
            for own, priority in zip(self._flushing, (PRIORITY_EVENT, PRIORITY_BULK), strict=True)
        )
        self._draining = False
        self._schemas = SchemaBook(self._connections)
        bounds = Bounds(config.max_event_bytes, config.max_batch_bytes, config.backfill_days)
        events = Events(self._single, self._bulk, self._connections, self._schemas, bounds)
        types = EventTypes(self._connections, self._schemas)
        watch = Watch(self._connections, self._flushing, lambda: self._draining)
        rules = Rules(self._connections, SendTemplates(), config.max_rules)
        looks = BacktestLimits(config.max_backtests, config.backtest_events, config.backtest_seconds)
        past = (
            Backtests(self._connections, SendTemplates(), looks),
            Replays(self._connections, config.max_replayed_events),
        )
        usage = UsageHttp(self._connections)
        heard = Callbacks(self._connections, config), Suppressions(self._connections)
        self._channels = Channels(self._connections, config)
        silences, deliveries = Silences(self._connections), Deliveries(self._connections)
        handlers = Handlers(
            *(events, types, rules, *past, silences, watch, usage, *heard),
            channels=self._channels,
            deliveries=deliveries,
            letters=Letters(self._connections),
            meters=Meters(self._connections, config.max_meters),
            adjustments=Adjustments(self._connections, config.backfill_days),
            credits=CreditsHttp(self._connections),
            plans=PlansHttp(self._connections),
            limits=LimitsHttp(self._connections),
            invoices=Invoices(self._connections),
            lines=LinesHttp(self._connections),
            keys=Keys(self._connections, digests),
            actions=Actions(self._connections),
            platform=_desk(self._platform, digests, config.backfill_days),
            metrics=MetricsHttp(Measurements(self._platform), config.metrics_token),
        )
        self._operations = operations(handlers)
        self._hosts = HostCheck(config.own_host_only)

    def _pools(self) -> dict[str, db.Pool]:
        single, bulk = self._flushing
        return {
            "single": single,
            "bulk": bulk,
            "access": self._access,
            "api": self._connections,
            "platform": self._platform,
        }

    def _begin_draining(self) -> None:
        self._draining = True

    def application(self) -> Starlette:
        """Return the ASGI application."""

        async def document(_: Request) -> Response:
            # On the first request and not at the start, which it would make longer; in a thread, since others are served.
            content = await asyncio.to_thread(openapi.rendered, self._operations)
            return Response(content, media_type="application/json")

        async def page(_: Request) -> Response:
            return HTMLResponse(openapi.PAGE, headers={"Content-Security-Policy": openapi.CSP})

        application = Starlette(
            routes=[
                *(
                    Route(_route(o), self._endpoint(o), methods=[o.method])
                    for o in sorted(self._operations, key=_comes_last)
                ),
                Route("/api/openapi.json", document),
                Route("/api/docs", page),
                Mount("/api/swagger-ui", StaticFiles(directory=openapi.SWAGGER_UI)),
            ],
            middleware=headers.middleware(self._operations, self._config.cors_origins, lambda: self._draining),
            exception_handlers={HTTPException: _http_problem, Exception: _bug},
            lifespan=self._lifespan,
        )
        # A redirect from /api/events/ would be to http behind a proxy that ends TLS: the key would be sent again in plain.
        application.router.redirect_slashes = False
        return application

    def _endpoint(self, operation: Operation):  # type: ignore[no-untyped-def]
        """Put the gate before an operation's handler, make a document of every refusal, and tell of the answer."""

        async def answered(request: Request) -> Response:
            began, status, reason = time.perf_counter(), int(Problem.status), Problem.kind
            try:
                response = await guarded(request)
                status, reason = response.status_code, ""
            except Problem as problem:
                response = _answer(request, problem)
                status, reason = int(problem.status), problem.kind
            finally:
                milliseconds = (time.perf_counter() - began) * 1000
                _tell(request, operation.name, status, reason or None, milliseconds)
            return response

        async def guarded(request: Request) -> Response:
            try:
                self._hosts.check(request)
                address = request.client.host if request.client else None
                if operation.scope is None:  # what is signed by a provider is Forbidden when it is not
                    async with self._failures.counted(address, Forbidden):
                        return await operation.handler(request)  # type: ignore[call-arg]
                who = await self._gate.admit(request.headers, address, operation.scope)
                db.acting.set(db.Action(who.actor, address, operation.name))
                request.scope["tenant"] = who.tenant if isinstance(who, Caller) else None
                if operation.scope != "events:write":  # which is limited by the event
                    self._requests.take(who.tenant if isinstance(who, Caller) else None, who.actor)
                if isinstance(who, Operator) and not self._config.has_platform:
                    raise Unavailable(_NO_PLATFORM)
                response = await operation.handler(request, who)  # type: ignore[arg-type, call-arg]
                if len(response.body) > _LARGE_ANSWER:
                    _require_readers(request, response)
                return response
            except db.OUTAGE as outage:
                await db.repair(self._platform if operation.scope in PLATFORM_SCOPES else self._connections)
                raise Unavailable("The database did not answer.", headers={"Retry-After": "1"}) from outage

        return answered

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(migrate.require_current, self._config, "api")
        pools = (*self._flushing, self._access, self._connections)
        await asyncio.gather(*(pool.open(wait=True) for pool in pools))
        # Before the first event gets its id.
        await timekeeping.measure(self._connections)
        if self._config.has_platform:
            # Without waiting: producers are served while a login of operators is wrong.
            await self._platform.open()
        remembering = self._ring, self._directory, self._rates
        tasks = [
            supervised("flush single events", self._single.run),
            supervised("flush batches", self._bulk.run),
            supervised(
                "hear of changes", lambda: listen(remembering, self._schemas, db.listening(self._config, "api"), pools)
            ),
            supervised("note when keys were used", self._ring.uses.run),
            supervised("watch the pools", lambda: watch_pools(self._pools())),
            supervised("keep the time", lambda: timekeeping.keep(self._connections)),
        ]
        if self._tokens:
            tasks.append(supervised("read the issuer's keys", self._tokens.run))
        drain_first(self._config.drain_seconds, self._begin_draining)
        facts.emit("api.started", host=self._config.host, port=self._config.port)
        try:
            yield
        finally:
            self._draining = True
            await self._single.drain()
            await self._bulk.drain()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._channels.close()
            for pool in (*pools, self._platform):
                await pool.close()
            facts.emit("api.stopped")


def create() -> Starlette:
    """Make the application from the environment's settings; what uvicorn calls in each process."""
    logs.install(settings())
    facts.subscribe(logs.lines_of(settings().log_requests))
    begin("api")
    facts.subscribe(record)
    if spans := spans_of(settings(), "api"):
        facts.subscribe(spans)
    application = Api(settings()).application()
    # Requests allocate by the thousand and leave no cycles behind: collecting after each 700 objects, as is the default,
    # took a sixth of this process's time, and its pauses made the p99.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return application


def _route(operation: Operation) -> str:
    """Return the path in Starlette's words: an event type may contain /."""
    return operation.path.replace("{type}", "{type:path}")


def _comes_last(operation: Operation) -> bool:
    """Whether a route comes after the others: it would take their addresses for the rest of its own."""
    return operation.path.endswith("{type}")


def _desk(connections: db.Pool, digests: Digests, backfill_days: int) -> Platform:
    return Platform(
        Tenants(connections),
        Billing(connections),
        Deletions(connections),
        Keys(connections, digests),
        LimitsHttp(connections),
        PlansHttp(connections),
        CreditsHttp(connections),
        Invoices(connections),
        Actions(connections),
        Adjustments(connections, backfill_days),
    )


def _require_readers(request: Request, response: Response) -> None:
    """Raise RateLimited when a tenant is given more than it reads: what waits for it stays in memory."""
    connection, owner = request.scope.get("state", {}).get("connection"), request.scope.get("tenant")
    if not isinstance(connection, BoundedProtocol):
        return
    connection.owner = owner
    others = (one for one in connection.connections if isinstance(one, BoundedProtocol) and one.owner == owner)
    if sum(one.unread for one in others) + len(response.body) > MOST_UNREAD:
        raise RateLimited(
            "Answers of 32 MiB wait to be read: read them, then ask for more.", headers={"Retry-After": "1"}
        )


def _tell(request: Request, operation: str | None, status: int, reason: str | None, milliseconds: float) -> None:
    facts.emit(
        "request.answered",
        operation=operation,
        status=status,
        reason=reason,
        milliseconds=milliseconds,
        tenant=request.scope.get("tenant"),
        correlation=request.scope["correlation"].id,
    )


def _answer(request: Request, problem: Problem) -> Response:
    content = orjson.dumps(problem.document() | {"instance": request.url.path})
    return Response(content, problem.status, problem.headers, "application/problem+json")


async def _http_problem(request: Request, error: Exception) -> Response:
    """Translate what Starlette itself refuses."""
    assert isinstance(error, HTTPException)
    unread = {404: NotFound.kind, 405: MethodNotAllowed.kind}.get(error.status_code, Malformed.kind)
    _tell(request, None, error.status_code, unread, 0.0)
    if error.status_code == 404:
        return _answer(request, NotFound("There is nothing at this address: see /api/docs."))
    if error.status_code == 405:
        headers = {"Allow": ", ".join(sorted(_methods(request)))}
        return _answer(
            request, MethodNotAllowed(f"{request.method} is not possible here: see /api/docs.", headers=headers)
        )
    return _answer(request, Malformed(f"The request can't be read: {error.detail}.", headers=dict(error.headers or {})))


def _methods(request: Request) -> set[str]:
    """Return the methods of a request's address; the headers of Starlette's error name those of its first route only."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {m for route in routes if route.matches(request.scope)[0] is not Match.NONE for m in route.methods or ()}


async def _bug(request: Request, _: Exception) -> Response:
    """Answer what nobody foresaw; Starlette logs the traceback."""
    response = _answer(request, Problem("An error of SignalOps itself: it is logged; send the request again later."))
    response.raw_headers = headers.common(
        request.scope, response.raw_headers
    )  # Starlette answers outside of the middleware
    return response
