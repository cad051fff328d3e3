"""Drains an API process on SIGTERM: it keeps serving for a while, until load balancers have removed it."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType


def drain_first(seconds: float, begin: Callable[[], None]) -> None:
    """Call `begin` at the first SIGTERM, and what the server does at one only after some seconds.

    Within the server's loop, for the process that the server runs in; where nothing handles SIGTERM this does nothing.
    """
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    if not callable(stop):
        return

    def drain(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)  # a second one ends it at once
        begin()
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    # Not a uvicorn.Server of our own: with several processes uvicorn makes its own in each.
    signal.signal(signal.SIGTERM, drain)
