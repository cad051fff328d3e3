"""The request and response models of event types and schemas."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from signalops.http import Query
from signalops.models import ApiModel, PageOf
from signalops.types import JsonObject

Mode = Literal["warn", "reject"]


class FieldShown(ApiModel):
    """A field that events of a type have, or some of them."""

    path: str = Field(description="As patterns and templates name it.", examples=["payload.customer.plan"])
    types: list[Literal["string", "number", "boolean", "null", "array", "object"]] = Field(
        description="The JSON types seen; what is in an array is listed under the array's path."
    )
    example: str | float | bool | None = Field(None, description="A value seen, cut to 200 characters.")


class EventTypeShown(ApiModel):
    """A type of events that the tenant sends."""

    type: str
    first_seen_at: datetime = Field(description="When the first of these events was received.")
    last_seen_at: datetime = Field(description="When the last of these events was received.")
    count: int = Field(
        description="Events processed since the catalogue is kept, about a second late, without dead letters. What a killed "
        "worker had not written yet (about a second of its work) is missing: usage is what is exact."
    )
    fields: list[FieldShown] = Field(description="Fields seen in samples, by path; at most 200.")
    fields_cut: bool = Field(description="There are further fields.")
    example: JsonObject | None = Field(None, description="A recent event of at most 16 KiB.")
    schema_mode: Mode | None = Field(None, description="What its schema does; absent: it has none.")


class EventTypeList(PageOf[EventTypeShown]):
    """A page of event types."""


class TypesPage(Query):
    """Query of a list of event types, by type."""

    limit: int = Field(20, ge=1, le=100, description="Most types of a page.")
    starting_after: str = Field("", max_length=200, description="The last type of the page before.")


class SchemaIn(ApiModel):
    """A JSON Schema for the payloads of a type, and the effect of a violation."""

    model_config = ConfigDict(extra="forbid", title="Schema of an event type")

    json_schema: JsonObject = Field(
        alias="schema",
        description="Draft 2020-12, or 7 if $schema says so; at most 64 KiB; references only within it.",
        examples=[{"type": "object", "required": ["email"]}],
    )
    mode: Mode = Field(description="warn: the event is accepted, and the answer names the faults; reject: it is refused.")


class SchemaShown(SchemaIn):
    """The schema of an event type."""

    type: str
    updated_at: datetime
