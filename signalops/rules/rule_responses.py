"""The response models of rules and their versions, and the difference of two versions."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from signalops.models import ApiModel, PageOf
from signalops.rules.rule_models import Conditions
from signalops.types import ChannelKind, JsonObject, RuleId, Severity


class ChannelShown(ApiModel):
    """Where a rule's notifications go."""

    id: UUID
    name: str
    kind: ChannelKind


class RuleWarning(ApiModel):
    """What is probably a mistake, though the rule can be evaluated."""

    path: str = Field(description="Where, such as template.body.", examples=["template.body"])
    message: str


class _Content(Conditions):
    model_config = ConfigDict(extra="ignore")

    version: int
    grammar: int
    pattern: JsonObject
    channel: ChannelShown
    template: dict[str, str]
    severity: Severity
    created_at: datetime

    def document(self) -> JsonObject:
        """Return it with the API's field names, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RuleShown(_Content):
    """A rule in its active version."""

    id: RuleId
    name: str
    enabled: bool
    updated_at: datetime = Field(description="When it was changed last.")
    warnings: list[RuleWarning] | None = Field(None, description="Only in the answer to a change.")


class VersionShown(_Content):
    """The content of one version of a rule."""

    state_version: int = Field(
        description="The earliest version whose counts of a window or an absence this version goes on with."
    )


class RuleList(PageOf[RuleShown]):
    """A page of rules, newest first."""


class VersionList(ApiModel):
    """A page of a rule's versions, newest first."""

    data: list[VersionShown]
    has_more: bool = Field(description="Whether there are older ones beyond this page.")


class Change(ApiModel):
    """A value that differs; without `before` it is new, without `after` it is gone."""

    path: str = Field(description="JSON Pointer (RFC 6901) into the version.", examples=["/pattern/type"])
    before: Any = None
    after: Any = None


class Diff(ApiModel):
    """What changed from one version of a rule to another."""

    from_: Annotated[int, Field(alias="from")]
    to: int
    changes: list[Change]

    def document(self) -> JsonObject:
        """Return it with the API's field names; an added or removed value has one side only."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def compare(before: VersionShown, after: VersionShown) -> Diff:
    """Return the difference between two versions of a rule; the channel by its name."""
    changes = [Change.model_validate(change) for change in changes_between(_said(before), _said(after))]
    return Diff(from_=before.version, to=after.version, changes=changes)


def changes_between(before: object, after: object, path: str = "") -> Iterator[JsonObject]:
    """Yield {path, before, after} for each value that differs between two JSON values.

    Objects are compared by member, lists of one length by element; a list that grew or shrank changes as a whole, since
    that is how it reads. Paths are JSON Pointers (RFC 6901).
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _member(before, after, name, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, pair in enumerate(zip(before, after, strict=True)):
            yield from changes_between(*pair, f"{path}/{position}")
    elif not _same(before, after):
        yield {"path": path, "before": before, "after": after}


def _member(before: Mapping[str, Any], after: Mapping[str, Any], name: str, path: str) -> Iterator[JsonObject]:
    if name not in after:
        yield {"path": path, "before": before[name]}
    elif name not in before:
        yield {"path": path, "after": after[name]}
    else:
        yield from changes_between(before[name], after[name], path)


def _same(before: object, after: object) -> bool:
    # In Python True is 1; in a pattern it is not.
    return isinstance(before, bool) == isinstance(after, bool) and before == after


def _said(version: VersionShown) -> JsonObject:
    fields = version.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"version", "state_version", "created_at"})
    return fields | {"channel": version.channel.name}
