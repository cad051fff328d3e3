"""Commands over HTTP: with SIGNALOPS_URL and SIGNALOPS_API_KEY they use the API of an installation, without its database."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple, TypeVar
from uuid import UUID

import typer

from signalops.cli.seed import KEY
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send.api_client import ApiClient, api_client

Result = TypeVar("Result")
Url = Annotated[str | None, typer.Option("--url", envvar="SIGNALOPS_URL", help="Where the API is; default: this machine.")]
Key = Annotated[str, typer.Option("--key", envvar="SIGNALOPS_API_KEY", help="An API key; default: the documentation's.")]
DEFAULT_KEY = KEY


class Remote(NamedTuple):
    """Whose API a command uses, and with which key."""

    url: str
    key: str


def remote() -> Remote | None:
    """Return the installation that the environment names; None: the command uses the database."""
    url, key = os.environ.get("SIGNALOPS_URL"), os.environ.get("SIGNALOPS_API_KEY")
    if not url:
        return None
    if not key:
        raise Unusable("SIGNALOPS_URL is set, but no key: set SIGNALOPS_API_KEY, or unset SIGNALOPS_URL to use the database.")
    return Remote(url, key)


def with_api(at: Remote, work: Callable[[ApiClient], Awaitable[Result]]) -> Result:
    """Run an action with a client."""

    async def working() -> Result:
        async with api_client(at.url, at.key, Settings()) as api:
            return await work(api)

    return asyncio.run(working())


async def id_by_name(api: ApiClient, collection: str, name: str) -> str:
    """Return the id of what has a name in a collection such as /api/channels; an id is returned as it is."""
    try:
        return str(UUID(name))
    except ValueError:
        found = (await api.get(collection, name=name))["data"]
    if len(found) != 1:
        raise Unusable(f"There is nothing named {name!r} in {collection}: check the name.")
    return str(found[0]["id"])
