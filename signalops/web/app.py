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

from signalops import db, facts, logs, migrate
from signalops.access.deletion.http import Deletions
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
from signalops.errors import Malformed, MethodNotAllowed, NotFound, Problem, Unavailable
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
from signalops.web.operations import Handlers, Operation, Platform, operations

BULK_PRIORITY = -10
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
        self._ring = KeyRing(self._connections, self._failures)
        self._requests = Requests(config.request_rate, config.request_burst)
        self._directory = Directory(self._connections)
        trust = trust_of(config)
        self._tokens = Tokens(trust, keys_of(trust), self._failures) if trust else None
        self._gate = Gate(self._ring, self._directory, self._tokens)
        limits = Limits(config.max_waiting_events, config.max_flush_events, config.flush_linger_ms / 1000)
        scales = LimitScales(self._connections)
        self._rates = Rates()
        self._single = Flusher(self._flushing[0], scales, self._rates, 0, limits)
        self._bulk = Flusher(self._flushing[1], scales, self._rates, BULK_PRIORITY, limits)
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
            keys=Keys(self._connections),
            actions=Actions(self._connections),
            platform=_desk(self._platform),
            metrics=MetricsHttp(Measurements(self._platform), config.metrics_token),
        )
        self._operations = operations(handlers)

    def _pools(self) -> dict[str, db.Pool]:
        single, bulk = self._flushing
        return {"single": single, "bulk": bulk, "api": self._connections, "platform": self._platform}

    def _begin_draining(self) -> None:
        self._draining = True

    def application(self) -> Starlette:
        """Return the ASGI application."""
        described = orjson.dumps(openapi.document(self._operations))

        async def document(_: Request) -> Response:
            return Response(described, media_type="application/json")

        async def page(_: Request) -> Response:
            return HTMLResponse(openapi.PAGE, headers={"Content-Security-Policy": openapi.CSP})

        application = Starlette(
            routes=[
                *(Route(o.path, self._endpoint(o), methods=[o.method]) for o in self._operations),
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
                if operation.scope is None:
                    return await operation.handler(request)  # type: ignore[call-arg]
                address = request.client.host if request.client else None
                who = await self._gate.admit(request.headers, address, operation.scope)
                db.acting.set(db.Action(who.actor, address, operation.name))
                request.scope["tenant"] = who.tenant if isinstance(who, Caller) else None
                if operation.scope != "events:write":  # which is limited by the event
                    self._requests.take(who.tenant if isinstance(who, Caller) else None, who.actor)
                if isinstance(who, Operator) and not self._config.has_platform:
                    raise Unavailable(_NO_PLATFORM)
                return await operation.handler(request, who)  # type: ignore[arg-type, call-arg]
            except db.OUTAGE as outage:
                await db.repair(self._platform if operation.scope in PLATFORM_SCOPES else self._connections)
                raise Unavailable("The database did not answer.", headers={"Retry-After": "1"}) from outage

        return answered

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(migrate.require_current, self._config, "api")
        pools = (*self._flushing, self._connections)
        for pool in pools:
            await pool.open(wait=True)
        if self._config.has_platform:
            # Without waiting: producers are served while a login of operators is wrong.
            await self._platform.open()
        remembering = self._ring, self._directory, self._rates
        tasks = [
            asyncio.create_task(self._single.run(), name="flush single events"),
            asyncio.create_task(self._bulk.run(), name="flush batches"),
            asyncio.create_task(
                listen(remembering, self._schemas, db.listening(self._config, "api")), name="hear of changes"
            ),
            asyncio.create_task(self._ring.uses.run(), name="note when keys were used"),
            asyncio.create_task(watch_pools(self._pools()), name="watch the pools"),
        ]
        if self._tokens:
            tasks.append(asyncio.create_task(self._tokens.run(), name="read the issuer's keys"))
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
    begin()
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


def _desk(connections: db.Pool) -> Platform:
    return Platform(
        Tenants(connections),
        Billing(connections),
        Deletions(connections),
        Keys(connections),
        LimitsHttp(connections),
        PlansHttp(connections),
        CreditsHttp(connections),
        Invoices(connections),
        Actions(connections),
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
