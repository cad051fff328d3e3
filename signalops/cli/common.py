"""Helpers that the commands share: a transaction as the owner, the current tenant, and output."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from signalops import db, migrate
from signalops.config import settings
from signalops.errors import Unusable
from signalops.tenants.tenant_queries import find_tenant
from signalops.types import Actor, JsonObject, TenantId

Result = TypeVar("Result")
_ANY_LENGTH = 100_000

running: ContextVar[str] = ContextVar("running", default="")
"""The command that runs, in its own words without the values: `key create`."""

TenantSlug = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's slug or id.", envvar="SIGNALOPS_TENANT")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def as_owner(work: Callable[[db.Connection], Awaitable[Result]]) -> Result:
    """Run an action in one transaction as the owner; Unusable if the schema is not the one of this release."""

    async def transaction() -> Result:
        db.acting.set(db.Action(actor(), None, running.get()))
        async with db.as_owner(settings()) as connection:
            return await work(connection)

    migrate.require_current(settings(), "owner")
    return asyncio.run(transaction())


def actor() -> Actor:
    """Return the login that gave the command, as the audit log names it."""
    try:
        return Actor("command_line", getpass.getuser())
    except (KeyError, OSError):  # a container may run as a user that has no name
        return Actor("command_line", f"uid {os.getuid()}")


def for_tenant(slug: str, work: Callable[[db.Connection, TenantId], Awaitable[Result]]) -> Result:
    """Do something in one transaction that acts for a tenant."""

    async def acting(connection: db.Connection) -> Result:
        found = await find_tenant(connection, slug)
        if found is None:
            raise Unusable(f"There is no tenant {slug!r}: see `signalops tenant list`.")
        await db.set_tenant(connection, found.id)
        return await work(connection, found.id)

    return as_owner(acting)


def show_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def show_rows(rows: Sequence[JsonObject], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table of some columns, or all of them as JSON."""
    if as_json:
        show_json(rows)
        return
    cells = {column: [_cell(row.get(column)) for row in rows] for column in columns}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, values in cells.items():
        # An id is there to be copied: on a narrow terminal the other columns give way.
        least = max(map(len, values), default=0) if column == "id" else None
        table.add_column(column, overflow="fold", min_width=least)
    for line in zip(*cells.values(), strict=True):
        table.add_row(*line)
    console().print(table)


def _cell(value: object) -> str:
    """Write a value for people: a thing by its name, and what has no shorter form as JSON."""
    if isinstance(value, dict) and "name" in value:
        return str(value["name"])
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)


def console() -> Console:
    """Return what prints for people: a tenant's text stays as it is, and what is piped on has lines of any length."""
    width = None if sys.stdout.isatty() else _ANY_LENGTH
    is_plain = bool(os.environ.get("NO_COLOR"))  # rich alone would still print bold and dim
    return Console(
        markup=False, emoji=False, highlight=False, soft_wrap=True, width=width, color_system=None if is_plain else "auto"
    )
