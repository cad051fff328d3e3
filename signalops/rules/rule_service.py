"""Adds, changes, rolls back, enables and deletes rules. A rule is validated as a whole before it is stored.

Each function runs in a transaction of the tenant. A version never changes: every change of a rule's definition adds one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

import orjson
from pydantic import Field

from signalops import db
from signalops.errors import Conflict, Invalid, NotFound, PreconditionFailed
from signalops.http import validated
from signalops.rules import rule_queries
from signalops.rules.compiled import MAX_CONDITIONS
from signalops.rules.rule_models import NewRule, RuleDraft, RulePatch
from signalops.rules.rule_responses import Diff, RuleShown, RuleWarning, VersionShown, compare
from signalops.rules.validate import Fault, RenderContext, Templates, compiled, faults_of, never_seen, pinned_types, refuse
from signalops.types import JsonObject, RuleId, TenantId

Expected = frozenset[int] | None
"""The active versions that a change may be made of; None: any."""

_NO_RULE = UUID(int=0)
_SAID = RuleDraft.json_names()
_COUNTED = ("grammar", "pattern", "window", "absent")
"""When one of these changes, a window or absence counts afresh."""


MAX_VERSIONS = 5
"""Versions that may be made within 30 days for each rule that a tenant may have: also those of deleted rules stay."""


class RuleChange(RuleDraft):
    """The new content of a rule; its name and whether it is enabled stay when they are left out."""

    name: str | None = Field(None, min_length=1, max_length=200)
    enabled: bool | None = None


class RuleRegistry:
    """Writes rules; `most` is how many a tenant may have."""

    def __init__(self, templates: Templates, most: int) -> None:
        self._templates = templates
        self._most = most

    async def add(self, connection: db.Connection, tenant: TenantId, new: NewRule) -> RuleId:
        """Add a rule; Invalid, or Conflict when its name is taken or there are too many."""
        content = await self._content(connection, tenant, new)
        rule = RuleId(await db.new_id(connection))
        await rule_queries.add_rule(connection, tenant, rule, new.name, new.enabled)
        await rule_queries.add_version(connection, tenant, rule, {"version": 1, "state_version": 1}, content)
        await self._check_versions(connection, tenant)
        await _check_room(connection, tenant, self._most)
        return rule

    async def change(
        self, connection: db.Connection, tenant: TenantId, rule: RuleId, change: RuleChange, expected: Expected = None
    ) -> None:
        """Create a new active version, unless the content is the same; rename, enable or disable as well."""
        locked = await _lock(connection, tenant, rule, expected)
        active = version = locked["active_version"]
        content = await self._content(connection, tenant, change)
        before = await _version(connection, tenant, rule, active)
        fields = {name: before[name] for name in _SAID} | {"channel": before["channel"]["id"]}
        if not _same(fields, content, _SAID):
            version = active + 1
            since = before["state_version"] if _same(fields, content, _COUNTED) else version
            await rule_queries.add_version(connection, tenant, rule, {"version": version, "state_version": since}, content)
            await self._check_versions(connection, tenant)
        name = locked["name"] if change.name is None else change.name
        enabled = locked["enabled"] if change.enabled is None else change.enabled
        after = {"name": name, "enabled": enabled, "active_version": version}
        if after != locked:
            await rule_queries.change_rule(connection, tenant, rule, **after)
        await _check_room(connection, tenant)

    async def patch(
        self, connection: db.Connection, tenant: TenantId, rule: RuleId, patch: RulePatch, expected: Expected = None
    ) -> None:
        """Change the fields that are set; Invalid if the rule would not be valid with them."""
        await _lock(connection, tenant, rule, expected)
        current = as_change(await show(connection, tenant, rule)).model_dump(mode="json", by_alias=True, exclude_none=True)
        changed = patch.model_dump(mode="json", by_alias=True, exclude_unset=True)
        await self.change(connection, tenant, rule, validated(RuleChange, current | changed), expected)

    async def roll_back(
        self, connection: db.Connection, tenant: TenantId, rule: RuleId, version: int, expected: Expected = None
    ) -> None:
        """Create a new version with the content of an earlier one."""
        earlier = await show_version(connection, tenant, rule, version)
        await self.change(connection, tenant, rule, as_change(earlier), expected)

    async def _check_versions(self, connection: db.Connection, tenant: TenantId) -> None:
        most = self._most * MAX_VERSIONS
        if await rule_queries.count_versions(connection, tenant) > most:
            raise Conflict(
                f"{most} versions of rules were made within 30 days, and are never deleted: wait, change fewer rules, or have "
                "SIGNALOPS_MAX_RULES raised."
            )

    async def _content(self, connection: db.Connection, tenant: TenantId, draft: RuleDraft) -> JsonObject:
        """Return the content of a version, as it is stored."""
        channel = await checked(connection, tenant, self._templates, draft)
        content = draft.model_dump(mode="json", by_alias=True, exclude_none=True, include=set(RuleDraft.model_fields))
        conditions = compiled(draft.grammar, draft.pattern).conditions
        return {name: content.get(name) for name in _SAID} | {"channel": str(channel["id"]), "conditions": conditions}


async def checked(connection: db.Connection, tenant: TenantId, templates: Templates, draft: RuleDraft) -> JsonObject:
    """Return the channel of a draft {id, name, kind}; raise Invalid with all that is wrong."""
    channel = await rule_queries.find_channel(connection, tenant, draft.channel)
    # In a thread, here and below: a template of 96 KiB takes a tenth of a second to read, and others wait for the loop.
    faults = await asyncio.to_thread(faults_of, draft, templates)
    if channel is None:
        message, remedy = f"there is no channel {draft.channel!r}", "add it first, or name another by its name or id"
        faults.append(Fault(path="channel", message=message, remedy=remedy))
    refuse(faults)
    assert channel is not None
    return channel


async def warnings_of(connection: db.Connection, tenant: TenantId, templates: Templates, draft: RuleDraft) -> list[RuleWarning]:
    """Return which fields a draft reads that no event of its types ever had, or else for which recent event its template fails.

    Nothing if a type is not known.
    """
    pattern = compiled(draft.grammar, draft.pattern)
    types = pinned_types(pattern)
    fields = await rule_queries.known_fields(connection, tenant, types) if types else None
    if types is None or fields is None:
        return []
    unseen = await asyncio.to_thread(never_seen, draft, pattern, fields, templates)
    if unseen:
        return [
            RuleWarning(path=path, message=f"no event of this type ever had {field}: check its name") for path, field in unseen
        ]
    return [warning async for warning in _failing(connection, tenant, templates, draft, types)]


async def _failing(
    connection: db.Connection, tenant: TenantId, templates: Templates, draft: RuleDraft, types: frozenset[str]
) -> AsyncIterator[RuleWarning]:
    """Yield a warning for each type for whose recent event a rule without window and digest can't render its template."""
    if draft.window or draft.absent or draft.digest or not draft.template:
        return
    rule = {"id": str(_NO_RULE), "name": "draft", "version": 1, "severity": draft.severity}
    for event in await rule_queries.type_examples(connection, tenant, types):
        try:
            await templates.render(tenant, "email", draft.template, RenderContext(event, rule, "event", None, []))
        except Invalid as error:
            message = f"can't be rendered for a recent event of the type {event['type']}: {error.detail.removesuffix('.')}"
            yield RuleWarning(path="template", message=message)


async def enable(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected = None) -> None:
    """Let a rule decide."""
    await _switch(connection, tenant, rule, await _lock(connection, tenant, rule, expected), True)


async def disable(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected = None) -> None:
    """Let a rule decide nothing."""
    await _switch(connection, tenant, rule, await _lock(connection, tenant, rule, expected), False)


async def delete(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected = None) -> RuleShown:
    """Delete a rule and return it as it was, disabled; its versions stay for the matches that name them."""
    await _lock(connection, tenant, rule, expected)
    shown = await show(connection, tenant, rule)
    await rule_queries.delete_rule(connection, tenant, rule)
    return shown.model_copy(update={"enabled": False})


async def show(connection: db.Connection, tenant: TenantId, rule: RuleId) -> RuleShown:
    """Return a rule in its active version; NotFound."""
    rows = await rule_queries.list_rules(connection, tenant, id=rule)
    if not rows:
        raise _unknown()
    return RuleShown.model_validate(rows[0])


async def show_version(connection: db.Connection, tenant: TenantId, rule: RuleId, version: int) -> VersionShown:
    """Return one version of a rule; NotFound."""
    return VersionShown.model_validate(await _version(connection, tenant, rule, version))


async def diff(
    connection: db.Connection, tenant: TenantId, rule: RuleId, before: int | None = None, after: int | None = None
) -> Diff:
    """Return what changed between two versions; without them the last change of the active one."""
    to = after or (await show(connection, tenant, rule)).version
    later = await show_version(connection, tenant, rule, to)
    return compare(await show_version(connection, tenant, rule, before or max(1, to - 1)), later)


def as_change(version: VersionShown | RuleShown) -> RuleChange:
    """Return a version as it would be written."""
    fields = {name: value for name, value in version.document().items() if name in _SAID}
    return RuleChange.model_validate(fields | {"channel": str(version.channel.id)})


async def _switch(connection: db.Connection, tenant: TenantId, rule: RuleId, locked: JsonObject, enabled: bool) -> None:
    if locked["enabled"] != enabled:
        await rule_queries.change_rule(connection, tenant, rule, **locked | {"enabled": enabled})
        await _check_room(connection, tenant)


async def _check_room(connection: db.Connection, tenant: TenantId, most: int | None = None) -> None:
    """Raise Conflict if a change exceeds a maximum.

    Checked after the change, whose trigger locks the tenant's row of ruleset_versions, so that of two concurrent changes only
    one is the last.
    """
    rules, conditions = await rule_queries.count_rules(connection, tenant)
    if most is not None and rules > most:
        raise Conflict(f"There are {most} rules already: delete one, or have SIGNALOPS_MAX_RULES raised.")
    if conditions > MAX_CONDITIONS:
        raise Conflict(
            f"All enabled rules together would have {conditions} conditions, {MAX_CONDITIONS} are possible: "
            "shorten or disable some.",
            conditions=conditions,
        )


async def _version(connection: db.Connection, tenant: TenantId, rule: RuleId, version: int) -> JsonObject:
    rows = await rule_queries.list_versions(connection, tenant, rule, before=version + 1, limit=1)
    if not rows or rows[0]["version"] != version:
        raise NotFound(f"The rule has no version {version}: see its versions.") if rows else _unknown()
    return rows[0]


async def _lock(connection: db.Connection, tenant: TenantId, rule: RuleId, expected: Expected) -> JsonObject:
    """Return name, enabled and active_version of a rule, whose changes from here on follow one another."""
    locked = await rule_queries.lock_rule(connection, tenant, rule)
    if locked is None:
        raise _unknown()
    if expected is not None and locked["active_version"] not in expected:
        raise PreconditionFailed(
            f"Version {locked['active_version']} is active, not the one that was read: read the rule again, then change it.",
            activeVersion=locked["active_version"],
        )
    return locked


def _same(before: JsonObject, after: JsonObject, names: Iterable[str]) -> bool:
    """Compare as JSON, where true is not 1; the order of an object's members does not count."""
    return _text([before[name] for name in names]) == _text([after[name] for name in names])


def _text(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _unknown() -> NotFound:
    return NotFound("There is no such rule: check the id.")
