"""Hears of revoked keys and suspended tenants, on a connection of its own."""

import asyncio

from signalops import db
from signalops.access.keys import KeyRing


async def listen(ring: KeyRing, conninfo: str) -> None:
    """Have a key ring doubt its keys at each announcement, until cancelled.

    Between two connections an announcement may have been missed, so every key is doubted whenever one begins or ends.
    """
    while True:
        try:
            async for _ in db.listen(conninfo, "signalops_access"):
                ring.doubt("announced")
        except db.OUTAGE:
            ring.doubt("not listening")
        await asyncio.sleep(1)  # the server may be starting again
