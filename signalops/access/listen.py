"""Hears of changes that other processes made, on a connection of its own."""

import asyncio
from typing import Protocol
from uuid import UUID

from signalops import db
from signalops.access.ring import KeyRing
from signalops.terms import TenantId

_SCHEMAS = "signalops_schemas"


class Forgetful(Protocol):
    """What remembers something of tenants, and can be told to read it again."""

    def forget(self, tenant: TenantId) -> None: ...
    def forget_all(self) -> None: ...


async def listen(ring: KeyRing, schemas: Forgetful, conninfo: str) -> None:
    """Have a key ring doubt its keys, and schemas forgotten, at each announcement, until cancelled.

    Between two connections an announcement may have been missed, so everything is doubted whenever one begins or ends.
    """
    while True:
        try:
            async for heard in db.listen(conninfo, ["signalops_access", _SCHEMAS]):
                channel, payload = heard or ("", "")
                if channel == _SCHEMAS:
                    schemas.forget(TenantId(UUID(payload)))
                else:
                    ring.doubt("announced")
                if heard is None:
                    schemas.forget_all()
        except db.OUTAGE:
            ring.doubt("not listening")
            schemas.forget_all()
        await asyncio.sleep(1)  # the server may be starting again
