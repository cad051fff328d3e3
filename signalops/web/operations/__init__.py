"""The API: every operation, with what goes in and what comes out. Routes and OpenAPI are both made of it."""

from typing import NamedTuple

from signalops import errors
from signalops.access.deletion.http import Deletions
from signalops.access.http import Keys
from signalops.ingest import http as ingest
from signalops.ingest.replay import http as replay_http
from signalops.ingest.types import http as types_http
from signalops.operate.billing.http import Billing
from signalops.operate.http import Tenants
from signalops.rules import http as rules_http
from signalops.rules.backtest import http as backtest_http
from signalops.rules.silences import http as silences_http
from signalops.send.callbacks import http as callbacks_http
from signalops.send.deliveries import http as deliveries_http
from signalops.send.letters import http as letters_http
from signalops.send.manage.http import Channels
from signalops.usage.adjustments.http import Adjustments
from signalops.usage.audit.http import LinesHttp
from signalops.usage.credits.http import CreditsHttp
from signalops.usage.http import UsageHttp
from signalops.usage.invoices.http import Invoices
from signalops.usage.limits.http import LimitsHttp
from signalops.usage.meters.http import Meters
from signalops.usage.plans.http import PlansHttp
from signalops.watch.actions.http import Actions
from signalops.watch.http import Health, Watch
from signalops.watch.metrics.http import MetricsHttp
from signalops.web.operations import operate as desk
from signalops.web.operations import tenants as operators
from signalops.web.operations.access import keys
from signalops.web.operations.actions import actions, operator_actions
from signalops.web.operations.billing import credits, invoices, plan
from signalops.web.operations.callbacks import callbacks, suppressions
from signalops.web.operations.events import replays, stored, types
from signalops.web.operations.operation import Operation, Text
from signalops.web.operations.rules import backtests, rules, silences
from signalops.web.operations.sending import channels, deliveries, letters
from signalops.web.operations.usage import adjustments, limits, lines, meters, usage

__all__ = ["Handlers", "Operation", "operations"]


class Platform(NamedTuple):
    """The handlers of operators: the desk's own, and those of tenants on its connections."""

    tenants: Tenants
    billing: Billing
    deletions: Deletions
    keys: Keys
    limits: LimitsHttp
    plans: PlansHttp
    credits: CreditsHttp
    invoices: Invoices
    actions: Actions
    adjustments: Adjustments


class Handlers(NamedTuple):
    """The stations' handlers."""

    events: ingest.Events
    types: types_http.EventTypes
    rules: rules_http.Rules
    backtests: backtest_http.Backtests
    replays: replay_http.Replays
    silences: silences_http.Silences
    watch: Watch
    usage: UsageHttp
    callbacks: callbacks_http.Callbacks
    suppressions: callbacks_http.Suppressions
    channels: Channels
    deliveries: deliveries_http.Deliveries
    letters: letters_http.Letters
    meters: Meters
    adjustments: Adjustments
    credits: CreditsHttp
    plans: PlansHttp
    limits: LimitsHttp
    invoices: Invoices
    lines: LinesHttp
    keys: Keys
    platform: Platform
    actions: Actions
    metrics: MetricsHttp


def _platform(handlers: Platform) -> list[Operation]:
    tenants, billing = handlers.tenants, handlers.billing
    return [
        *operators.tenants(tenants, handlers.deletions),
        *operators.keys(tenants, handlers.keys),
        *operators.limits(tenants, handlers.limits),
        *operators.adjustments(tenants, handlers.adjustments),
        *operators.plan(tenants, handlers.plans),
        *desk.plans(billing),
        *desk.credit(tenants, handlers.credits, billing),
        *desk.invoices(tenants, handlers.invoices, billing),
        *operator_actions(tenants, handlers.actions),
    ]


def operations(handlers: Handlers) -> list[Operation]:
    """Return every operation of the API."""
    return [
        *stored(handlers.events, handlers.watch),
        *types(handlers.types),
        *replays(handlers.replays),
        *backtests(handlers.backtests),  # before the rules, one of which could else be called backtests
        *rules(handlers.rules),
        *silences(handlers.silences),
        *channels(handlers.channels),
        *deliveries(handlers.deliveries),
        *letters(handlers.letters),
        *suppressions(handlers.suppressions),
        *callbacks(handlers.callbacks),
        *meters(handlers.meters),
        *usage(handlers.usage),
        *adjustments(handlers.adjustments),
        *credits(handlers.credits),
        *plan(handlers.plans),
        *limits(handlers.limits),
        *invoices(handlers.invoices),
        *lines(handlers.lines),
        *keys(handlers.keys),
        *_platform(handlers.platform),
        *actions(handlers.actions),
        Operation(
            "GET", "/healthz", "live", "Tell that the process lives", handlers.watch.healthz, None, {200: Health}
        ),
        Operation(
            "GET",
            "/readyz",
            "ready",
            "Tell whether requests can be served",
            handlers.watch.readyz,
            None,
            {200: Health},
            (errors.Unavailable,),
        ),
        Operation(
            "GET",
            "/metrics",
            "scrape",
            "Tell Prometheus what the installation does",
            handlers.metrics.scrape,
            None,
            {200: Text},
            (errors.NotFound,),
            texts=("text/plain",),
        ),
    ]
