"""Credit is granted here, for the API and the command line alike, in a transaction of the tenant."""

from uuid import UUID

from signalops import db
from signalops.errors import IdempotencyConflict
from signalops.http import body_hash
from signalops.terms import TenantId
from signalops.usage.credits import store
from signalops.usage.credits.model import CreditIn


async def grant(
    connection: db.Connection, tenant: TenantId, asked: CreditIn, key: str | None = None
) -> tuple[UUID, bool]:
    """Grant credit; return the grant, and whether it is new. IdempotencyConflict when the key came with something else.

    Who sends keys holds the tenant meanwhile: of two at once the second finds the grant of the first.
    """
    hashed = key and body_hash(asked)
    if key and (before := await store.find_grant(connection, tenant, key)):
        found, said = before
        if said != hashed:
            raise IdempotencyConflict("The idempotency key came with another grant before: choose another key.")
        return found, False
    fields = asked.model_dump(by_alias=False)
    made = await store.grant_credit(connection, tenant, **fields, idempotency_key=key, body_hash=hashed)
    return made, True
