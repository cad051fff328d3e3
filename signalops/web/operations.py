"""The API on one page: every operation, with what goes in and what comes out. Routes and OpenAPI are both made of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from signalops import errors
from signalops.errors import Problem
from signalops.http import Page
from signalops.ingest import cloudevents
from signalops.ingest import http as ingest
from signalops.ingest.model import Accepted, BatchResult, EventIn, EventList
from signalops.ingest.replay import http as replay_http
from signalops.ingest.replay.model import ReplayCounted, ReplayList, ReplayRequest, ReplayShown, ReplayStarted
from signalops.ingest.types import http as types_http
from signalops.ingest.types.model import EventTypeList, EventTypeShown, SchemaIn, SchemaShown, TypesPage
from signalops.rules import http as rules_http
from signalops.rules.backtest import http as backtest_http
from signalops.rules.backtest.model import Backtest, BacktestList, BacktestRequest
from signalops.rules.manage import RuleChange
from signalops.rules.model import NewRule
from signalops.rules.preview import Previewed, Trial
from signalops.rules.shown import Diff, RuleList, RuleShown, VersionList, VersionShown
from signalops.rules.silences import http as silences_http
from signalops.rules.silences.model import NewSilence, SilenceList, SilenceShown
from signalops.send.callbacks import http as callbacks_http
from signalops.send.callbacks.model import Challenge, Suppression, SuppressionList, Taken
from signalops.send.callbacks.sns import Posted
from signalops.send.callbacks.whatsapp import StatusCallback
from signalops.send.deliveries import http as deliveries_http
from signalops.send.deliveries.model import DeliveryDetail, DeliveryList
from signalops.send.letters import http as letters_http
from signalops.send.letters.model import (
    LetterDiscarded,
    LetterList,
    LettersDiscarded,
    LettersDone,
    LetterShown,
    LettersRetried,
)
from signalops.send.manage.http import Channels
from signalops.send.manage.model import (
    ChannelChange,
    ChannelList,
    ChannelsPage,
    NewChannel,
    RotatedSecret,
    Rotation,
    StoredChannel,
    TrialResult,
    WrittenChannel,
)
from signalops.terms import Caller, Scope
from signalops.usage.http import UsageHttp
from signalops.usage.model import Usage, UsageQuery
from signalops.watch.http import EventPath, Health, Watch

Open = Callable[[Request], Awaitable[Response]]
ForCaller = Callable[[Request, Caller], Awaitable[Response]]

_ALWAYS = (errors.Unauthenticated, errors.Forbidden, errors.TooManyFailures, errors.Unavailable)
_BODY = (errors.Malformed, errors.TooLarge, errors.UnsupportedMedia, errors.Invalid)
_IF_MATCH_CHANNEL = {"If-Match": "Change only if the channel is as it was read (its ETag); else 412."}
_IF_MATCH = {"If-Match": 'Change only if this version is active, such as "3"; else 412.'}


@dataclass(frozen=True)
class Operation:
    """One method of one path. Without a scope it is open to everybody."""

    method: str
    path: str
    name: str
    summary: str
    handler: Open | ForCaller
    scope: Scope | None
    answers: dict[int, type[BaseModel] | UnionType]
    problems: tuple[type[Problem], ...] = ()
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: dict[str, object] = field(default_factory=dict)


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


def operations(handlers: Handlers) -> list[Operation]:
    """Return every operation of the API."""
    events, watch, usage = handlers.events, handlers.watch, handlers.usage
    return [
        Operation(
            "POST",
            "/api/events",
            "storeEvent",
            "Store an event, once",
            events.post,
            "events:write",
            {202: Accepted | BatchResult, 200: Accepted},
            (
                *_ALWAYS,
                *_BODY,
                errors.IdempotencyConflict,
                errors.SchemaViolation,
                errors.QuotaExceeded,
                errors.Overloaded,
            ),
            headers={"Idempotency-Key": "A second request with this key and body stores nothing new."},
            bodies={
                "application/json": EventIn,
                cloudevents.STRUCTURED: cloudevents.CloudEvent,
                cloudevents.BATCH: list[cloudevents.CloudEvent],
            },
        ),
        Operation(
            "POST",
            "/api/events/batch",
            "storeEvents",
            "Store up to 1,000 events; a result per item, in order",
            events.post_batch,
            "events:write",
            {202: BatchResult},
            (*_ALWAYS, *_BODY, errors.Overloaded),
            bodies={
                "application/json": list[EventIn],
                "application/x-ndjson": EventIn,
                cloudevents.BATCH: list[cloudevents.CloudEvent],
            },
        ),
        Operation(
            "GET",
            "/api/events",
            "listEvents",
            "List events, newest first",
            events.list,
            "events:read",
            {200: EventList},
            (*_ALWAYS, errors.Invalid),
            query=ingest.EventsPage,
        ),
        Operation(
            "GET",
            "/api/events/{id}",
            "getEvent",
            "Show an event and what became of it",
            watch.get_event,
            "events:read",
            {200: EventPath},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/usage",
            "getUsage",
            "Show a month's usage and limits",
            usage.get,
            "usage:read",
            {200: Usage},
            (*_ALWAYS, errors.Invalid),
            query=UsageQuery,
        ),
        *_types(handlers.types),
        *_backtests(handlers.backtests),  # before the rules, one of which could else be called backtests
        *_rules(handlers.rules),
        *_replays(handlers.replays),
        *_silences(handlers.silences),
        *_channels(handlers.channels),
        *_deliveries(handlers.deliveries),
        *_letters(handlers.letters),
        *_suppressions(handlers.suppressions),
        *_callbacks(handlers.callbacks),
        Operation("GET", "/healthz", "live", "Tell that the process lives", watch.healthz, None, {200: Health}),
        Operation(
            "GET",
            "/readyz",
            "ready",
            "Tell whether requests can be served",
            watch.readyz,
            None,
            {200: Health},
            (errors.Unavailable,),
        ),
    ]


def _types(types: types_http.EventTypes) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/event-types",
            "listEventTypes",
            "List the types of events sent, with their fields",
            types.list,
            "events:read",
            {200: EventTypeList},
            (*_ALWAYS, errors.Invalid),
            query=TypesPage,
        ),
        Operation(
            "GET",
            "/api/event-types/{type}",
            "getEventType",
            "Show a type of events, with its fields",
            types.get,
            "events:read",
            {200: EventTypeShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/event-types/{type}/schema",
            "getSchema",
            "Show the schema of an event type",
            types.get_schema,
            "rules:*",
            {200: SchemaShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/event-types/{type}/schema",
            "putSchema",
            "Hold the payloads of a type against a JSON Schema",
            types.put_schema,
            "rules:*",
            {200: SchemaShown},
            (*_ALWAYS, *_BODY, errors.NotFound),
            bodies={"application/json": SchemaIn},
        ),
        Operation(
            "DELETE",
            "/api/event-types/{type}/schema",
            "deleteSchema",
            "Delete the schema of an event type",
            types.delete_schema,
            "rules:*",
            {200: SchemaShown},
            (*_ALWAYS, errors.NotFound),
        ),
    ]


def _backtests(backtests: backtest_http.Backtests) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/api/rules/backtest",
            "startBacktest",
            "Hold a rule against past events; sends nothing",
            backtests.start,
            "rules:*",
            {200: Backtest, 202: Backtest},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": BacktestRequest},
        ),
        Operation(
            "GET",
            "/api/rules/backtests",
            "listBacktests",
            "List backtests, newest first",
            backtests.list,
            "rules:*",
            {200: BacktestList},
            (*_ALWAYS, errors.Invalid),
            query=Page,
        ),
        Operation(
            "GET",
            "/api/rules/backtests/{id}",
            "getBacktest",
            "Show a backtest and its result",
            backtests.get,
            "rules:*",
            {200: Backtest},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/rules/backtests/{id}",
            "cancelBacktest",
            "Cancel a backtest",
            backtests.cancel,
            "rules:*",
            {200: Backtest},
            (*_ALWAYS, errors.NotFound),
        ),
    ]


def _replays(replays: replay_http.Replays) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/api/replays",
            "startReplay",
            "Run past events through the rules again, on purpose",
            replays.start,
            "rules:*",
            {200: ReplayCounted, 202: ReplayStarted},
            (*_ALWAYS, *_BODY),
            bodies={"application/json": ReplayRequest},
        ),
        Operation(
            "GET",
            "/api/replays",
            "listReplays",
            "List replays, newest first",
            replays.list,
            "rules:*",
            {200: ReplayList},
            (*_ALWAYS, errors.Invalid),
            query=Page,
        ),
        Operation(
            "GET",
            "/api/replays/{id}",
            "getReplay",
            "Show a replay and how far it is",
            replays.get,
            "rules:*",
            {200: ReplayShown},
            (*_ALWAYS, errors.NotFound),
        ),
    ]


def _rules(rules: rules_http.Rules) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/rules",
            "listRules",
            "List rules, newest first",
            rules.list,
            "rules:*",
            {200: RuleList},
            (*_ALWAYS, errors.Invalid),
            query=rules_http.RulesPage,
        ),
        Operation(
            "POST",
            "/api/rules",
            "addRule",
            "Add a rule",
            rules.create,
            "rules:*",
            {201: RuleShown},
            (*_ALWAYS, *_BODY, errors.Conflict),
            bodies={"application/json": NewRule},
        ),
        Operation(
            "POST",
            "/api/rules/test",
            "testRule",
            "Hold one event against a rule, without sending",
            rules.test,
            "rules:*",
            {200: Previewed},
            (*_ALWAYS, *_BODY, errors.NotFound),
            bodies={"application/json": Trial},
        ),
        Operation(
            "GET",
            "/api/rules/{id}",
            "getRule",
            "Show a rule",
            rules.get,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/rules/{id}",
            "changeRule",
            "Change a rule: a new version",
            rules.replace,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
            headers=_IF_MATCH,
            bodies={"application/json": RuleChange},
        ),
        Operation(
            "DELETE",
            "/api/rules/{id}",
            "deleteRule",
            "Delete a rule",
            rules.delete,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "POST",
            "/api/rules/{id}/enable",
            "enableRule",
            "Enable a rule",
            rules.enable,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "POST",
            "/api/rules/{id}/disable",
            "disableRule",
            "Disable a rule",
            rules.disable,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "GET",
            "/api/rules/{id}/versions",
            "listVersions",
            "List a rule's versions, newest first",
            rules.versions,
            "rules:*",
            {200: VersionList},
            (*_ALWAYS, errors.NotFound, errors.Invalid),
            query=rules_http.VersionsPage,
        ),
        Operation(
            "GET",
            "/api/rules/{id}/versions/{version}",
            "getVersion",
            "Show a version of a rule",
            rules.version,
            "rules:*",
            {200: VersionShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/rules/{id}/diff",
            "compareVersions",
            "Compare two versions of a rule",
            rules.diff,
            "rules:*",
            {200: Diff},
            (*_ALWAYS, errors.NotFound, errors.Invalid),
            query=rules_http.DiffQuery,
        ),
        Operation(
            "POST",
            "/api/rules/{id}/rollback",
            "rollBackRule",
            "Roll a rule back to an earlier version",
            rules.roll_back,
            "rules:*",
            {200: RuleShown},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
            bodies={"application/json": rules_http.RollBack},
        ),
    ]


def _silences(silences: silences_http.Silences) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/silences",
            "listSilences",
            "List silences, newest first",
            silences.list,
            "rules:*",
            {200: SilenceList},
            (*_ALWAYS, errors.Invalid),
            query=silences_http.SilencesPage,
        ),
        Operation(
            "POST",
            "/api/silences",
            "addSilence",
            "Silence the events of a pattern for a time",
            silences.create,
            "rules:*",
            {201: SilenceShown},
            (*_ALWAYS, *_BODY, errors.Conflict),
            bodies={"application/json": NewSilence},
        ),
        Operation(
            "GET",
            "/api/silences/{id}",
            "getSilence",
            "Show a silence",
            silences.get,
            "rules:*",
            {200: SilenceShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/silences/{id}",
            "endSilence",
            "End a silence now",
            silences.end,
            "rules:*",
            {200: SilenceShown},
            (*_ALWAYS, errors.NotFound),
        ),
    ]


def _channels(channels: Channels) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/channels",
            "listChannels",
            "List channels, newest first",
            channels.list,
            "channels:*",
            {200: ChannelList},
            (*_ALWAYS, errors.Invalid),
            query=ChannelsPage,
        ),
        Operation(
            "POST",
            "/api/channels",
            "addChannel",
            "Add a channel",
            channels.create,
            "channels:*",
            {201: WrittenChannel},
            (*_ALWAYS, *_BODY, errors.Conflict),
            bodies={"application/json": NewChannel},
        ),
        Operation(
            "GET",
            "/api/channels/{id}",
            "getChannel",
            "Show a channel",
            channels.get,
            "channels:*",
            {200: StoredChannel},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/channels/{id}",
            "changeChannel",
            "Change a channel",
            channels.replace,
            "channels:*",
            {200: WrittenChannel},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
            headers=_IF_MATCH_CHANNEL,
            bodies={"application/json": ChannelChange},
        ),
        Operation(
            "DELETE",
            "/api/channels/{id}",
            "deleteChannel",
            "Delete a channel",
            channels.delete,
            "channels:*",
            {200: StoredChannel},
            (*_ALWAYS, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
            headers=_IF_MATCH_CHANNEL,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/enable",
            "enableChannel",
            "Enable a channel",
            channels.enable,
            "channels:*",
            {200: StoredChannel},
            (*_ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH_CHANNEL,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/disable",
            "disableChannel",
            "Disable a channel",
            channels.disable,
            "channels:*",
            {200: StoredChannel},
            (*_ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH_CHANNEL,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/test",
            "testChannel",
            "Send a test notification now",
            channels.test,
            "channels:*",
            {200: TrialResult},
            (*_ALWAYS, errors.NotFound, errors.Invalid, errors.Overloaded),
        ),
        Operation(
            "POST",
            "/api/channels/{id}/rotate-secret",
            "rotateSecret",
            "Replace a webhook's signing secret, with an overlap",
            channels.rotate,
            "channels:*",
            {200: RotatedSecret},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": Rotation},
        ),
    ]


def _deliveries(deliveries: deliveries_http.Deliveries) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/deliveries",
            "listDeliveries",
            "List deliveries, newest first",
            deliveries.list,
            "deliveries:*",
            {200: DeliveryList},
            (*_ALWAYS, errors.Invalid),
            query=deliveries_http.DeliveriesPage,
        ),
        Operation(
            "GET",
            "/api/deliveries/{id}",
            "getDelivery",
            "Show a delivery with its attempts",
            deliveries.get,
            "deliveries:*",
            {200: DeliveryDetail},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "POST",
            "/api/deliveries/{id}/retry",
            "retryDelivery",
            "Try a delivery again now",
            deliveries.retry,
            "deliveries:*",
            {200: DeliveryDetail},
            (*_ALWAYS, errors.NotFound, errors.Conflict),
        ),
        Operation(
            "POST",
            "/api/deliveries/{id}/cancel",
            "cancelDelivery",
            "Cancel a delivery that waits",
            deliveries.cancel,
            "deliveries:*",
            {200: DeliveryDetail},
            (*_ALWAYS, errors.NotFound, errors.Conflict),
        ),
    ]


def _letters(letters: letters_http.Letters) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/dead-letters",
            "listDeadLetters",
            "List the dead letters that wait, newest first",
            letters.list,
            "deliveries:*",
            {200: LetterList},
            (*_ALWAYS, errors.Invalid),
            query=letters_http.LettersPage,
        ),
        Operation(
            "POST",
            "/api/dead-letters/retry",
            "retryDeadLetters",
            "Retry dead letters, or count them",
            letters.retry_many,
            "deliveries:*",
            {200: LettersDone},
            (*_ALWAYS, *_BODY),
            bodies={"application/json": LettersRetried},
        ),
        Operation(
            "POST",
            "/api/dead-letters/discard",
            "discardDeadLetters",
            "Discard dead letters, or count them",
            letters.discard_many,
            "deliveries:*",
            {200: LettersDone},
            (*_ALWAYS, *_BODY),
            bodies={"application/json": LettersDiscarded},
        ),
        Operation(
            "GET",
            "/api/dead-letters/{id}",
            "getDeadLetter",
            "Show a dead letter",
            letters.get,
            "deliveries:*",
            {200: LetterShown},
            (*_ALWAYS, errors.NotFound),
        ),
        Operation(
            "POST",
            "/api/dead-letters/{id}/retry",
            "retryDeadLetter",
            "Retry a dead letter",
            letters.retry,
            "deliveries:*",
            {200: LetterShown},
            (*_ALWAYS, errors.NotFound, errors.Conflict),
        ),
        Operation(
            "POST",
            "/api/dead-letters/{id}/discard",
            "discardDeadLetter",
            "Discard a dead letter",
            letters.discard,
            "deliveries:*",
            {200: LetterShown},
            (*_ALWAYS, *_BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": LetterDiscarded},
        ),
    ]


def _suppressions(suppressions: callbacks_http.Suppressions) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/api/suppressions",
            "listSuppressions",
            "List the addresses that mail is not sent to any more",
            suppressions.list,
            "deliveries:*",
            {200: SuppressionList},
            (*_ALWAYS, errors.Invalid),
            query=callbacks_http.SuppressionsPage,
        ),
        Operation(
            "DELETE",
            "/api/suppressions/{id}",
            "removeSuppression",
            "Let mail be sent to an address again",
            suppressions.remove,
            "deliveries:*",
            {200: Suppression},
            (*_ALWAYS, errors.NotFound),
        ),
    ]


def _callbacks(callbacks: callbacks_http.Callbacks) -> list[Operation]:
    refusals = (errors.Forbidden, errors.NotFound, errors.Unavailable)
    taking = (errors.Malformed, errors.TooLarge, errors.Overloaded)
    return [
        Operation(
            "GET",
            "/api/callbacks/whatsapp/{id}",
            "verifyWhatsAppCallback",
            "Show Meta that the address is a channel's callback",
            callbacks.shake_hands,
            None,
            {200: Challenge},
            (*refusals, errors.Invalid),
            query=callbacks_http.Handshake,
        ),
        Operation(
            "POST",
            "/api/callbacks/whatsapp/{id}",
            "takeWhatsAppStatuses",
            "Take what became of WhatsApp messages",
            callbacks.whatsapp,
            None,
            {200: Taken},
            (*refusals, *taking),
            headers={"X-Hub-Signature-256": "HMAC of the body with the channel's appSecret."},
            bodies={"application/json": StatusCallback},
        ),
        Operation(
            "POST",
            "/api/callbacks/ses",
            "takeSesEvents",
            "Take what became of mails sent by Amazon SES",
            callbacks.ses,
            None,
            {200: Taken},
            (*refusals, *taking),
            bodies={"text/plain": Posted},
        ),
    ]
