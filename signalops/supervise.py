"""Background tasks that go on whatever happens to them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_PAUSE = 1.0


def supervised(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Start a task that does some work until it returns or is cancelled, anew after each error."""
    return asyncio.create_task(_again(name, work), name=name)


async def _again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await work()
        except Exception:
            log.exception("The background task %r failed and begins anew.", name)
        await asyncio.sleep(_PAUSE)
