"""What an operation of the API is, and the refusals that many of them share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType

from pydantic import BaseModel, RootModel
from starlette.requests import Request
from starlette.responses import Response

from signalops import errors
from signalops.errors import Problem
from signalops.terms import Caller, Operator, PlatformScope, Scope

Open = Callable[[Request], Awaitable[Response]]
ForCaller = Callable[[Request, Caller], Awaitable[Response]]
ForOperator = Callable[[Request, Operator], Awaitable[Response]]

ALWAYS = (errors.Unauthenticated, errors.Forbidden, errors.RateLimited, errors.TooManyFailures, errors.Unavailable)
BODY = (errors.Malformed, errors.TooLarge, errors.UnsupportedMedia, errors.Invalid)


class Text(RootModel[str]):
    """Lines of text."""


@dataclass(frozen=True)
class Operation:
    """One method of one path. Without a scope it is open to everybody; with a PlatformScope it is for operators."""

    method: str
    path: str
    name: str
    summary: str
    handler: Open | ForCaller | ForOperator
    scope: Scope | PlatformScope | None
    answers: dict[int, type[BaseModel] | UnionType]
    problems: tuple[type[Problem], ...] = ()
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: dict[str, object] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    """Other media types that it answers with instead of JSON, when they are asked for; what answers Text has only these."""
