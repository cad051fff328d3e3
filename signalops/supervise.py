"""Supervises background tasks: a failed task is logged and ends the process, which its own supervisor restarts."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from signalops import db, sandbox

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_PAUSE = 1.0
_TRANSIENT = (*db.OUTAGE, db.REFUSAL, sandbox.Stopped)
"""Errors of what is outside of the process: nothing in it is broken, and the same may succeed later."""
_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h. After a mere SIGTERM systemd's Restart=on-failure would restart nothing."""

_failed: list[str] = []


def supervised(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Start a task that works until it returns or is cancelled; see `watched` for its failure."""
    return watched(asyncio.create_task(_repeated(name, work), name=name))


def watched(task: asyncio.Task[Result]) -> asyncio.Task[Result]:
    """Have the failure of a task reported, and the process end by SIGTERM: what it has accepted is finished first."""
    task.add_done_callback(_report)
    return task


def exit_if_failed() -> None:
    """End the process with exit code 70 if a task failed, after everything else is closed."""
    if _failed:
        logging.shutdown()
        os._exit(_EXIT_CODE)


async def _repeated(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await work()
        except _TRANSIENT:
            log.exception("The background task %r failed and is tried again.", name)
        await asyncio.sleep(_PAUSE)


def _report(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or task.exception() is None:
        return
    log.critical("The background task %r failed, and with it this process.", task.get_name(), exc_info=task.exception())
    _failed.append(task.get_name())
    # No handler yet: nothing is accepted that must be finished, and SIGTERM would end the process without the exit code.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        exit_if_failed()
    signal.raise_signal(signal.SIGTERM)
