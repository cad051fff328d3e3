"""Tenants with a locked counter row: each is flushed separately, so that all others are stored without delay.

A flush of many tenants is one transaction: one locked row would make all of them wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from signalops.ingest.event_models import Request
from signalops.supervise import watched
from signalops.types import TenantId

_AT_ONCE = 4
"""Tenants that are flushed apart at the same time: those that wait for a lock leave connections to those that need not."""
_PAUSE = 0.1
_ROUNDS = 20
"""Number of pauses without a request for which a tenant stays separate after a flush that waited in vain: each time it rejoined
the others, all of them would wait."""
Answer = Callable[[Sequence[Request]], Awaitable[bool]]


class TenantQueues:
    """A queue for each such tenant, until a flush of it has not waited."""

    def __init__(self, answer: Answer, take: Callable[[deque[Request]], list[Request]]) -> None:
        """`take` removes from a queue what fits in one flush."""
        self._answer = answer
        self._take = take
        self._queues: dict[TenantId, deque[Request]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)

    def split(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Take what is of tenants that are flushed apart already; return the rest."""
        if not self._queues:
            return requests
        own = [request for request in requests if request.tenant in self._queues]
        self.take(own)
        return [request for request in requests if request.tenant not in self._queues]

    def take(self, requests: Sequence[Request]) -> None:
        """Flush requests tenant by tenant, each after what was taken of it before."""
        for request in requests:
            if request.tenant not in self._queues:
                self._queues[request.tenant] = deque()
                task = watched(asyncio.create_task(self._flush(request.tenant), name="flush a tenant apart"))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._queues[request.tenant].append(request)

    async def _flush(self, tenant: TenantId) -> None:
        queue, idle = self._queues[tenant], 0
        try:
            while idle < _ROUNDS:
                is_free = bool(queue)
                idle = 0 if queue else idle + 1
                while queue:
                    requests = self._take(queue)
                    async with self._places:
                        is_free = await self._answer(requests)
                if is_free:
                    return
                await asyncio.sleep(_PAUSE)
        finally:
            del self._queues[tenant]
