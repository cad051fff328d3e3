"""Which tenants a worker postpones so that others do not wait: those with locked counters, and those with long batches."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from signalops.types import TenantId

_AT_ONCE = 2
"""Heavy parts that one process handles at once, each of another tenant, so that capacity is left for other tenants."""
_AGAIN = 0.5
"""Seconds after which one more batch of a tenant tries."""
_LONGEST = 10.0
_JITTER = random.SystemRandom()


class Turns:
    """The turns of one worker process."""

    def __init__(self) -> None:
        self._until: dict[TenantId, float] = {}
        self._refused: Counter[TenantId] = Counter()
        self._heavy: set[TenantId] = set()

    def has_room(self, tenant: TenantId) -> bool:
        """Whether a heavy part of a tenant may be begun now: there are few at once, and one of a tenant."""
        return len(self._heavy) < _AT_ONCE and tenant not in self._heavy

    @contextmanager
    def heavy(self, tenant: TenantId) -> Iterator[None]:
        """Occupy a slot for heavy parts of a tenant within the context."""
        self._heavy.add(tenant)
        try:
            yield
        finally:
            self._heavy.discard(tenant)

    def wait(self, tenant: TenantId) -> float:
        """Return for how many seconds a tenant's events have to wait; 0: it is its turn.

        Of many batches one tries at a time. The more of them wait, the longer each of them does.
        """
        if not self._until:  # as a rule
            return 0.0
        if self._until.get(tenant, 0.0) <= time.monotonic():
            if tenant in self._until:  # this batch tries; later ones do not
                self._until[tenant] = time.monotonic() + _AGAIN
            return 0.0
        self._refused[tenant] += 1
        most = min(_LONGEST, _AGAIN + self._refused[tenant] / 50)
        return _JITTER.uniform(_AGAIN / 2, most)

    def lock(self, tenant: TenantId) -> None:
        """Let a tenant's events wait: its counters are locked by somebody else."""
        self._until[tenant] = time.monotonic() + _AGAIN

    postpone = lock
    """Let them wait: they have much to do, and others are at that already."""

    def free(self, tenants: Iterable[TenantId]) -> None:
        """Release the tenants of recorded events: none of them has to wait."""
        if not self._until and not self._refused:
            return
        for tenant in tenants:
            self._until.pop(tenant, None)
            self._refused.pop(tenant, None)
