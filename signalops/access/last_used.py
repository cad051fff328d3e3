"""Tracks when keys were last used: in memory per request, written for all keys every few seconds."""

import asyncio
from datetime import datetime

from signalops import clock, db, telemetry
from signalops.access import access_queries
from signalops.types import KeyId, TenantId

_PAUSE = 10.0
"""Seconds between two flushes: uses that a killed process has noted in them are not shown."""


class LastUsed:
    """The keys that this process has authenticated since the last flush."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections
        self._noted: dict[tuple[TenantId, KeyId], datetime] = {}

    def record(self, tenant: TenantId, key: KeyId) -> None:
        """Note that a key was used; on the path of every request, so no more than a look into a dictionary."""
        used = tenant, key
        if used not in self._noted:
            self._noted[used] = clock.now()

    async def flush(self) -> None:
        """Write what was noted, in one statement; what can't be written is tried again at the next flush."""
        noted = dict(self._noted)
        if not noted:
            return
        try:
            async with self._connections.connection() as connection:
                await access_queries.record_uses(connection, noted)
        except db.REFUSAL as error:
            telemetry.emit("last_used.flush_failed", keys=len(noted), error=db.redact(error))
            return
        for used in noted:
            del self._noted[used]

    async def run(self) -> None:
        """Flush every few seconds until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(_PAUSE)
                await self.flush()
        finally:
            await self.flush()
