"""Helpers that the commands share: a transaction as the owner, and the tenant."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from signalops import db, migrate
from signalops.cli.command_table import running
from signalops.config import settings
from signalops.errors import Unusable
from signalops.tenants.tenant_queries import find_tenant
from signalops.types import Actor, TenantId

Result = TypeVar("Result")

TenantSlug = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's slug or id.", envvar="SIGNALOPS_TENANT")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def required(tenant: str) -> str:
    """Return the tenant that an option names; a usage error without one."""
    if not tenant:
        raise typer.BadParameter("Missing option '--tenant' / '-t'.")
    return tenant


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
