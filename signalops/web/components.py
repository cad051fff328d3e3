"""The schemas of the OpenAPI document, by the names of their models."""

from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from signalops.types import JsonObject

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "A refusal (RFC 9457); some kinds have further members.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:signalops:problem:invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and how to mend it."},
        "instance": {"type": "string", "description": "The path that was asked for."},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "Each fault: path, message and often remedy."},
        "periodEnd": {"type": "string", "format": "date-time", "description": "When a spent limit starts again."},
    },
}


class Components:
    """The schemas that the document refers to, by the names of their models."""

    def __init__(self) -> None:
        self.schemas: JsonObject = {"Problem": _PROBLEM}
        self._by_mode: dict[tuple[str, str], Any] = {}

    def refer(self, shape: Any, mode: Literal["validation", "serialization"]) -> JsonObject:
        """Return a reference to the schema of a shape, or the schema itself when it has no name."""
        schema = self.inline(shape, mode)
        if not (isinstance(shape, type) and issubclass(shape, BaseModel)):
            return schema
        self._add(shape.__name__, schema, mode)
        return {"$ref": f"#/components/schemas/{shape.__name__}"}

    def inline(self, shape: Any, mode: Literal["validation", "serialization"]) -> JsonObject:
        """Return the schema of a shape; those that it refers to are components."""
        schema = TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        for name, component in schema.pop("$defs", {}).items():
            self._add(name, component, mode)
        return schema

    def _add(self, name: str, schema: Any, mode: str) -> None:
        schema["title"] = name  # client generators name their models by it
        if self._by_mode.setdefault((name, mode), schema) != schema:
            raise ValueError(f"Two models are called {name}: rename one, or one would be described as the other.")
        self.schemas[name] = schema
