"""What is compiled for tenants, kept while it is used. Pure."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from signalops.terms import TenantId

MOST_BYTES = 256 * 2**20
IDLE = 600.0


class Compiled(Protocol):
    """Something of a tenant, in a version, and about how many bytes it takes."""

    @property
    def version(self) -> int: ...
    @property
    def size(self) -> int: ...


C = TypeVar("C", bound=Compiled)


@dataclass(slots=True)
class _Kept(Generic[C]):
    compiled: C
    used_at: float


class Shelf(Generic[C]):
    """Compiled things by tenant. Those not used for some minutes are dropped; when all take too much, the least recently used."""

    def __init__(self, most_bytes: int = MOST_BYTES, idle: float = IDLE) -> None:
        self._most_bytes = most_bytes
        self._idle = idle
        self._bytes = 0
        # By the ids as numbers: a UUID is hashed and compared in Python, for each event of a batch of many tenants.
        self._kept: OrderedDict[int, _Kept[C]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many tenants have something here."""
        return len(self._kept)

    def find(self, tenant: TenantId, version: int) -> C | None:
        """Return what is kept of a tenant, in the version asked for or a later one; None if it must be loaded."""
        kept = self._kept.get(tenant.int)
        return kept.compiled if kept and kept.compiled.version >= version else None

    def use(self, tenant: TenantId, version: int) -> C | None:
        """Find something, and note that it was used."""
        kept = self._kept.get(tenant.int)
        if kept is None or kept.compiled.version < version:
            return None
        kept.used_at = now = time.monotonic()
        self._kept.move_to_end(tenant.int)
        self._make_room(now)
        return kept.compiled

    def keep(self, tenant: TenantId, compiled: C) -> None:
        """Keep something that was loaded, and make room for it."""
        now = time.monotonic()
        before = self._kept.pop(tenant.int, None)
        self._bytes += compiled.size - (before.compiled.size if before else 0)
        self._kept[tenant.int] = _Kept(compiled, now)
        self._make_room(now)

    def _make_room(self, now: float) -> None:
        oldest = next(iter(self._kept.values()))
        while len(self._kept) > 1 and (self._bytes > self._most_bytes or now - oldest.used_at > self._idle):
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.compiled.size
            oldest = next(iter(self._kept.values()))
