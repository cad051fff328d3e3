"""The base models of the API: camelCase in JSON, snake_case in Python."""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")


class ApiModel(BaseModel):
    """A model whose fields are camelCase in JSON; a row with columns of either spelling makes one.

    Requests are validated by http.validated, which accepts the API's spelling only.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    @classmethod
    def json_names(cls) -> tuple[str, ...]:
        """Return the names of the fields in JSON."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class RequestModel(ApiModel):
    """A body, or a part of one; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class WritableModel(RequestModel):
    """A body that may be a document as it was read, with its `id`: its read-only fields are accepted, and change nothing.

    Without the `id` they are unknown fields: somebody means to change them.
    """

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "id" not in value:
            return value
        ignored = cls.READ_ONLY - set(cls.json_names())
        return {name: item for name, item in value.items() if name not in ignored}


class PageOf(ApiModel, Generic[Item]):
    """A page of a list."""

    data: list[Item]
    has_more: bool = Field(description="Whether there are more beyond this page.")
