"""Builds the OpenAPI 3.1 document from the endpoints and their models; Swagger UI shows it."""

import inspect
from base64 import b64encode
from collections.abc import Sequence
from functools import reduce
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import orjson
import swagger_ui_bundle
from pydantic import BaseModel, TypeAdapter

from signalops.endpoint import Endpoint, Text
from signalops.errors import Problem
from signalops.types import JsonObject, PlatformScope

SWAGGER_UI = Path(swagger_ui_bundle.swagger_ui_path)
_IN_PATH = {
    "id": {"type": "string", "format": "uuid"},
    "version": {"type": "integer", "minimum": 1},
    "type": {"type": "string", "maxLength": 200},
    "key": {"type": "string", "maxLength": 63},
    "tenant": {"type": "string", "maxLength": 63, "description": "Its id or slug."},
    "plan": {"type": "string", "maxLength": 63},
    "meter": {"type": "string", "maxLength": 100},
    "invoice": {"type": "string", "maxLength": 36, "description": "Its number or id."},
}
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
        if self._by_mode.setdefault((name, mode), schema) != schema:
            raise ValueError(f"Two models are called {name}: rename one, or one would be described as the other.")
        self.schemas[name] = schema


_rendered: dict[tuple[str, ...], bytes] = {}


def rendered(endpoints: Sequence[Endpoint]) -> bytes:
    """Return the OpenAPI 3.1 document as JSON. It is made once per process and set of endpoints: that takes 0.2 s of CPU."""
    names = tuple(endpoint.name for endpoint in endpoints)
    if names not in _rendered:
        _rendered[names] = orjson.dumps(document(endpoints))
    return _rendered[names]


def document(endpoints: Sequence[Endpoint]) -> JsonObject:
    """Return the OpenAPI 3.1 document of the API."""
    components = Components()
    paths: JsonObject = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _described(endpoint, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SignalOps",
            "version": version("signalops"),
            "description": "Events in, once; the tenant's rules decide; notifications out; usage counted.",
        },
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def _described(endpoint: Endpoint, components: Components) -> JsonObject:
    shown: JsonObject = {"operationId": endpoint.name, "summary": endpoint.summary}
    shown["description"] = inspect.getdoc(endpoint.handler) or ""
    if endpoint.scope:
        for_operators = endpoint.scope in get_args(PlatformScope)
        shown["security"] = [{"token": []}] if for_operators else [{"key": []}, {"token": []}]
        shown["description"] += f"\n\nNeeds the scope `{endpoint.scope}`."
    parameters = [*_path_parameters(endpoint.path), *_header_parameters(endpoint)]
    if endpoint.query:
        parameters += _query_parameters(endpoint.query, components)
    if parameters:
        shown["parameters"] = parameters
    if endpoint.content:
        content = {media: {"schema": components.refer(body, "validation")} for media, body in endpoint.content.items()}
        shown["requestBody"] = {"required": True, "content": content}
    answers = {
        str(status): {
            "description": " Or: ".join(_first_line(m) for m in get_args(model) or (model,)),
            "content": {
                **({} if model is Text else {"application/json": {"schema": components.refer(model, "serialization")}}),
                **{media: {"schema": {"type": "string"}} for media in endpoint.texts},
            },
        }
        for status, model in endpoint.answers.items()
    }
    refusals: JsonObject = {}
    shown["responses"] = answers | reduce(_with_problem, endpoint.refusals, refusals)
    return shown


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def _with_problem(answers: JsonObject, problem: type[Problem]) -> JsonObject:
    """Add a kind of problem to the answers; kinds with one status share an answer."""
    status = str(int(problem.status))
    before = answers.get(status, {}).get("description")
    described = f"{before}; or: {problem.title}" if before else problem.title
    schema = {"$ref": "#/components/schemas/Problem"}
    return answers | {status: {"description": described, "content": {"application/problem+json": {"schema": schema}}}}


def _path_parameters(path: str) -> list[JsonObject]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]} for name in names]


def _query_parameters(query: type[BaseModel], components: Components) -> list[JsonObject]:
    schema = components.inline(query, "validation")
    return [
        {"name": name, "in": "query", "description": member.pop("description", ""), "schema": member}
        for name, member in schema["properties"].items()
    ]


def _header_parameters(endpoint: Endpoint) -> list[JsonObject]:
    return [
        {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}
        for name, about in endpoint.headers.items()
    ]


_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui"})'
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SignalOps API</title>
<link rel="stylesheet" href="swagger-ui/swagger-ui.css"></head>
<body><div id="ui"></div><script src="swagger-ui/swagger-ui-bundle.js"></script>
<script>{_START}</script></body></html>
"""
CSP = (
    f"default-src 'none'; script-src 'self' 'sha256-{b64encode(sha256(_START.encode()).digest()).decode()}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The content security policy of the page: its own script, the files of this server, and the styles that Swagger UI sets."""
