"""Declares endpoints where they are handled. Routes, the OpenAPI document and tests are derived from the declarations."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import UnionType
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, RootModel
from starlette.responses import Response

from signalops import errors
from signalops.errors import Problem
from signalops.types import PlatformScope, Scope

Handler = Callable[..., Awaitable[Response | BaseModel]]
AnyHandler = TypeVar("AnyHandler", bound=Handler)
Answers = Mapping[int, type[BaseModel] | UnionType]
Lock = Literal["none", "tenant", "open tenant"]
"""What an operator's transaction locks of the tenant in the path: nothing, its row, or its row unless it is closed (Conflict)."""

MAX_BYTES = 256 * 1024
"""Default maximum body size of an endpoint, in bytes."""
_ALWAYS = (errors.Unauthenticated, errors.Forbidden, errors.RateLimited, errors.TooManyFailures, errors.Unavailable)
_BODY = (errors.Malformed, errors.TooLarge, errors.UnsupportedMedia, errors.Invalid)
_DECLARED = "__endpoints__"


class Text(RootModel[str]):
    """Lines of text."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path. Without a scope it is open to everybody; with a PlatformScope it is for operators.

    The handler's parameters say what it needs (web/handlers.py passes them by name):

    - `request`, `caller`, `operator`
    - `query`, `body`: validated by the model that annotates them
    - a parameter annotated by UUID or an id type: the path's {id}; it names what is not found
    - other parameters of the path as text; `tenant` of an operator's endpoint may be annotated as FoundTenant
    - `if_match` (tags, None: any state), `idempotency_key`
    - `connection`: a transaction, which commits before the answer goes out
    - `transaction`: opens such a transaction, for a handler that needs none at first, or two
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    scope: Scope | PlatformScope | None
    answers: Answers
    problems: tuple[type[Problem], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, object] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    """Other media types that it answers with instead of JSON, when they are asked for; what answers Text has only these."""
    most_bytes: int = MAX_BYTES
    lock: Lock = "none"
    is_lent: bool = False
    """Whether an operator uses a tenant's own endpoint, acting for the tenant in the path."""

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The annotations of the handler's parameters by name."""
        parameters = inspect.signature(self.handler).parameters
        return {name: one.annotation for name, one in parameters.items() if name != "self"}

    @property
    def status(self) -> int:
        """The status with which what the handler returns is answered, unless it makes the answer itself."""
        return next(iter(self.answers))

    @property
    def query(self) -> type[BaseModel] | None:
        """The model of the query."""
        return self.parameters.get("query")

    @property
    def is_direct(self) -> bool:
        """Whether its handler reads the request itself: events, thousands in a second (see web/direct.py)."""
        return self.parameters.keys() == {"request", "caller"}

    @property
    def content(self) -> Mapping[str, object]:
        """The shapes of bodies by media type."""
        body = self.parameters.get("body")
        return self.bodies or ({"application/json": body} if body else {})

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """Every kind of problem that it answers with: those that follow from its parts, and its own."""
        if self.scope is None:
            return self.problems
        implied = {
            _ALWAYS: True,
            _BODY: bool(self.content),
            (errors.NotFound,): "{" in self.path.replace("{plan}", ""),  # which is named when it is made
            (errors.Invalid,): self.query is not None,
            (errors.PreconditionFailed,): "if_match" in self.parameters,
            (errors.IdempotencyConflict,): "idempotency_key" in self.parameters,
            (errors.Conflict,): self.lock == "open tenant",
        }
        return tuple(dict.fromkeys([*(one for some, holds in implied.items() if holds for one in some), *self.problems]))


class Details(TypedDict, total=False):
    """The optional parts of an Endpoint; see there."""

    status: int
    answers: Answers
    problems: tuple[type[Problem], ...]
    headers: Mapping[str, str]
    bodies: Mapping[str, object]
    texts: tuple[str, ...]
    most_bytes: int
    lock: Lock


def endpoint(
    address: str, name: str, summary: str, scope: Scope | PlatformScope | None, **details: Unpack[Details]
) -> Callable[[AnyHandler], AnyHandler]:
    """Declare the endpoint of a handler: `address` is "GET /api/rules"; without `answers` the status with what is returned."""
    method, _, path = address.partition(" ")
    status = details.pop("status", 200)

    def declare(handler: AnyHandler) -> AnyHandler:
        details.setdefault("answers", {status: inspect.signature(handler).return_annotation})
        of = {"method": method, "path": path, "name": name, "summary": summary, "scope": scope, "handler": handler}
        return _with(handler, Endpoint(**of, **details))  # type: ignore[arg-type, misc]

    return declare


def for_operators(path: str, name: str, summary: str, lock: Lock = "none") -> Callable[[AnyHandler], AnyHandler]:
    """Declare that operators use the endpoint below, too, by a path that names the tenant for whom they act."""

    def declare(handler: AnyHandler) -> AnyHandler:
        own = declared(handler)
        scope: PlatformScope = "tenants:read" if own.method == "GET" else "tenants:*"
        lent = replace(own, path=path, name=name, summary=summary, scope=scope, lock=lock, is_lent=True)
        return _with(handler, lent)

    return declare


def declared(handler: Handler) -> Endpoint:
    """Return the endpoint that a handler declares, the tenant's own if operators have one, too."""
    endpoint: Endpoint = getattr(handler, _DECLARED)[0]
    return endpoint


def endpoints_of(*sources: object) -> list[Endpoint]:
    """Return what the handlers of modules and objects declare, in the order of the sources and of their definition."""
    return [
        replace(one, handler=getattr(source, name))
        for source in sources
        for name, handler in vars(source if inspect.ismodule(source) else type(source)).items()
        if inspect.isfunction(handler) and handler.__module__ == _module_of(source)
        for one in getattr(handler, _DECLARED, ())
    ]


def _module_of(source: object) -> str:
    """Return where the handlers of a source are defined: what a module imports from another is the other's."""
    return source.__name__ if inspect.ismodule(source) else type(source).__module__


def _with(handler: AnyHandler, declared: Endpoint) -> AnyHandler:
    setattr(handler, _DECLARED, (*getattr(handler, _DECLARED, ()), declared))
    return handler
