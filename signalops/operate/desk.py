"""Opens the transaction of an operator's request: for the tenant in its path, or for all."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, get_args

from signalops import db
from signalops.access.tenants import manage
from signalops.access.tenants.store import Found
from signalops.terms import Caller, Operator, Scope

Find = Callable[[db.Connection, str], Awaitable[Found]]
_ALL = frozenset(get_args(Scope))


class Named(Protocol):
    """A request whose path names a tenant."""

    @property
    def path_params(self) -> dict[str, str]: ...


def author(operator: Operator) -> str:
    """Return who answers for what an operator does, as ledgers store it."""
    return operator.actor.name[:200]


def tenant_of(request: Named) -> str:
    """Return the id or slug of the tenant in a request's path."""
    return request.path_params["tenant"]


class Desk:
    """Connections in the role of operators."""

    def __init__(self, connections: db.Pool) -> None:
        self.connections = connections

    @asynccontextmanager
    async def all(self) -> AsyncIterator[db.Connection]:
        """Open a transaction that acts for no tenant."""
        async with db.as_platform(self.connections) as connection:
            yield connection

    @asynccontextmanager
    async def at(self, request: Named, find: Find = manage.find) -> AsyncIterator[tuple[db.Connection, Found]]:
        """Open a transaction that acts for the tenant in the path: looked at, or held to change it (hold, hold_open)."""
        async with db.as_platform(self.connections) as connection:
            yield connection, await find(connection, tenant_of(request))

    async def caller(self, request: Named, operator: Operator, find: Find) -> Caller:
        """Return an operator as one who may do anything for the tenant in the path."""
        async with self.at(request, find) as (_, found):
            return Caller(found.id, operator.actor, _ALL)
