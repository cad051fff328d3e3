"""The endpoints that read, write, test and compare rules."""

from typing import Annotated

from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.errors import NotFound
from signalops.http import Page, Query, Response, answer, listed
from signalops.locks import Places
from signalops.models import RequestModel
from signalops.rules import rule_queries, rule_service
from signalops.rules.dry_run import DryRunRequest, DryRunResult, prepare, preview
from signalops.rules.rule_models import NewRule, RulePatch
from signalops.rules.rule_responses import Diff, RuleList, RuleShown, VersionList, VersionShown
from signalops.rules.rule_service import Expected, RuleChange, RuleRegistry
from signalops.rules.validate import Templates
from signalops.types import Caller, RuleId, Severity, TenantId

_LATEST = 2**31 - 1
MAX_TESTS = 2
"""Tests of rules that one tenant may run at once in a process."""
Version = Annotated[int, Field(ge=1, le=_LATEST)]
_IF_MATCH = {"If-Match": 'Change only if this version is active, such as "3"; else 412.'}


class RulesPage(Page):
    """Query of a list of rules."""

    enabled: bool | None = Field(None, description="Only rules that are enabled, or that are not.")
    channel: str | None = Field(None, max_length=200, description="Only rules that notify this channel (id or name).")
    severity: Severity | None = Field(None, description="Only rules of this severity.")
    name: str | None = Field(None, max_length=200, description="Only rules with this in their name, in any case.")


class VersionsPage(Query):
    """Query of a list of versions, newest first."""

    limit: int = Field(20, ge=1, le=100, description="Most versions of a page.")
    starting_after: Version = Field(_LATEST, description="The last version of the page before: the next older ones.")


class DiffQuery(Query):
    """Which versions are compared."""

    from_: Version | None = Field(None, alias="from", description="Default: the version before `to`.")
    to: Version | None = Field(None, description="Default: the active version.")


class RollBack(RequestModel):
    """Which version's content is to decide again."""

    version: Version


class Rules:
    """The endpoints of rules."""

    def __init__(self, templates: Templates, most: int) -> None:
        self._templates = templates
        self._registry = RuleRegistry(templates, most)
        self._testing = Places[TenantId](MAX_TESTS, "tests of rules")

    @endpoint("GET /api/rules", "listRules", "List rules, newest first", "rules:*", answers={200: RuleList})
    async def list_rules(self, connection: db.Connection, caller: Caller, query: RulesPage) -> Response:
        """List a tenant's rules in their active versions, newest first."""
        filters = query.model_dump(include={"enabled", "channel", "severity", "name"})
        filters |= {"upwards": query.upwards, **query.window(await db.settled(connection))}
        rows = await rule_queries.list_rules(connection, caller.tenant, **filters)
        return query.listed(rows, lambda row: RuleShown.model_validate(row).document())

    @endpoint("POST /api/rules", "addRule", "Add a rule", "rules:*", answers={201: RuleShown}, problems=(errors.Conflict,))
    async def add_rule(self, connection: db.Connection, caller: Caller, body: NewRule) -> Response:
        """Add a rule; it decides from the next batch of events on."""
        rule = await self._registry.add(connection, caller.tenant, body)
        return await self._written(connection, caller.tenant, rule, 201)

    @endpoint(
        "POST /api/rules/test",
        "testRule",
        "Evaluate a rule on one event, without sending",
        "rules:*",
        problems=(errors.NotFound,),
    )
    async def test_rule(self, caller: Caller, transaction: db.Transaction, body: DryRunRequest) -> DryRunResult:
        """Test one event against a draft or a stored rule: sends nothing and counts nothing."""
        with self._testing.of(caller.tenant):
            async with transaction() as connection:
                prepared = await prepare(connection, caller.tenant, self._templates, body)
            return await preview(caller.tenant, self._templates, prepared)

    @endpoint("GET /api/rules/{id}", "getRule", "Show a rule", "rules:*", answers={200: RuleShown})
    async def get_rule(self, connection: db.Connection, caller: Caller, rule: RuleId) -> Response:
        """Show a rule in its active version."""
        return _answer(await rule_service.show(connection, caller.tenant, rule))

    @endpoint(
        "PUT /api/rules/{id}",
        "changeRule",
        "Change a rule: a new version",
        "rules:*",
        answers={200: RuleShown},
        problems=(errors.Conflict,),
        headers=_IF_MATCH,
    )
    async def change_rule(
        self, connection: db.Connection, caller: Caller, rule: RuleId, body: RuleChange, if_match: frozenset[str] | None
    ) -> Response:
        """Change the content of a rule: a new version becomes active, unless its content is the same."""
        await self._registry.change(connection, caller.tenant, rule, body, _expected(if_match))
        return await self._written(connection, caller.tenant, rule)

    @endpoint(
        "PATCH /api/rules/{id}",
        "patchRule",
        "Change some fields of a rule: a new version",
        "rules:*",
        answers={200: RuleShown},
        problems=(errors.Conflict,),
        headers=_IF_MATCH,
    )
    async def patch_rule(
        self, connection: db.Connection, caller: Caller, rule: RuleId, body: RulePatch, if_match: frozenset[str] | None
    ) -> Response:
        """Change the fields that are named; null clears an optional one. The rest stays as it is."""
        await self._registry.patch(connection, caller.tenant, rule, body, _expected(if_match))
        return await self._written(connection, caller.tenant, rule)

    @endpoint("DELETE /api/rules/{id}", "deleteRule", "Delete a rule", "rules:*", answers={200: RuleShown}, headers=_IF_MATCH)
    async def delete_rule(
        self, connection: db.Connection, caller: Caller, rule: RuleId, if_match: frozenset[str] | None
    ) -> Response:
        """Delete a rule and show it for the last time; its name is free again."""
        return _answer(await rule_service.delete(connection, caller.tenant, rule, _expected(if_match)))

    @endpoint(
        "POST /api/rules/{id}/enable", "enableRule", "Enable a rule", "rules:*", answers={200: RuleShown}, headers=_IF_MATCH
    )
    async def enable_rule(
        self, connection: db.Connection, caller: Caller, rule: RuleId, if_match: frozenset[str] | None
    ) -> Response:
        """Let a rule decide from the next batch of events on."""
        await rule_service.enable(connection, caller.tenant, rule, _expected(if_match))
        return await self._written(connection, caller.tenant, rule)

    @endpoint(
        "POST /api/rules/{id}/disable", "disableRule", "Disable a rule", "rules:*", answers={200: RuleShown}, headers=_IF_MATCH
    )
    async def disable_rule(
        self, connection: db.Connection, caller: Caller, rule: RuleId, if_match: frozenset[str] | None
    ) -> Response:
        """Let a rule decide nothing until it is enabled again."""
        await rule_service.disable(connection, caller.tenant, rule, _expected(if_match))
        return await self._written(connection, caller.tenant, rule)

    @endpoint(
        "GET /api/rules/{id}/versions",
        "listVersions",
        "List a rule's versions, newest first",
        "rules:*",
        answers={200: VersionList},
    )
    async def list_versions(self, connection: db.Connection, caller: Caller, rule: RuleId, query: VersionsPage) -> Response:
        """List the versions of a rule, newest first."""
        await rule_service.show(connection, caller.tenant, rule)
        rows = await rule_queries.list_versions(connection, caller.tenant, rule, query.starting_after, query.limit + 1)
        return listed(rows, query.limit, lambda row: VersionShown.model_validate(row).document())

    @endpoint(
        "GET /api/rules/{id}/versions/{version}", "getVersion", "Show a version of a rule", "rules:*", answers={200: VersionShown}
    )
    async def get_version(self, connection: db.Connection, caller: Caller, rule: RuleId, version: str) -> Response:
        """Show the content of one version of a rule."""
        if not (version.isascii() and version.isdecimal() and int(version[:10]) <= _LATEST):
            raise NotFound("The versions of a rule are numbers from 1 on: see its versions.")
        return answer((await rule_service.show_version(connection, caller.tenant, rule, int(version[:10]))).document())

    @endpoint("GET /api/rules/{id}/diff", "compareVersions", "Compare two versions of a rule", "rules:*", answers={200: Diff})
    async def compare_versions(self, connection: db.Connection, caller: Caller, rule: RuleId, query: DiffQuery) -> Response:
        """Show what changed between two versions of a rule."""
        return answer((await rule_service.diff(connection, caller.tenant, rule, query.from_, query.to)).document())

    @endpoint(
        "POST /api/rules/{id}/rollback",
        "rollBackRule",
        "Roll a rule back to an earlier version",
        "rules:*",
        answers={200: RuleShown},
        headers=_IF_MATCH,
    )
    async def roll_back(
        self, connection: db.Connection, caller: Caller, rule: RuleId, body: RollBack, if_match: frozenset[str] | None
    ) -> Response:
        """Make a new version with the content of an earlier one; what was decided before stays as it is."""
        await self._registry.roll_back(connection, caller.tenant, rule, body.version, _expected(if_match))
        return await self._written(connection, caller.tenant, rule)

    async def _written(self, connection: db.Connection, tenant: TenantId, rule: RuleId, status: int = 200) -> Response:
        shown = await rule_service.show(connection, tenant, rule)
        warnings = await rule_service.warnings_of(connection, tenant, self._templates, rule_service.as_change(shown))
        return _answer(shown.model_copy(update={"warnings": warnings}), status)


def _answer(shown: RuleShown, status: int = 200) -> Response:
    headers = {"etag": f'"{shown.version}"'} | ({"location": f"/api/rules/{shown.id}"} if status == 201 else {})
    return answer(shown.document(), status, headers)


def _expected(tags: frozenset[str] | None) -> Expected:
    """Return the versions that may be changed. A tag that is none of ours fits no version."""
    if tags is None:
        return None
    return frozenset(int(tag) for tag in tags if tag.isascii() and tag.isdecimal() and len(tag) <= len(str(_LATEST)))
