"""The request and response models of the audit log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from signalops import clock
from signalops.clock import Moment
from signalops.http import Page
from signalops.list_watermark import Settled
from signalops.models import ApiModel, PageOf
from signalops.types import ActorKind, JsonObject

INSTALLATION = UUID(int=0)
"""The tenant_id of what belongs to no tenant, such as plans."""


class ActionActor(ApiModel):
    """Who did it."""

    kind: ActorKind | Literal["sql", "system"] = Field(
        description="sql: a login of PostgreSQL itself; system: a process of SignalOps."
    )
    name: str = Field(description="A key's id, the subject of a token, a login, or a role of the database.")


class ActionTarget(ApiModel):
    """What it was done to."""

    id: str = Field(description="An id, or a key such as a meter's.")
    name: str | None = Field(description="What it was called then.")


class ActionChange(ApiModel):
    """The change by column: secrets are ***, of URLs only the origin is stored, and long values are cut."""

    before: JsonObject | None = Field(description="null: it was not there.")
    after: JsonObject | None = Field(description="null: it is gone.")


class ActionShown(ApiModel):
    """Something that was done."""

    id: UUID
    at: datetime
    actor: ActionActor
    address: str | None = Field(description="From where the request came; null: it was none.")
    operation: str | None = Field(description="The operation of this API, or the command.", examples=["addChannel"])
    action: str = Field(examples=["channel.created"])
    target: ActionTarget | None = Field(description="null: several things at once, which the change names.")
    change: ActionChange

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "ActionShown":
        """Return a row with the API's field names."""
        return cls.model_validate(_said(row))


class PlatformAction(ActionShown):
    """Something that was done, to a tenant's or to the installation's own."""

    tenant: UUID | None = Field(description="null: the installation's own.")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "PlatformAction":
        """Return a row with the API's field names."""
        return cls.model_validate(_said(row) | {"tenant": None if row["tenant"] == INSTALLATION else row["tenant"]})


class ActionList(PageOf[ActionShown]):
    """A page of what was done, newest first."""


class PlatformActionList(PageOf[PlatformAction]):
    """A page of what was done in the whole installation, newest first."""


class ActionsPage(Page):
    """Query of a list of actions."""

    actor: str | None = Field(None, max_length=500, description="Only of this actor, by name: a key's id, for instance.")
    action: str | None = Field(None, max_length=100, description="Only those that begin so.", examples=["rule."])
    target: str | None = Field(None, max_length=500, description="Only what was done to this, by its id.")
    since: Moment | None = Field(None, alias="from", description="Only from then on (RFC 3339).")
    until: Moment | None = Field(None, alias="to", description="Only before then (RFC 3339).")

    def filters(self, settled: Settled | None = None) -> JsonObject:
        """Return what the store is asked for."""
        narrowed = self.model_dump(include={"actor", "action", "target"})
        return {"upwards": self.upwards, **self.window(settled, self.since, self.until), **narrowed}


def _said(row: Mapping[str, Any]) -> JsonObject:
    named = {name: row[name] for name in ("id", "address", "operation", "action", "change")}
    target = None if row["target_id"] is None else {"id": row["target_id"], "name": row["target"]}
    actor = {"kind": row["actor_kind"], "name": row["actor"]}
    return {**named, "at": clock.uuid7_time(row["id"]), "actor": actor, "target": target}
