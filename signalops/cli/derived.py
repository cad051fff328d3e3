"""Commands derived from endpoints: the same filters, answers and errors as the API, run as the owner of the database."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin
from urllib.parse import quote
from uuid import UUID

import orjson
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, actor, as_owner, for_tenant, required
from signalops.cli.output import show_record, show_rows
from signalops.cli.remote import id_by_name, remote, with_api
from signalops.cli.rule_args import read_object
from signalops.cli.times import ahead_or_null, past
from signalops.endpoint import Handler, declared
from signalops.http import Response, validated
from signalops.send.api_client import ApiClient
from signalops.tenants.find_tenant import FIND
from signalops.types import Caller, FoundTenant, JsonObject, Operator, PlatformScope, Scope, TenantId

Resolve = Callable[[db.Connection, TenantId, str], Awaitable[UUID]]
"""Returns the id of what a text names; Unusable."""
_CURSORS = ("limit", "starting_after", "ending_before")
_UNSAID = ("if_match", "idempotency_key")
_MAX_PAGE = 100
_SAMPLE_ID = "01a20862-10b6-70f7-a960-f844b7ad550a"
_Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of items.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
_Slug = Annotated[str, typer.Argument(help="The tenant's slug or id.")]


class Commands:
    """Adds commands to a group, all about the same kind of thing.

    noun: the group's name. make: makes the object whose methods the handlers are. resolve: finds by other names what a
    parameter names by its id.
    """

    def __init__(
        self, app: typer.Typer, noun: str, make: Callable[[], object] | None = None, resolve: Mapping[str, Resolve] | None = None
    ) -> None:
        self._app = app
        self._noun = noun
        self._make = make
        self._resolve = resolve or {}

    def add(
        self, handler: Handler, verb: str, *, columns: str = "", done: str = "", example: str = "", confirm: str = ""
    ) -> None:
        """Add a command that calls a handler.

        columns: of the table of a list. done: the sentence after a change, with what was given and the members of the answer
        in braces; without it the answer is shown. example: what is named in it, where that is not an id alone.
        confirm: the question before a change that loses something, which --yes answers.
        """
        command = _Command(handler, columns.split(), done, self._make, self._resolve, _plural(self._noun), confirm)

        def run(**arguments: Any) -> None:
            command.run(arguments)

        parameters = command.parameters()
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__doc__ = (inspect.getdoc(handler) or "").partition("\n")[0]
        words = [self._noun, verb, *(["--tenant acme"] if "caller" in declared(handler).parameters else [])]
        named = example or (_SAMPLE_ID if any(map(_is_id, declared(handler).parameters.values())) else "")
        self._app.command(verb, epilog=f"Example: signalops {' '.join([*words, named]).rstrip()}")(run)


class _Command(NamedTuple):
    """A command that calls a handler; see Commands."""

    handler: Handler
    columns: Sequence[str]
    done: str
    make: Callable[[], object] | None
    resolve: Mapping[str, Resolve]
    plural: str
    confirm: str

    def parameters(self) -> list[inspect.Parameter]:
        """Return the arguments and options, made of what the handler needs."""
        found: dict[str, tuple[Any, Any]] = {}
        for name, annotation in declared(self.handler).parameters.items():
            if name in ("query", "body"):
                found |= _options(annotation)
            elif name == "caller":
                found["tenant"] = TenantSlug, ""
            elif annotation is FoundTenant:
                found[name] = _Slug, inspect.Parameter.empty
            elif _is_id(annotation) or annotation is str:
                found[name] = self._argument(name, annotation), inspect.Parameter.empty
        if self.confirm:
            found["yes"] = _Yes, False
        found["as_json"] = AsJson, False
        keyword = inspect.Parameter.KEYWORD_ONLY
        return [inspect.Parameter(n, keyword, annotation=a, default=d) for n, (a, d) in found.items()]

    def _argument(self, name: str, annotation: Any) -> Any:
        noun, by_name = name.replace("_", " "), name in self.resolve
        what = f"The {noun}'s {'name or id' if by_name else 'id'}." if _is_id(annotation) else f"The {noun}."
        argument = typer.Argument(metavar=name.upper(), help=what)
        return Annotated[UUID if _is_id(annotation) and not by_name else str, argument]

    def run(self, arguments: JsonObject) -> None:
        as_json = arguments.pop("as_json")
        if self.confirm and not arguments.pop("yes"):
            typer.confirm(self.confirm.format(**arguments), abort=True)
        if "caller" in declared(self.handler).parameters and (at := remote()):
            arguments.pop("tenant")
            answer = with_api(at, lambda api: self._over_http(api, arguments))
        elif "caller" in declared(self.handler).parameters:
            slug = required(arguments.pop("tenant"))
            answer = for_tenant(slug, lambda connection, tenant: self._answer(connection, tenant, arguments))
        else:
            answer = as_owner(lambda connection: self._answer(connection, None, arguments))
        if "data" in answer:
            show_rows(answer["data"], self.columns, as_json, f"No {self.plural}.")
        elif self.done and not as_json:
            typer.echo(self.done.format(**arguments | answer))
        else:
            show_record(answer, as_json)

    async def _over_http(self, api: ApiClient, given: JsonObject) -> JsonObject:
        """Return the endpoint's answer by HTTP, all pages of a list up to --limit."""
        endpoint = declared(self.handler)
        path = endpoint.path
        for name in self.resolve.keys() & given.keys():
            if given[name]:
                given[name] = await id_by_name(api, _collection(endpoint.path, name), given[name])
        for name, value in given.items():
            path = path.replace("{id}" if _is_id(endpoint.parameters.get(name)) else f"{{{name}}}", quote(str(value), safe=""))
        body_model = endpoint.parameters.get("body")
        body = _said(body_model, given) if body_model else None
        query = {name: _in_query(value) for name, value in _said(endpoint.query, given).items()} if endpoint.query else {}
        if "limit" not in given:
            return await api.request(endpoint.method, path, query=query, body=body)

        async def page(query_values: JsonObject) -> JsonObject:
            return await api.get(path, **{name: _in_query(value) for name, value in query_values.items()})

        return {"data": await _pages(page, query, given["limit"])}

    async def _answer(self, connection: db.Connection, tenant: TenantId | None, given: JsonObject) -> JsonObject:
        if tenant:
            for name, resolve in self.resolve.items():
                if given.get(name):
                    given[name] = await resolve(connection, tenant, given[name])
        arguments = await self._arguments(connection, tenant, given)
        query = declared(self.handler).query
        if query is None:
            return await self._call(arguments)
        query_values = _said(query, given)
        if "limit" not in given:
            return await self._call(arguments | {"query": validated(query, query_values)})

        async def page(values: JsonObject) -> JsonObject:
            return await self._call(arguments | {"query": validated(query, values)})

        return {"data": await _pages(page, query_values, given["limit"])}

    async def _arguments(self, connection: db.Connection, tenant: TenantId | None, arguments: JsonObject) -> JsonObject:
        """Return the arguments of the handler except its query."""
        endpoint = declared(self.handler)
        offered = {name: arguments[name] for name in endpoint.parameters if name in arguments} | dict.fromkeys(_UNSAID)
        offered |= {"connection": connection, "transaction": lambda: nullcontext(connection)}
        offered["operator"] = Operator(actor(), frozenset(get_args(PlatformScope)))
        if tenant:
            offered["caller"] = Caller(tenant, actor(), frozenset(get_args(Scope)))
        if body := endpoint.parameters.get("body"):
            offered["body"] = validated(body, _said(body, arguments))
        if endpoint.parameters.get("tenant") is FoundTenant:
            offered["tenant"] = await FIND[endpoint.lock](connection, arguments["tenant"])
        return {name: value for name, value in offered.items() if name in endpoint.parameters}

    async def _call(self, arguments: JsonObject) -> JsonObject:
        handler = self.handler.__get__(self.make()) if self.make else self.handler
        result = await handler(**arguments)
        answer: JsonObject = orjson.loads(result.body) if isinstance(result, Response) else result.model_dump(mode="json")
        return answer


async def _pages(page: Callable[[JsonObject], Awaitable[JsonObject]], query: JsonObject, limit: int) -> list[JsonObject]:
    """Return up to `limit` items of a list, page by page."""
    items: list[JsonObject] = []
    while len(items) < limit:
        answer = await page(query | {"limit": min(limit - len(items), _MAX_PAGE)})
        items += answer["data"]
        if not answer["hasMore"]:
            break
        query["startingAfter"] = next(str(items[-1][name]) for name in ("id", "key", "type", "version") if name in items[-1])
    return items


def _collection(path: str, noun: str) -> str:
    """Return the address of the list in which a name is looked up: that of the path, or of what a filter names."""
    return path.partition("/{")[0] if "{id}" in path else f"/api/{noun}s"


def _in_query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plural(noun: str) -> str:
    words = noun.replace("-", " ")
    return f"{words[:-1]}ies" if words.endswith("y") and words != "key" else f"{words}s"


def _is_id(annotation: Any) -> bool:
    return getattr(annotation, "__supertype__", annotation) is UUID


def _options(model: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    """Return an option for each field of a query or a body, and one, --limit, in place of the page's fields."""
    fields = model.model_fields
    found = {name: _option(name, field) for name, field in fields.items() if name not in _CURSORS}
    return found | ({"limit": (_Limit, 50)} if "limit" in fields else {})


def _option(name: str, field: FieldInfo) -> tuple[Any, Any]:
    """Return the annotation and the default of an option; the model reads what is more than a choice or a number from text."""
    kind = _kind(field)
    is_clearable = not field.is_required() and NoneType in get_args(field.annotation)
    kind = kind if kind is bool or get_origin(kind) is Literal or (kind is int and not is_clearable) else str
    flag = "--" + re.sub(r"([A-Z])", lambda capital: f"-{capital[0].lower()}", field.alias or name)
    if _kind(field) is datetime:
        return _time_option(flag, field)
    flags = (flag, f"--no-{flag[2:]}") if kind is bool and field.default is None else (flag,)
    option = typer.Option("/".join(flags), help=field.description)
    if field.is_required():
        return Annotated[kind, option], inspect.Parameter.empty
    return Annotated[kind | None, option], field.default if kind is bool else None


def _time_option(flag: str, field: FieldInfo) -> tuple[Any, Any]:
    """Return an option that reads a time in every form; those of a range are --since and --until as well."""
    flags = {"--from": ("--since", flag), "--to": ("--until", flag)}.get(flag, (flag,))
    read = past if len(flags) > 1 else ahead_or_null
    return Annotated[str | None, typer.Option(*flags, parser=read, metavar="TIME", help=field.description)], None


def _kind(field: FieldInfo) -> Any:
    """Return the type of a field, without None and without what Annotated adds."""
    kinds = get_args(field.annotation)
    kind = next(one for one in kinds if one is not NoneType) if NoneType in kinds else field.annotation
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _said(model: type[BaseModel], arguments: JsonObject) -> JsonObject:
    """Return what was given of a model's fields, by their names in JSON; `null` clears what can be empty."""
    content = {name: arguments[name] for name in model.model_fields if arguments.get(name) is not None and name not in _CURSORS}
    return {model.model_fields[name].alias or name: _value(model.model_fields[name], content[name]) for name in content}


def _value(field: FieldInfo, text: Any) -> Any:
    if text == "null" and NoneType in get_args(field.annotation):
        return None
    kind = _kind(field)
    if get_origin(kind) is list:
        return [part.strip() for part in text.split(",")]
    is_object = get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))
    return read_object(text) if is_object else text
