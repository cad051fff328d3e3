"""Builds the OpenAPI 3.1 document from the endpoints and their models; Swagger UI shows it."""

import inspect
from collections.abc import Sequence
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import orjson
import swagger_ui_bundle
from pydantic import BaseModel

from signalops.endpoint import Endpoint, Text
from signalops.errors import Problem
from signalops.types import JsonObject, PlatformScope
from signalops.web.api_groups import GROUPS, group_of
from signalops.web.channel_docs import describe_kinds
from signalops.web.components import Components
from signalops.web.examples import EXAMPLES
from signalops.web.webhook_docs import webhooks

_ABOUT = """\
Events in, once; the tenant's rules decide; notifications out; usage counted.

Start with **storeEvent**: authorise with a key, and run its example. Every refusal is a problem document (RFC 9457),
whose `detail` is the remedy. Lists have cursors: pass the last id of a page as `startingAfter`."""
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
    describe_kinds(components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "SignalOps", "version": version("signalops"), "description": _ABOUT},
        "servers": [{"url": "/", "description": "This installation"}],
        "tags": [{"name": group.name, "description": group.about} for group in GROUPS],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "An API key of a tenant, from `signalops key create` or POST /api/keys. "
                    "`signalops up` prints that of its demonstration tenant.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of your identity provider, or from `signalops token`. Operators' endpoints need one.",
                },
            },
        },
    }


def _described(endpoint: Endpoint, components: Components) -> JsonObject:
    shown: JsonObject = {"operationId": endpoint.name, "summary": endpoint.summary}
    if group := group_of(endpoint):
        shown["tags"] = [group]
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
        examples = EXAMPLES.get(endpoint.name, {})
        content = {
            media: {"schema": components.refer(body, "validation")} | ({"example": examples[media]} if media in examples else {})
            for media, body in endpoint.content.items()
        }
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
    content = answers.get(status, {}).get("content") or {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    }
    content["application/problem+json"]["examples"][problem.kind] = {"summary": problem.title, "value": _example_of(problem)}
    return answers | {status: {"description": described, "content": content}}


def _example_of(problem: type[Problem]) -> JsonObject:
    detail = (problem.__doc__ or problem.title).strip()
    return {
        "type": f"urn:signalops:problem:{problem.kind}",
        "title": problem.title,
        "status": int(problem.status),
        "detail": detail,
    }


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
