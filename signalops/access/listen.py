"""Hears of changes that other processes made, on a connection of its own."""

import asyncio
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from signalops import db
from signalops.terms import TenantId

_SCHEMAS = "signalops_schemas"


class Doubtful(Protocol):
    """What remembers who may come in, and can be told to look it up again."""

    def doubt(self, reason: str) -> None: ...
    def invalidate(self, subject: UUID) -> None: ...


class Forgetful(Protocol):
    """What remembers something of tenants, and can be told to read it again."""

    def forget(self, tenant: TenantId) -> None: ...
    def forget_all(self) -> None: ...


async def listen(
    remembering: Collection[Doubtful], schemas: Forgetful, conninfo: str | None, pools: Collection[db.Pool] = ()
) -> None:
    """Have a key or a tenant looked up again, and schemas forgotten, at each announcement, until cancelled.

    Between two connections an announcement may have been missed, so everything is doubted whenever one begins or ends; and each
    second where none is possible.
    """
    while conninfo is None:
        _doubt(remembering, "polling")
        schemas.forget_all()
        await asyncio.sleep(1)
    while True:
        try:
            async for heard in db.listen(conninfo, ["signalops_access", _SCHEMAS]):
                channel, payload = heard or ("", "")
                if channel == _SCHEMAS:
                    _forget(schemas, payload)
                elif payload:
                    _invalidate(remembering, payload)
                else:
                    _doubt(remembering, "announced")
                if heard is None:
                    schemas.forget_all()
                    # What ended this connection has ended others: else the first request on each of them would find out.
                    await asyncio.gather(*map(db.repair, pools))
        except db.OUTAGE:
            _doubt(remembering, "not listening")
            schemas.forget_all()
        await asyncio.sleep(1)  # the server may be starting again


def _forget(schemas: Forgetful, payload: str) -> None:
    try:
        schemas.forget(TenantId(UUID(payload)))
    except ValueError:  # whoever may connect may notify, of anything
        schemas.forget_all()


def _invalidate(remembering: Collection[Doubtful], payload: str) -> None:
    try:
        subject = UUID(payload)
    except ValueError:
        _doubt(remembering, "announced")
        return
    for memory in remembering:
        memory.invalidate(subject)


def _doubt(remembering: Collection[Doubtful], reason: str) -> None:
    for memory in remembering:
        memory.doubt(reason)
