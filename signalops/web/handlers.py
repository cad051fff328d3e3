"""Calls an endpoint with the arguments that its parameters name: parts of the request, a transaction of the tenant."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, get_args
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.endpoint import Endpoint
from signalops.http import answer, id_of, idempotency_key, if_match, read_model
from signalops.tenants.find_tenant import FIND
from signalops.types import Caller, FoundTenant, JsonObject, Operator, PlatformScope, Scope

Who = Caller | Operator | None
Call = Callable[[Request, Who], Awaitable[Response]]
Opens = Callable[[Request, Who], AbstractAsyncContextManager[JsonObject]]
_ANYTHING = frozenset(get_args(Scope))
_HEADERS: dict[str, Callable[[Request], object]] = {"if_match": if_match, "idempotency_key": idempotency_key}


class Pools(NamedTuple):
    """Connections of the API's role, and of the role of operators."""

    tenants: db.Pool
    platform: db.Pool


def call_of(endpoint: Endpoint, pools: Pools) -> Call:
    """Return what reads a request, opens the transaction, calls the handler and makes the answer of what it returns."""
    needed = endpoint.parameters.keys()
    if needed <= {"request"}:
        return lambda request, _: _answered(endpoint, endpoint.handler(**dict.fromkeys(needed, request)))
    if endpoint.is_direct:
        return lambda request, who: _answered(endpoint, endpoint.handler(request=request, caller=who))
    for_operators = endpoint.is_lent or "operator" in needed or endpoint.scope in get_args(PlatformScope)
    transaction_of = _operators(endpoint, pools.platform) if for_operators else _tenants(endpoint, pools.tenants)
    readers, body = _readers(endpoint), endpoint.parameters.get("body")

    async def call(request: Request, who: Who) -> Response:
        arguments = {name: read(request) for name, read in readers.items()}
        if body is not None:
            arguments["body"] = await read_model(request, body, endpoint.most_bytes)
        async with transaction_of(request, who) as transaction:
            result = await endpoint.handler(**arguments, **transaction)
        return _response(endpoint, result)

    return call


async def _answered(endpoint: Endpoint, returned: Awaitable[Response | BaseModel]) -> Response:
    return _response(endpoint, await returned)


def _response(endpoint: Endpoint, result: Response | BaseModel) -> Response:
    return result if isinstance(result, Response) else answer(result, endpoint.status)


def _readers(endpoint: Endpoint) -> dict[str, Callable[[Request], Any]]:
    """Return how each parameter is read from a request, except its body and what belongs to the transaction."""
    readers: dict[str, Callable[[Request], Any]] = {}
    for name, annotation in endpoint.parameters.items():
        if name == "request":
            readers[name] = lambda request: request
        elif name == "query":
            readers[name] = annotation.of
        elif name in _HEADERS:
            readers[name] = _HEADERS[name]
        elif getattr(annotation, "__supertype__", annotation) is UUID:
            readers[name] = partial(id_of, what=name.replace("_", " "))
        elif f"{{{name}}}" in endpoint.path and annotation is str:
            readers[name] = partial(_in_path, name)
    return readers


def _in_path(name: str, request: Request) -> str:
    value: str = request.path_params[name]
    return value


def _tenants(endpoint: Endpoint, pool: db.Pool) -> Opens:
    """Return what opens the transaction of a tenant's request, if its handler has one."""
    parameters = endpoint.parameters

    @asynccontextmanager
    async def opened(_: Request, who: Who) -> AsyncIterator[JsonObject]:
        if who is None:  # an endpoint that is open to everybody has no tenant
            yield {}
            return
        assert isinstance(who, Caller)
        arguments: JsonObject = {"caller": who, "transaction": partial(db.as_tenant, pool, who.tenant)}
        if "connection" not in parameters:
            yield _chosen(arguments, parameters)
            return
        async with db.as_tenant(pool, who.tenant) as connection:
            yield _chosen(arguments | {"connection": connection}, parameters)

    return opened


def _operators(endpoint: Endpoint, pool: db.Pool) -> Opens:
    """Return what opens the transaction of an operator's request: for the tenant in its path, or across tenants."""
    parameters = endpoint.parameters
    find = FIND[endpoint.lock] if endpoint.is_lent or parameters.get("tenant") is FoundTenant else None

    @asynccontextmanager
    async def opened(request: Request, who: Who) -> AsyncIterator[JsonObject]:
        assert isinstance(who, Operator)
        arguments: JsonObject = {"operator": who}
        async with db.as_platform(pool) as connection:
            if find:
                found = await find(connection, request.path_params["tenant"])
                arguments |= {"tenant": found, "caller": Caller(found.id, who.actor, _ANYTHING)}
                arguments["transaction"] = partial(db.as_tenant, pool, found.id)
            if "connection" in parameters:
                yield _chosen(arguments | {"connection": connection}, parameters)
                return
        yield _chosen(arguments, parameters)

    return opened


def _chosen(arguments: JsonObject, parameters: Mapping[str, Any]) -> JsonObject:
    return {name: value for name, value in arguments.items() if name in parameters}
