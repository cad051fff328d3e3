"""Rules: written, tried, held against the past, and silenced."""

from signalops import errors
from signalops.http import Page
from signalops.rules import http as rules_http
from signalops.rules.backtest import http as backtest_http
from signalops.rules.backtest.model import Backtest, BacktestList, BacktestRequest
from signalops.rules.manage import RuleChange
from signalops.rules.model import NewRule
from signalops.rules.preview import Previewed, Trial
from signalops.rules.shown import Diff, RuleList, RuleShown, VersionList, VersionShown
from signalops.rules.silences import http as silences_http
from signalops.rules.silences.model import NewSilence, SilenceList, SilenceShown
from signalops.web.operations.operation import ALWAYS, BODY, Operation

_IF_MATCH = {"If-Match": 'Change only if this version is active, such as "3"; else 412.'}


def backtests(backtests: backtest_http.Backtests) -> list[Operation]:
    """Return what concerns backtests."""
    return [
        Operation(
            "POST",
            "/api/rules/backtest",
            "startBacktest",
            "Hold a rule against past events; sends nothing",
            backtests.start,
            "rules:*",
            {200: Backtest, 202: Backtest},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict),
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
            (*ALWAYS, errors.Invalid),
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
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/rules/backtests/{id}",
            "cancelBacktest",
            "Cancel a backtest",
            backtests.cancel,
            "rules:*",
            {200: Backtest},
            (*ALWAYS, errors.NotFound),
        ),
    ]


def rules(rules: rules_http.Rules) -> list[Operation]:
    """Return what concerns rules."""
    return [
        Operation(
            "GET",
            "/api/rules",
            "listRules",
            "List rules, newest first",
            rules.list,
            "rules:*",
            {200: RuleList},
            (*ALWAYS, errors.Invalid),
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
            (*ALWAYS, *BODY, errors.Conflict),
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
            (*ALWAYS, *BODY, errors.NotFound),
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
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/rules/{id}",
            "changeRule",
            "Change a rule: a new version",
            rules.replace,
            "rules:*",
            {200: RuleShown},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
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
            (*ALWAYS, errors.NotFound, errors.PreconditionFailed),
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
            (*ALWAYS, errors.NotFound, errors.PreconditionFailed),
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
            (*ALWAYS, errors.NotFound, errors.PreconditionFailed),
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
            (*ALWAYS, errors.NotFound, errors.Invalid),
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
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "GET",
            "/api/rules/{id}/diff",
            "compareVersions",
            "Compare two versions of a rule",
            rules.diff,
            "rules:*",
            {200: Diff},
            (*ALWAYS, errors.NotFound, errors.Invalid),
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
            (*ALWAYS, *BODY, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
            bodies={"application/json": rules_http.RollBack},
        ),
    ]


def silences(silences: silences_http.Silences) -> list[Operation]:
    """Return what concerns silences."""
    return [
        Operation(
            "GET",
            "/api/silences",
            "listSilences",
            "List silences, newest first",
            silences.list,
            "rules:*",
            {200: SilenceList},
            (*ALWAYS, errors.Invalid),
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
            (*ALWAYS, *BODY, errors.Conflict),
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
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/silences/{id}",
            "endSilence",
            "End a silence now",
            silences.end,
            "rules:*",
            {200: SilenceShown},
            (*ALWAYS, errors.NotFound),
        ),
    ]
