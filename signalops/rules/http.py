"""The requests that read, change and try rules."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.errors import NotFound
from signalops.http import Page, Query, answer, id_of, listed, read_model
from signalops.locks import Places
from signalops.rules import manage, store
from signalops.rules.check import Templates
from signalops.rules.manage import Expected, RuleChange, RuleRegistry
from signalops.rules.model import NewRule
from signalops.rules.preview import Previewed, Trial, prepare, preview
from signalops.rules.shown import RuleShown, VersionShown
from signalops.terms import Caller, RuleId, Severity, TenantId

_LATEST = 2**31 - 1
MOST_TESTS = 2
"""Tests of rules that one tenant may run at once in a process."""
Version = Annotated[int, Field(ge=1, le=_LATEST)]
Work = Callable[[db.Connection, TenantId, RuleId, Expected], Awaitable[None]]


class RulesPage(Page):
    """Query of a list of rules."""

    enabled: bool | None = Field(None, description="Only rules that are enabled, or that are not.")
    channel: str | None = Field(None, max_length=200, description="Only rules that notify this channel (id or name).")
    severity: Severity | None = Field(None, description="Only rules of this severity.")
    name: str | None = Field(None, max_length=200, description="Only rules with this in their name, in any case.")


class VersionsPage(Query):
    """Query of a list of versions, newest first."""

    limit: int = Field(20, ge=1, le=100, description="Most versions of a page.")
    before: Version = Field(_LATEST, description="Only versions before this one.")


class DiffQuery(Query):
    """Which versions are compared."""

    from_: Version | None = Field(None, alias="from", description="Default: the version before `to`.")
    to: Version | None = Field(None, description="Default: the active version.")


class RollBack(BaseModel):
    """Which version's content is to decide again."""

    model_config = ConfigDict(extra="forbid")

    version: Version


class Rules:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, templates: Templates, most: int) -> None:
        self._connections = connections
        self._templates = templates
        self._registry = RuleRegistry(templates, most)
        self._testing = Places[TenantId](MOST_TESTS, "tests of rules")

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's rules in their active versions, newest first."""
        query = RulesPage.of(request)
        wanted = query.model_dump(include={"enabled", "channel", "severity", "name"})
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_rules(
                connection, caller.tenant, upwards=query.upwards, **query.window(await db.settled(connection)), **wanted
            )
        return query.listed(rows, lambda row: RuleShown.model_validate(row).document())

    async def create(self, request: Request, caller: Caller) -> Response:
        """Add a rule; it decides from the next batch of events on."""
        new = await read_model(request, NewRule)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rule = await self._registry.add(connection, caller.tenant, new)
            return await self._written(connection, caller.tenant, rule, 201)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a rule in its active version."""
        rule = _rule(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _answer(await manage.show(connection, caller.tenant, rule))

    async def replace(self, request: Request, caller: Caller) -> Response:
        """Change what a rule says: a new version becomes active, unless it says the same."""
        change = await read_model(request, RuleChange)

        async def work(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected) -> None:
            await self._registry.change(connection, tenant, rule, change, expected)

        return await self._changed(request, caller, work)

    async def roll_back(self, request: Request, caller: Caller) -> Response:
        """Make a new version with the content of an earlier one; what was decided before stays as it is."""
        asked = await read_model(request, RollBack)

        async def work(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected) -> None:
            await self._registry.roll_back(connection, tenant, rule, asked.version, expected)

        return await self._changed(request, caller, work)

    async def enable(self, request: Request, caller: Caller) -> Response:
        """Let a rule decide from the next batch of events on."""
        return await self._changed(request, caller, manage.enable)

    async def disable(self, request: Request, caller: Caller) -> Response:
        """Let a rule decide nothing until it is enabled again."""
        return await self._changed(request, caller, manage.disable)

    async def delete(self, request: Request, caller: Caller) -> Response:
        """Delete a rule and show it for the last time; its name is free again."""
        rule = _rule(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _answer(await manage.delete(connection, caller.tenant, rule, _expected(request)))

    async def versions(self, request: Request, caller: Caller) -> Response:
        """List the versions of a rule, newest first."""
        rule, query = _rule(request), VersionsPage.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            await manage.show(connection, caller.tenant, rule)
            rows = await store.list_versions(connection, caller.tenant, rule, query.before, query.limit + 1)
        return listed(rows, query.limit, lambda row: VersionShown.model_validate(row).document())

    async def version(self, request: Request, caller: Caller) -> Response:
        """Show what a rule said in one version."""
        rule, version = _rule(request), request.path_params["version"]
        if not (version.isascii() and version.isdecimal() and int(version[:10]) <= _LATEST):
            raise NotFound("The versions of a rule are numbers from 1 on: see its versions.")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            shown = await manage.show_version(connection, caller.tenant, rule, int(version[:10]))
        return answer(shown.document())

    async def diff(self, request: Request, caller: Caller) -> Response:
        """Show what changed between two versions of a rule."""
        rule, query = _rule(request), DiffQuery.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer((await manage.diff(connection, caller.tenant, rule, query.from_, query.to)).document())

    async def test(self, request: Request, caller: Caller) -> Response:
        """Hold one event against a rule, a draft or a stored one: sends nothing and counts nothing."""
        trial = await read_model(request, Trial)
        with self._testing.of(caller.tenant):
            return answer(await self._tested(caller.tenant, trial))

    async def _tested(self, tenant: TenantId, trial: Trial) -> Previewed:
        async with db.as_tenant(self._connections, tenant) as connection:
            prepared = await prepare(connection, tenant, self._templates, trial)
        return await preview(tenant, self._templates, prepared)

    async def _changed(self, request: Request, caller: Caller, work: Work) -> Response:
        rule = _rule(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            await work(connection, caller.tenant, rule, _expected(request))
            return await self._written(connection, caller.tenant, rule)

    async def _written(self, connection: db.Connection, tenant: TenantId, rule: RuleId, status: int = 200) -> Response:
        shown = await manage.show(connection, tenant, rule)
        warnings = await manage.warnings_of(connection, tenant, self._templates, manage.as_change(shown))
        return _answer(shown.model_copy(update={"warnings": warnings}), status)


def _answer(shown: RuleShown, status: int = 200) -> Response:
    headers = {"etag": f'"{shown.version}"'} | ({"location": f"/api/rules/{shown.id}"} if status == 201 else {})
    return answer(shown.document(), status, headers)


def _rule(request: Request) -> RuleId:
    return RuleId(id_of(request, "rule"))


def _expected(request: Request) -> Expected:
    """Read If-Match (RFC 9110): the versions that may be changed. A tag that is none of ours fits no version."""
    header = request.headers.get("if-match", "*").strip()
    if header == "*":
        return None
    tags = [tag.strip().strip('"') for tag in header.split(",")]
    return frozenset(int(tag) for tag in tags if tag.isascii() and tag.isdecimal() and len(tag) <= len(str(_LATEST)))
