"""The cache of compiled rules and meters of tenants."""

from typing import Protocol, TypeVar

from signalops.cache import Cache

MAX_BYTES = 256 * 2**20


class Compiled(Protocol):
    """Something of a tenant, in a version, and about how many bytes it takes."""

    @property
    def version(self) -> int: ...
    @property
    def size(self) -> int: ...


C = TypeVar("C", bound=Compiled)


def cache_of_compiled(max_bytes: int = MAX_BYTES) -> Cache[int, C]:
    """Return a cache by tenant. By its id as a number: a UUID is hashed and compared in Python, for each event of a batch."""
    return Cache(max_bytes, size_of=lambda compiled: compiled.size)
