"""Assembles the HTTP application: the endpoints behind authentication, and its lifespan."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from signalops import clock_sync, db, logs, migrate, telemetry
from signalops.access.api_key_auth import ApiKeyAuthenticator
from signalops.access.auth import Authenticator
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.cache_invalidation import listen
from signalops.access.deletion import deletion_endpoints as deletion
from signalops.access.digests import Digests
from signalops.access.jwks import keys_of
from signalops.access.jwt_config import trust_of
from signalops.access.key_endpoints import Keys
from signalops.access.tenant_cache import TenantCache
from signalops.access.tokens import Tokens
from signalops.config import Settings, settings
from signalops.constants import PRIORITY_BULK, PRIORITY_EVENT
from signalops.endpoint import Endpoint, endpoints_of
from signalops.ingest.event_endpoints import Bounds, Events
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.ingest.replay.replay_endpoints import Replays
from signalops.ingest.types import SchemaCache
from signalops.ingest.types.event_type_endpoints import EventTypes
from signalops.rules.backtest.backtest_endpoints import Backtests
from signalops.rules.backtest.create import Limits as BacktestLimits
from signalops.rules.rule_endpoints import Rules
from signalops.rules.silences import silence_endpoints as silences
from signalops.send.callbacks import callback_endpoints as callbacks
from signalops.send.channel_admin.channel_endpoints import Channels
from signalops.send.dead_letters import dead_letter_endpoints
from signalops.send.deliveries import delivery_endpoints as deliveries
from signalops.supervise import exit_if_failed, supervised
from signalops.templates import SendTemplates
from signalops.tenants import tenant_endpoints as tenants
from signalops.usage import usage_report as usage
from signalops.usage.adjustments.adjust import Adjustments
from signalops.usage.credits import credit_endpoints as credits
from signalops.usage.invoices import invoice_endpoints as invoices
from signalops.usage.limits import LimitedMeters
from signalops.usage.limits import limit_endpoints as usage_limits
from signalops.usage.meters.meter_endpoints import Meters
from signalops.usage.plans import plan_endpoints as plans
from signalops.usage.reconciliation import trace as lines
from signalops.watch import health_endpoints as watch
from signalops.watch.audit_log import audit_log_endpoints as actions
from signalops.watch.metrics.collector import Measurements, watch_pools
from signalops.watch.metrics.metrics_endpoint import MetricsHttp
from signalops.watch.metrics.metrics_subscriber import record
from signalops.watch.metrics.registry import begin
from signalops.watch.traces import spans_of
from signalops.web import headers, openapi, pages
from signalops.web.admission import Admission
from signalops.web.direct import DirectRoutes
from signalops.web.drain import drain_first
from signalops.web.handlers import Pools
from signalops.web.problems import failed, unrouted


class Api:
    """The application with the parts that must be started and stopped."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        # The flushers have backends of their own: a pool hands its connections out in turn, and a backend that comes to its turn
        # once in a while is cold: a lone event took twice as long.
        self._flushing = db.pool(config, "api", 1), db.pool(config, "api", 1)
        self._connections = db.pool(config, "api", config.api_connections)
        self._platform = db.pool(config, "platform", 2)
        # Of its own, so that no tenant's slow lists keep anybody from coming in.
        self._access = db.pool(config, "api", 2)
        failures, digests = AuthThrottle(), Digests.of(config)
        self._ring = ApiKeyAuthenticator(self._access, failures, digests)
        self._directory = TenantCache(self._access)
        trust = trust_of(config)
        self._tokens = Tokens(trust, keys_of(trust), failures) if trust else None
        gate = Authenticator(self._ring, self._directory, self._tokens)
        self._admission = Admission(gate, failures, Pools(self._connections, self._platform), config)
        self._rates = RateLimitCache()
        limits = Limits(config.max_waiting_events, config.max_flush_events, config.flush_linger_ms / 1000)
        limited_meters = LimitedMeters(self._connections)
        # A batch is processed after the single events that wait: a tenant's bulk load never delays another's single events.
        self._single, self._bulk = (
            Flusher((own, self._connections), limited_meters, self._rates, priority, limits)
            for own, priority in zip(self._flushing, (PRIORITY_EVENT, PRIORITY_BULK), strict=True)
        )
        self._draining = False
        self._schemas = SchemaCache(self._connections)
        self._channels = Channels(config)
        self.endpoints = self._declared(digests)

    def _declared(self, digests: Digests) -> list[Endpoint]:
        """Return every endpoint; those of one path share a route in this order."""
        config, templates = self._config, SendTemplates()
        bounds = Bounds(config.max_event_bytes, config.max_batch_bytes, config.backfill_days)
        looks = BacktestLimits(config.max_backtests, config.backtest_events, config.backtest_seconds)
        return endpoints_of(
            Events(self._single, self._bulk, self._schemas, bounds),
            watch,
            EventTypes(self._schemas),
            Replays(config.max_replayed_events),
            Backtests(templates, looks),
            Rules(templates, config.max_rules),
            silences,
            self._channels,
            deliveries,
            dead_letter_endpoints,
            callbacks,
            callbacks.Callbacks(self._connections, config),
            Meters(config.max_meters),
            usage,
            Adjustments(config.backfill_days),
            credits,
            plans,
            usage_limits,
            invoices,
            lines,
            Keys(digests),
            tenants,
            deletion,
            actions,
            watch.Probes((self._connections, *self._flushing), lambda: self._draining),
            MetricsHttp(Measurements(self._platform), config.metrics_token),
        )

    def _pools(self) -> dict[str, db.Pool]:
        single, bulk = self._flushing
        return {"single": single, "bulk": bulk, "access": self._access, "api": self._connections, "platform": self._platform}

    def _begin_draining(self) -> None:
        self._draining = True

    def application(self) -> Starlette:
        """Return the ASGI application."""

        async def document(_: Request) -> Response:
            # On the first request and not at the start, which it would make longer; in a thread, since others are served.
            content = await asyncio.to_thread(openapi.rendered, self.endpoints)
            return Response(content, media_type="application/json")

        async def page(_: Request) -> Response:
            return HTMLResponse(pages.API_PAGE, headers={"Content-Security-Policy": pages.API_CSP})

        async def start(request: Request) -> Response:
            base_url = str(request.base_url).rstrip("/")
            return HTMLResponse(pages.start_page(base_url), headers={"Content-Security-Policy": pages.START_CSP})

        application = Starlette(
            routes=[
                *(
                    Route(_route(one), self._admission.route(one), methods=[one.method])
                    for one in sorted(self.endpoints, key=_generality)
                ),
                Route("/api/openapi.json", document),
                Route("/api/docs", page),
                Route("/", start),
                Mount("/api/swagger-ui", StaticFiles(directory=openapi.SWAGGER_UI)),
            ],
            middleware=headers.middleware(self.endpoints, self._config.cors_origins, lambda: self._draining),
            exception_handlers={HTTPException: unrouted, Exception: failed},
            lifespan=self._lifespan,
        )
        # A redirect from /api/events/ would be to http behind a proxy that ends TLS: the key would be sent again in plain.
        application.router.redirect_slashes = False
        if not self._config.cors_origins:  # which the middleware answers
            routes = {(one.method, one.path): self._admission.route(one) for one in self.endpoints if one.is_direct}
            application.middleware_stack = DirectRoutes(application.build_middleware_stack(), routes, lambda: self._draining)
        return application

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(migrate.require_current, self._config, "api")
        pools = (*self._flushing, self._access, self._connections)
        await asyncio.gather(*(pool.open(wait=True) for pool in pools))
        # Before the first event gets its id.
        await clock_sync.measure(self._connections)
        if self._config.has_platform:
            # Without waiting: producers are served while a login of operators is wrong.
            await self._platform.open()
        caches = self._ring.cache, self._directory.cache, self._rates.cache
        tasks = [
            supervised("flush single events", self._single.run),
            supervised("flush batches", self._bulk.run),
            supervised("hear of changes", lambda: listen(caches, self._schemas.cache, db.listening(self._config, "api"), pools)),
            supervised("note when keys were used", self._ring.uses.run),
            supervised("watch the pools", lambda: watch_pools(self._pools())),
            supervised("keep the time", lambda: clock_sync.keep_synced(self._connections)),
        ]
        if self._tokens:
            tasks.append(supervised("read the issuer's keys", self._tokens.run))
        drain_first(self._config.drain_seconds, self._begin_draining)
        telemetry.emit("api.started", host=self._config.host, port=self._config.port)
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
            telemetry.emit("api.stopped")
            exit_if_failed()


def create() -> Starlette:
    """Make the application from the environment's settings; what uvicorn calls in each process."""
    logs.install(settings())
    telemetry.subscribe(logs.lines_of(settings().log_requests))
    begin("api")
    telemetry.subscribe(record)
    if spans := spans_of(settings(), "api"):
        telemetry.subscribe(spans)
    application = Api(settings()).application()
    # Requests allocate by the thousand and leave no cycles behind: collecting after each 700 objects, as is the default,
    # took a sixth of this process's time, and its pauses made the p99.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return application


def _route(endpoint: Endpoint) -> str:
    """Return the path in Starlette's words: an event type may contain /."""
    return endpoint.path.replace("{type}", "{type:path}")


def _generality(endpoint: Endpoint) -> tuple[bool, int]:
    """Return what routes are sorted by: one that would take the addresses of others for its own comes after them."""
    return endpoint.path.endswith("{type}"), endpoint.path.count("{")
