"""The rule to try: a draft, or a version of a stored rule."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import Discriminator, Field, Tag

from signalops import db
from signalops.models import RequestModel
from signalops.rules import rule_queries, rule_service
from signalops.rules.rule_responses import ChannelShown
from signalops.rules.rule_service import RuleChange
from signalops.rules.validate import Templates
from signalops.types import JsonObject, RuleId, TenantId


class StoredRule(RequestModel):
    """A rule that is stored."""

    id: UUID
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the active version.")


def _which(value: object) -> str:
    stored = isinstance(value, StoredRule) or (isinstance(value, Mapping) and "id" in value)
    return "(stored)" if stored else "(draft)"


ChosenRule = Annotated[
    Annotated[StoredRule, Tag("(stored)")] | Annotated[RuleChange, Tag("(draft)")],
    Discriminator(_which),
    Field(description="A draft, or the id (and version) of a stored rule."),
]


class ResolvedRule(NamedTuple):
    """The content of a rule, its channel, and what its template reads as `rule`: {id, name, version, severity}."""

    draft: RuleChange
    channel: ChannelShown
    rule: JsonObject
    enabled: bool
    time_zone: str
    """The tenant's."""


async def choose(
    connection: db.Connection, tenant: TenantId, templates: Templates, rule: StoredRule | RuleChange
) -> ResolvedRule:
    """Look a rule up, or check a draft; NotFound or Invalid."""
    zone = await rule_queries.time_zone(connection, tenant)
    if isinstance(rule, RuleChange):
        channel = await rule_service.checked(connection, tenant, templates, rule)
        return ResolvedRule(
            rule, ChannelShown.model_validate(channel), _named(rule, None, rule.name), rule.enabled is not False, zone
        )
    stored = await rule_service.show(connection, tenant, RuleId(rule.id))
    stored_version = await rule_service.show_version(connection, tenant, stored.id, rule.version) if rule.version else stored
    draft = rule_service.as_change(stored_version)
    return ResolvedRule(
        draft, stored_version.channel, _named(draft, stored_version.version, stored.name, str(stored.id)), stored.enabled, zone
    )


def _named(draft: RuleChange, version: int | None, name: str | None, rule: str | None = None) -> JsonObject:
    return {"id": rule, "name": name or "draft", "version": version, "severity": draft.severity}
