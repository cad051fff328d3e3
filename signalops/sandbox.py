"""Runs tenants' code in processes that can be killed: templates, and the validation of large payloads.

A thread can't be killed, and a call into C that keeps the interpreter's lock blocks every task of a process: the range of one
Liquid expression once blocked API and workers without end. Here the kernel kills the process at its CPU time limit, whatever it
does and even if its parent is gone; the next call starts a new process.
"""

import asyncio
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from signalops.locks import Locks
from signalops.types import TenantId

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
PROCESSES = 2
"""Processes of each API and worker process. A tenant has one at a time: others always find another."""
SECONDS = 1.0
"""Of processor time for one call; what is bounded by itself stays below."""
_PATIENCE = 10.0
"""Seconds for one call by the clock, a new process included: for what waits and takes no processor time."""
_TRIES = 3
_MEMORY = 512 * 2**20
"""Bytes of memory that calls may take beyond the program itself."""
_is_confined = False


class Stopped(Exception):
    """The task ended its process several times: it exceeds the limit of processor time or memory."""


class _Places:
    """The processes of one event loop."""

    def __init__(self) -> None:
        self.limiter = CapacityLimiter(PROCESSES)
        self.free = asyncio.Semaphore(PROCESSES)
        self.tenants: Locks[TenantId | None] = Locks()


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Places] = WeakKeyDictionary()


async def run(tenant: TenantId | None, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Return what a function returns, or raise what it raises, in another process; both must be picklable. Stopped.

    It is tried three times, since its process may be ended for no fault of its own.
    """
    places = _places.setdefault(asyncio.get_running_loop(), _Places())
    async with places.tenants.of(tenant), places.free:
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await to_process.run_sync(_confined, function, arguments, cancellable=True, limiter=places.limiter)
            except (BrokenWorkerProcess, TimeoutError):
                continue
    raise Stopped


async def warm() -> None:
    """Start the processes, which takes half a second, before they are needed."""
    tenants = (TenantId(UUID(int=number)) for number in range(PROCESSES))
    await asyncio.gather(*(run(tenant, int) for tenant in tenants))


def _confined(function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
    """Run a function within the limits of processor time and memory: the kernel keeps them."""
    global _is_confined  # noqa: PLW0603  once in a process
    if not _is_confined:
        _confine_memory()
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
        _is_confined = True
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _confine_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux: the limit of processor time holds
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, resource.RLIM_INFINITY))
