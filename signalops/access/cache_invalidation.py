"""Invalidates caches when another process changes keys, tenants or schemas: LISTEN on a connection of its own."""

import asyncio
from collections.abc import Collection, Hashable
from typing import Protocol
from uuid import UUID

from signalops import db, telemetry

_SCHEMAS = "signalops_schemas"


class Invalidatable(Protocol):
    """A cache."""

    def invalidate(self, tag: Hashable) -> None: ...
    def invalidate_all(self) -> None: ...


async def listen(
    caches: Collection[Invalidatable], schemas: Invalidatable, conninfo: str | None, pools: Collection[db.Pool] = ()
) -> None:
    """Have a key, a tenant or its schemas looked up again at each announcement, until cancelled.

    Between two connections an announcement may have been missed, so all is invalidated whenever one begins or ends; and each
    second where none is possible.
    """
    while conninfo is None:
        _invalidate_all(caches, "polling")
        schemas.invalidate_all()
        await asyncio.sleep(1)
    while True:
        try:
            async for notification in db.listen(conninfo, ["signalops_access", _SCHEMAS]):
                channel, payload = notification or ("", "")
                if channel == _SCHEMAS:
                    _forget(schemas, payload)
                elif payload:
                    _invalidate(caches, payload)
                else:
                    _invalidate_all(caches, "announced")
                if notification is None:
                    schemas.invalidate_all()
                    # What ended this connection has ended others: else the first request on each of them would find out.
                    await asyncio.gather(*map(db.repair, pools))
        except db.OUTAGE:
            _invalidate_all(caches, "not listening")
            schemas.invalidate_all()
        await asyncio.sleep(1)  # the server may be starting again


def _forget(schemas: Invalidatable, payload: str) -> None:
    try:
        schemas.invalidate(UUID(payload))
    except ValueError:  # any login may send any NOTIFY payload
        schemas.invalidate_all()


def _invalidate(caches: Collection[Invalidatable], payload: str) -> None:
    try:
        subject = UUID(payload)
    except ValueError:
        _invalidate_all(caches, "announced")
        return
    for cache in caches:
        cache.invalidate(subject)
    telemetry.emit("api_key_cache.invalidated", reason="announced")


def _invalidate_all(caches: Collection[Invalidatable], reason: str) -> None:
    for cache in caches:
        cache.invalidate_all()
    telemetry.emit("api_key_cache.invalidated", reason=reason)
