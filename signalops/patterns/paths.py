"""The paths of fields as people write them, in what groups and measures events."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _path(text: str) -> str:
    if not all(text.split(".")) or len(text.split(".")) > 64 or not text.isprintable():
        raise ValueError("must be the path of a field, such as payload.userId")
    return text


FieldPath = Annotated[
    str, Field(min_length=1, max_length=500), AfterValidator(_path), Field(examples=["payload.userId"])
]
GroupBy = Annotated[list[FieldPath], Field(max_length=5, description="Counted apart for each value of these fields.")]
